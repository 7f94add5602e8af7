"""A picture as SVG: boxes in rows, the cloud fabric as a bar above them, a line for each link. Deterministic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from testbed.observe.graph import Box, Picture, SubnetBox, VpcBox

_PAD, _GAP = 14, 16
_LINE, _TITLE = 15, 22
_CHAR = 7.8  # width of a character of the 12 px monospace font, bold included
_PODS_IN_A_ROW = 2
_BAR = 34
_LINK_ROOM = 30  # beside a title, for the link that passes it

_STYLE = """
  text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1f2933}
  .t{font-weight:700}.d{fill:#616e7c}
  rect{rx:6;stroke-width:1.2}
  .vpc{fill:#f4f8ff;stroke:#8fb3e8}.subnet{fill:#ffffff;stroke:#b8c8dd;stroke-dasharray:5 4}
  .node{fill:#eaf6ec;stroke:#4c9a5b}.pod{fill:#ffffff;stroke:#7fbf8c}.server{fill:#fff6e5;stroke:#d69b2d}
  .internet{fill:#f3ecfb;stroke:#8a63c7}.fabric{fill:#dce7f7;stroke:#5b84c4}
  path{stroke:#8795a7;stroke-width:1.4;fill:none}
"""


@dataclass(frozen=True, slots=True)
class _Block:
    """A rectangle with a title, lines of text and blocks in it, placed relative to its parent."""

    css: str
    title: str
    lines: tuple[str, ...]
    width: float
    height: float
    children: tuple[tuple[float, float, _Block], ...] = ()
    hangs: bool = False


def render_svg(picture: Picture) -> str:
    internet = [_leaf(box, hangs=True) for box in picture.internet]
    vpcs = [_vpc(vpc) for vpc in picture.vpcs]
    width = max(_row_width(internet), _row_width(vpcs), len(picture.caption) * _CHAR) + 2 * _PAD
    top = _PAD + _TITLE
    bar = top + (max((block.height for block in internet), default=0) + 40 if internet else 10)
    below = bar + _BAR + 36
    height = below + max((block.height for block in vpcs), default=0) + _PAD
    shapes: list[str] = []
    links: list[str] = []
    for x, block in _row(internet, _PAD):
        links.append(_path(x + block.width / 2, top + block.height, bar))
        shapes += _draw(block, x, top, links, None)
    for x, block in _row(vpcs, _PAD):
        shapes += _draw(block, x, below, links, bar + _BAR)
    fabric = f'<rect class="fabric" x="{_PAD}" y="{bar}" width="{width - 2 * _PAD:g}" height="{_BAR}"/>'
    label = _text(_PAD + 12, bar + 22, "cloud fabric: routes, security groups, addresses", "t")
    caption = _text(_PAD, _PAD + 8, picture.caption, "d")
    # Boxes of VPCs and subnets first, then links, then what the links end at: a link is seen, not its crossing.
    back = [shape for shape in shapes if 'class="vpc"' in shape or 'class="subnet"' in shape]
    front = [shape for shape in shapes if shape not in back]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">'
    )
    title = f"<title>{escape(picture.caption)}</title><style>{_STYLE}</style>"
    white = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff" stroke="none"/>'
    return "\n".join([head, title, white, caption, *back, *links, fabric, label, *front, "</svg>"]) + "\n"


def _leaf(box: Box, *, hangs: bool = False) -> _Block:
    width = max(len(line) for line in (box.name, *box.lines)) * _CHAR + 2 * _PAD
    return _Block(box.kind, box.name, box.lines, width, _TITLE + _LINE * len(box.lines) + 8, hangs=hangs)


def _node(box: Box) -> _Block:
    pods = [_leaf(pod) for pod in box.inside]
    lines = (*box.lines, *((f"and {box.more} more pods",) if box.more else ()))
    head = _TITLE + _LINE * len(lines) + 10
    column = max((pod.width for pod in pods), default=0.0)
    row = max((pod.height for pod in pods), default=0.0)
    pods = [replace(pod, width=column) for pod in pods]
    placed = tuple(
        (_PAD + (i % _PODS_IN_A_ROW) * (column + 8), head + (i // _PODS_IN_A_ROW) * (row + 8), pod)
        for i, pod in enumerate(pods)
    )
    inner = min(len(pods), _PODS_IN_A_ROW) * (column + 8) - 8 if pods else 0
    text = max(len(line) for line in (box.name, *lines)) * _CHAR
    rows = -(-len(pods) // _PODS_IN_A_ROW)
    return _Block("node", box.name, lines, max(inner, text) + 2 * _PAD, head + rows * (row + 8) + 6, placed, hangs=True)


def _subnet(subnet: SubnetBox) -> _Block:
    inside = [_node(box) if box.kind == "node" else _leaf(box, hangs=True) for box in subnet.boxes]
    return _container("subnet", f"subnet {subnet.name}", (subnet.cidr,), inside)


def _vpc(vpc: VpcBox) -> _Block:
    return _container("vpc", f"VPC {vpc.name}", (vpc.cidrs,), [_subnet(subnet) for subnet in vpc.subnets])


def _container(css: str, title: str, lines: tuple[str, ...], inside: Sequence[_Block]) -> _Block:
    head = _TITLE + _LINE * len(lines) + 10
    width = max(_row_width(inside), max(len(line) for line in (title, *lines)) * _CHAR + _LINK_ROOM) + 2 * _PAD
    height = head + max((block.height for block in inside), default=0) + _PAD
    return _Block(css, title, lines, width, height, tuple((x, head, block) for x, block in _row(inside, _PAD)))


def _row(blocks: Sequence[_Block], start: float) -> Iterator[tuple[float, _Block]]:
    for block in blocks:
        yield start, block
        start += block.width + _GAP


def _row_width(blocks: Sequence[_Block]) -> float:
    return sum(block.width for block in blocks) + _GAP * max(0, len(blocks) - 1)


def _draw(block: _Block, x: float, y: float, links: list[str], fabric: float | None) -> list[str]:
    """The block's shapes; links from the fabric down to what hangs on it are added to ``links``."""
    if block.hangs and fabric is not None:
        links.append(_path(x + block.width - _PAD, fabric, y))  # beside the titles that it passes
    size = f'width="{block.width:g}" height="{block.height:g}"'
    shapes = [f'<rect class="{block.css}" x="{x:g}" y="{y:g}" {size}/>', _text(x + _PAD, y + 17, block.title, "t")]
    shapes += [_text(x + _PAD, y + 17 + _LINE * (i + 1), line, "d") for i, line in enumerate(block.lines)]
    for dx, dy, child in block.children:
        shapes += _draw(child, x + dx, y + dy, links, fabric)
    return shapes


def _path(x: float, top: float, bottom: float) -> str:
    return f'<path d="M{x:g} {top:g}V{bottom:g}"/>'


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
