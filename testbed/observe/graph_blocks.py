"""Where everything of a picture is: rectangles with text in rectangles, placed relative to their parent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from testbed.observe.graph import Box, SubnetBox, VpcBox

PAD, GAP = 14, 16
LINE, TITLE = 15, 22
CHAR = 7.8  # width of a character of the 12 px monospace font, bold included
BADGE = 18  # width of a security group's number
_PODS_IN_A_ROW = 2
_WIDEST = 1500  # more boxes of a subnet than fit in this are in several rows
_LINK_ROOM = 30  # beside a title, for the link that passes it


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle with a title, lines of text, badges and blocks in it. ``hangs``: linked to the fabric.

    ``above``, ``below``: others are there, so that lines come and go by the gap to its right.
    """

    css: str
    title: str
    lines: tuple[str, ...]
    width: float
    height: float
    children: tuple[tuple[float, float, Block], ...] = ()
    hangs: bool = False
    id: str = ""
    badges: tuple[int, ...] = ()
    number: int = 0
    above: bool = False
    below: bool = False


def leaf(box: Box, *, hangs: bool = False) -> Block:
    """A box without others in it."""
    longest = max(len(line) for line in (box.name, *box.lines)) * CHAR + (BADGE + 6 if box.number else 0)
    width = max(longest, len(box.groups) * (BADGE + 4)) + 2 * PAD
    height = TITLE + LINE * len(box.lines) + 8 + _badge_room(box)
    return Block(box.kind, box.name, box.lines, width, height, (), hangs, box.id, box.groups, box.number)


def vpc_block(vpc: VpcBox) -> Block:
    """Its route tables and ways out first, then its subnets: the links from above pass nothing."""
    first = [leaf(box) for box in (*vpc.tables, *vpc.ways)]
    column = [_column(first)] if first else []
    titles = _text_width(f"VPC {vpc.name}", vpc.cidrs) - sum(block.width + GAP for block in column)
    subnets = [_subnet(subnet, 0 if position else titles) for position, subnet in enumerate(vpc.subnets)]
    inside = [*column, *subnets]
    return _container("vpc", f"VPC {vpc.name}", (vpc.cidrs,), inside)


def eips_block(eips: Sequence[Box], width: float) -> Block:
    """All elastic IPs in one frame, in rows of at most ``width``; it hangs on the fabric."""
    placed, y = [], float(TITLE + 8)
    for blocks in rows([leaf(box) for box in eips], width):
        placed += [(x, y, block) for x, block in row(blocks, PAD)]
        y += max(block.height for block in blocks) + 8
    inner = max(x + block.width for x, _, block in placed) + PAD
    return Block("eips", "elastic IPs", (), max(inner, _text_width("elastic IPs")), y + 6, tuple(placed), True)


def row(blocks: Sequence[Block], start: float) -> Iterator[tuple[float, Block]]:
    for block in blocks:
        yield start, block
        start += block.width + GAP


def row_width(blocks: Sequence[Block]) -> float:
    return sum(block.width for block in blocks) + GAP * max(0, len(blocks) - 1)


def rows(blocks: Sequence[Block], width: float) -> Iterator[list[Block]]:
    """The blocks in rows of at most ``width``."""
    current: list[Block] = []
    for block in blocks:
        if current and row_width([*current, block]) > width:
            yield current
            current = []
        current.append(block)
    if current:
        yield current


def _badge_room(box: Box) -> int:
    return BADGE if box.groups else 0


def _node(box: Box) -> Block:
    pods = [leaf(pod) for pod in box.inside]
    lines = (*box.lines, *((f"and {box.more} more pods",) if box.more else ()))
    head = TITLE + LINE * len(lines) + 10 + _badge_room(box)
    column = max((pod.width for pod in pods), default=0.0)
    height = max((pod.height for pod in pods), default=0.0)
    pods = [replace(pod, width=column) for pod in pods]
    placed = tuple(
        (PAD + (i % _PODS_IN_A_ROW) * (column + 8), head + (i // _PODS_IN_A_ROW) * (height + 8), pod)
        for i, pod in enumerate(pods)
    )
    inner = min(len(pods), _PODS_IN_A_ROW) * (column + 8) - 8 if pods else 0
    width = max(inner, max(len(line) for line in (box.name, *lines)) * CHAR) + 2 * PAD
    count = -(-len(pods) // _PODS_IN_A_ROW)
    return Block(
        "node", box.name, lines, width, head + count * (height + 8) + 6, placed, True, box.id, badges=box.groups
    )


def _subnet(subnet: SubnetBox, least: float) -> Block:
    """Its first box is at least as wide as the titles above it: its link passes beside them."""
    inside = [_node(box) if box.kind == "node" else leaf(box, hangs=True) for box in subnet.boxes]
    title = f"subnet {subnet.name}"
    if inside:
        inside[0] = replace(inside[0], width=max(inside[0].width, _text_width(title, subnet.cidr), least))
    if row_width(inside) > _WIDEST:
        return _grid("subnet", title, subnet.cidr, inside)
    return _container("subnet", title, (subnet.cidr,), inside)


def _text_width(*lines: str) -> float:
    return max(map(len, lines)) * CHAR + 2 * PAD


def _container(css: str, title: str, lines: tuple[str, ...], inside: Sequence[Block]) -> Block:
    head = TITLE + LINE * len(lines) + 10
    width = max(row_width(inside), max(len(line) for line in (title, *lines)) * CHAR + _LINK_ROOM) + 2 * PAD
    height = head + max((block.height for block in inside), default=0) + PAD
    return Block(css, title, lines, width, height, tuple((x, head, block) for x, block in row(inside, PAD)))


def _grid(css: str, title: str, line: str, inside: Sequence[Block]) -> Block:
    """As many columns of one width as there is room for."""
    column = max(block.width for block in inside)
    count = max(1, int((_WIDEST + GAP) // (column + GAP)))
    lines = [inside[at : at + count] for at in range(0, len(inside), count)]
    placed, y = [], float(TITLE + LINE + 10)
    for blocks in lines:
        above, below = blocks is not lines[0], blocks is not lines[-1]
        for number, block in enumerate(blocks):
            x = PAD + number * (column + GAP)
            placed.append((x, y, replace(block, width=column, above=above, below=below)))
        y += max(block.height for block in blocks) + GAP
    return Block(css, title, (line,), count * (column + GAP) - GAP + 2 * PAD, y - GAP + PAD, tuple(placed))


def _column(blocks: Sequence[Block]) -> Block:
    """Blocks one below the other, without a frame."""
    placed, y = [], 0.0
    for block in blocks:
        placed.append((0.0, y, block))
        y += block.height + 8
    return Block("", "", (), max(block.width for block in blocks), y, tuple(placed))
