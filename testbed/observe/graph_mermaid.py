"""A picture as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.observe.graph import Box, Picture, VpcBox


def render_mermaid(picture: Picture) -> str:
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    names = _Names()
    yield f"%% {picture.caption}"
    yield "flowchart TB"
    yield '  fabric(["cloud fabric"])'
    if picture.internet or picture.eips:
        yield '  subgraph internet["internet"]'
        for box in (*picture.internet, *picture.eips):
            yield f"    {names.of(box)}{_label(box)}"
        yield "  end"
    for vpc in picture.vpcs:
        yield from _vpc(vpc, names)
    yield from _shelf("Services and Ingresses", picture.services, names)
    yield from _shelf("security groups", picture.groups, names)
    yield from _links(picture, names)


def _vpc(vpc: VpcBox, names: _Names) -> Iterator[str]:
    yield f'  subgraph {names.new()}["VPC {vpc.name}<br/>{vpc.cidrs}"]'
    for box in (*vpc.tables, *(way for way in vpc.ways if not names.knows(way))):
        yield f"    {names.of(box)}{_label(box)}"
    for subnet in vpc.subnets:
        yield f'    subgraph {names.new()}["subnet {subnet.name}<br/>{subnet.cidr}"]'
        for box in subnet.boxes:
            yield from _box(box, names)
        yield "    end"
    yield "  end"


def _shelf(title: str, boxes: Sequence[Box], names: _Names) -> Iterator[str]:
    if boxes:
        yield f'  subgraph {names.new()}["{title}"]'
        for box in boxes:
            yield f"    {names.of(box)}{_label(box)}"
        yield "  end"


def _links(picture: Picture, names: _Names) -> Iterator[str]:
    """Cables as lines; what leads to what as dotted arrows; tunnels between nodes thick."""
    for box in picture.internet:
        yield f"  {names.of(box)} --- fabric"
    for vpc in picture.vpcs:
        for subnet in vpc.subnets:
            for box in subnet.boxes:
                yield f"  fabric --- {names.of(box)}"
    ways = dict.fromkeys(way for vpc in picture.vpcs for way in vpc.ways)
    for box in (*picture.eips, *ways):
        yield from (f"  {names.of(box)} -.-> {name}" for owner in box.to if (name := names.drawn(owner)))
    for tunnel in picture.tunnels:
        middle = names.new()
        yield f'  {middle}(["{tunnel.title}"])'
        yield from (f"  {middle} === {name}" for node in tunnel.nodes if (name := names.drawn(node)))


def _box(box: Box, names: _Names) -> Iterator[str]:
    if box.kind != "node":
        yield f"      {names.of(box)}{_label(box)}"
        return
    yield f'      subgraph {names.of(box)}["{"<br/>".join((box.name, *box.lines))}"]'
    for pod in box.inside:
        yield f"        {names.of(pod)}{_label(pod)}"
    if box.more:
        yield f'        {names.new()}["and {box.more} more pods"]'
    if not box.inside and not box.more:
        yield f'        {names.new()}["no pods"]'
    yield "      end"


def _label(box: Box) -> str:
    text = "<br/>".join((box.name, *box.lines))
    return f'("{text}")' if box.kind == "pod" else f'["{text}"]'


class _Names:
    """Short ids: Mermaid has reserved words, and names may have dots."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._next = 0

    def new(self) -> str:
        self._next += 1
        return f"x{self._next}"

    def of(self, box: Box) -> str:
        if box.id not in self._ids:
            self._ids[box.id] = self.new()
        return self._ids[box.id]

    def knows(self, box: Box) -> bool:
        return box.id in self._ids

    def drawn(self, owner: str) -> str:
        """The short id of what is drawn; "" for what is not."""
        return self._ids.get(owner, "")
