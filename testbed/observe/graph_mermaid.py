"""A picture as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.observe.graph import Box, Picture


def render_mermaid(picture: Picture) -> str:
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    names = _Names()
    yield f"%% {picture.caption}"
    yield "flowchart TB"
    yield '  fabric(["cloud fabric"])'
    if picture.internet:
        yield '  subgraph internet["internet"]'
        for box in picture.internet:
            yield f"    {names.of(box)}{_label(box)}"
        yield "  end"
    for vpc in picture.vpcs:
        yield f'  subgraph {names.new()}["VPC {vpc.name}<br/>{vpc.cidrs}"]'
        for subnet in vpc.subnets:
            yield f'    subgraph {names.new()}["subnet {subnet.name}<br/>{subnet.cidr}"]'
            for box in subnet.boxes:
                yield from _box(box, names)
            yield "    end"
        yield "  end"
    hanging = [box for vpc in picture.vpcs for subnet in vpc.subnets for box in subnet.boxes]
    for box in picture.internet:
        yield f"  {names.of(box)} --- fabric"
    for box in hanging:
        yield f"  fabric --- {names.of(box)}"


def _box(box: Box, names: _Names) -> Iterator[str]:
    if box.kind != "node":
        yield f"      {names.of(box)}{_label(box)}"
        return
    yield f'      subgraph {names.of(box)}["{"<br/>".join((box.name, *box.lines))}"]'
    for pod in box.inside:
        yield f"        {names.of(pod)}{_label(pod)}"
    if box.more:
        yield f'        {names.new()}["and {box.more} more pods"]'
    if not box.inside:
        yield f'        {names.new()}["no pods"]'
    yield "      end"


def _label(box: Box) -> str:
    text = "<br/>".join((box.name, *box.lines))
    return f'("{text}")' if box.kind == "pod" else f'["{text}"]'


class _Names:
    """Short ids: Mermaid has reserved words, and names may have dots."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._boxes: list[Box] = []  # kept alive, so that no id() is used twice
        self._next = 0

    def new(self) -> str:
        self._next += 1
        return f"x{self._next}"

    def of(self, box: Box) -> str:
        if id(box) not in self._ids:
            self._ids[id(box)] = self.new()
            self._boxes.append(box)
        return self._ids[id(box)]
