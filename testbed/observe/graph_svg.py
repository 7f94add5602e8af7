"""A picture as SVG: boxes in rows, the cloud fabric as a bar above them, a line for each link. Deterministic.

Each object is a ``g`` with its id in ``data-id``; each layer has a class, so that a page can hide it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from testbed.observe.graph import Box, Picture, TunnelBox
from testbed.observe.graph_blocks import (
    BADGE,
    CHAR,
    GAP,
    LINE,
    PAD,
    TITLE,
    Block,
    eips_block,
    leaf,
    row,
    row_width,
    rows,
    vpc_block,
)

_BAR = 34
_GAP_LINK, _GAP_TUNNEL = GAP / 2 - 3, GAP / 2 + 3  # where lines go between columns
_LEAST_WIDTH = 720  # for Services and groups below a small lab
_LAYER_OF = {
    "table": "routes",
    "pod": "pods",
    "nat": "gateways",
    "peering": "gateways",
    "eip": "eips",
    "eips": "eips",
}

STYLE = """
  text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1f2933}
  .t{font-weight:700}.d{fill:#616e7c}
  rect{rx:6;stroke-width:1.2}
  .vpc{fill:#f4f8ff;stroke:#8fb3e8}.subnet{fill:#ffffff;stroke:#b8c8dd;stroke-dasharray:5 4}
  .node{fill:#eaf6ec;stroke:#4c9a5b}.pod{fill:#ffffff;stroke:#7fbf8c}.server{fill:#fff6e5;stroke:#d69b2d}
  .balancer{fill:#fdeee6;stroke:#d9743a}.internet{fill:#f3ecfb;stroke:#8a63c7}.fabric{fill:#dce7f7;stroke:#5b84c4}
  .table{fill:#eef2f7;stroke:#8795a7}.service{fill:#e8f7f8;stroke:#3aa0a8}.ingress{fill:#dff3ea;stroke:#2f9e6e}.group{fill:#fdf0f4;stroke:#c65b7c}
  .eips{fill:#faf7fd;stroke:#c9b6e4;stroke-dasharray:5 4}.eip{fill:#ffffff;stroke:#8a63c7}
  .nat{fill:#e9f0e4;stroke:#6f9348}.peering{fill:#e4ecf5;stroke:#4f74a8}
  .tunnel{fill:#fbf6dc;stroke:#b59a1f}.badge{rx:4;fill:#c65b7c;stroke:none}.n{fill:#ffffff;font-weight:700}
  path{stroke:#8795a7;stroke-width:1.4;fill:none}path.tun{stroke:#b59a1f;stroke-dasharray:6 4}
"""


@dataclass
class _Canvas:
    """What is drawn, from back to front: boxes of VPCs and subnets, then links, then what the links end at."""

    back: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    front: list[str] = field(default_factory=list)
    bottoms: dict[str, str] = field(default_factory=dict)  # by id: how a line leaves the box for below

    @property
    def shapes(self) -> list[str]:
        return [*self.back, *self.links, *self.front]


def render_svg(picture: Picture) -> str:
    canvas = _Canvas()
    vpcs = [vpc_block(vpc) for vpc in picture.vpcs]
    internet = [leaf(box, hangs=True) for box in picture.internet]
    if picture.eips:
        internet.append(eips_block(picture.eips, max(row_width(vpcs) - row_width(internet), _LEAST_WIDTH)))
    inner = max(row_width(internet), row_width(vpcs), len(picture.caption) * CHAR, _least(picture))
    top = PAD + TITLE
    bar = top + (max((block.height for block in internet), default=0) + 40 if internet else 10)
    below = bar + _BAR + 36
    for x, block in row(internet, PAD):
        canvas.links.append(_in_layer(block, _path(x + block.width / 2, top + block.height, bar)))
        _draw(canvas, block, x, top, None)
    for x, block in row(vpcs, PAD):
        _draw(canvas, block, x, below, bar + _BAR)
    y = below + max((block.height for block in vpcs), default=0) + PAD
    y = _tunnels(canvas, picture.tunnels, y, inner)
    y = _shelf(canvas, "services", "Services and Ingresses", picture.services, y, inner)
    y = _shelf(canvas, "groups", "security groups (their numbers are on their members)", picture.groups, y, inner)
    fabric = [
        f'<rect class="fabric" x="{PAD}" y="{bar:g}" width="{inner:g}" height="{_BAR}"/>',
        _text(PAD + 12, bar + 22, "cloud fabric: routes, security groups, addresses", "t"),
    ]
    caption = _text(PAD, PAD + 8, picture.caption, "d caption")
    return _page(picture.caption, inner + 2 * PAD, y, [caption, *canvas.back, *canvas.links, *fabric, *canvas.front])


def _page(title: str, width: float, height: float, shapes: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">'
    )
    style = f"<title>{escape(title)}</title><style>{STYLE}</style>"
    white = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff" stroke="none"/>'
    return "\n".join([head, style, white, *shapes, "</svg>"]) + "\n"


def _least(picture: Picture) -> float:
    """Room for the widest Service or group, and for the tunnels' title."""
    shelves = [leaf(box).width for box in (*picture.services, *picture.groups)]
    titles = [len(tunnel.title) * CHAR + 24 for tunnel in picture.tunnels]
    return max([*shelves, *titles, _LEAST_WIDTH if shelves else 0], default=0)


def _draw(canvas: _Canvas, block: Block, x: float, y: float, fabric: float | None) -> None:
    """The block's shapes, and a link down from the fabric to each thing that hangs on it."""
    if block.hangs and fabric is not None:
        canvas.links.append(_link(block, x, y, fabric))
    if block.css:
        shape = _shape(block, x, y)
        (canvas.back if block.css in ("vpc", "subnet", "eips") else canvas.front).append(shape)
        canvas.bottoms[block.id] = _way_down(block, x, y)
    for dx, dy, child in block.children:
        _draw(canvas, child, x + dx, y + dy, fabric)


def _link(block: Block, x: float, y: float, fabric: float) -> str:
    """From the fabric: beside the titles that it passes, and beside the boxes above."""
    if block.above:
        right = x + block.width
        return f'<path d="M{right + _GAP_LINK:g} {fabric:g}V{y + 12:g}H{right:g}"/>'
    return _path(x + block.width - PAD, fabric, y)


def _way_down(block: Block, x: float, y: float) -> str:
    """How a line begins that goes down from the box, past what is below it."""
    if block.below:
        right = x + block.width
        return f"M{right:g} {y + block.height - 12:g}H{right + _GAP_TUNNEL:g}"
    return f"M{x + block.width / 2:g} {y + block.height:g}"


def _shape(block: Block, x: float, y: float) -> str:
    size = f'width="{block.width:g}" height="{block.height:g}"'
    after = BADGE + 6 if block.number else 0
    shapes = [f'<rect class="{block.css}" x="{x:g}" y="{y:g}" {size}/>']
    shapes.append(_text(x + PAD + after, y + 17, block.title, "t"))
    shapes += [_text(x + PAD, y + 17 + LINE * (i + 1), line, "d") for i, line in enumerate(block.lines)]
    if block.number:
        shapes.append(_badge(block.number, x + PAD, y + 5))
    top = y + 17 + LINE * len(block.lines) + 5
    shapes += [_badge(number, x + PAD + i * (BADGE + 4), top) for i, number in enumerate(block.badges)]
    known = f" data-id={quoteattr(block.id)}" if block.id else ""
    return _in_layer(block, "".join(shapes), known)


def _in_layer(block: Block, shapes: str, known: str = "") -> str:
    layer = f' class="layer-{_LAYER_OF[block.css]}"' if block.css in _LAYER_OF else ""
    return f"<g{layer}{known}>{shapes}</g>"


def _badge(number: int, x: float, y: float) -> str:
    middle = x + BADGE / 2 - len(str(number)) * CHAR / 2
    square = f'<rect class="badge" x="{x:g}" y="{y:g}" width="{BADGE}" height="15"/>'
    return f'<g class="layer-groups">{square}{_text(middle, y + 12, str(number), "n")}</g>'


def _tunnels(canvas: _Canvas, tunnels: Sequence[TunnelBox], y: float, width: float) -> float:
    """A bar for each cluster's tunnels, below the nodes that it joins; where the next row begins."""
    for tunnel in tunnels:
        y += 18
        ends = [canvas.bottoms[node] for node in tunnel.nodes if node in canvas.bottoms]
        drawn = "".join(f'<path class="tun" d="{end}V{y:g}"/>' for end in ends)
        canvas.links.append(f'<g class="layer-tunnels">{drawn}</g>')
        shape = f'<rect class="tunnel" x="{PAD}" y="{y:g}" width="{width:g}" height="{_BAR}"/>'
        text = _text(PAD + 12, y + 22, tunnel.title, "t")
        canvas.front.append(f'<g class="layer-tunnels" data-id={quoteattr(tunnel.id)}>{shape}{text}</g>')
        y += _BAR + GAP
    return y


def _shelf(canvas: _Canvas, layer: str, title: str, boxes: Sequence[Box], y: float, width: float) -> float:
    """Boxes in as many rows as they need, under a title; where the next row begins."""
    if not boxes:
        return y
    shelf = _Canvas()
    shelf.front.append(_text(PAD, y + 14, title, "t"))
    y += TITLE + 4
    for blocks in rows([leaf(box) for box in boxes], width):
        for x, block in row(blocks, PAD):
            _draw(shelf, block, x, y, None)
        y += max(block.height for block in blocks) + 10
    canvas.front.append(f'<g class="layer-{layer}">{"".join(shelf.shapes)}</g>')
    return y + GAP


def _path(x: float, top: float, bottom: float) -> str:
    return f'<path d="M{x:g} {top:g}V{bottom:g}"/>'


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
