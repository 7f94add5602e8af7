"""The picture of a lab: everything is in it once, nothing overlaps, and it is the same every time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed.observe.graph import MOST_PODS, plan_picture
from testbed.observe.graph_mermaid import render_mermaid
from testbed.observe.graph_svg import render_svg
from testbed.operations.loading import read_sources
from testbed.operations.memory import Memory
from testbed.operations.sources import SourceText, read_refs, with_replicas
from tests.unit.cli.test_edits import DEMO, remember

GOLDEN = Path(__file__).parent / "golden" / "demo.mmd"
Rectangle = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def demo() -> Memory:
    return remember(read_sources((str(DEMO),)))


def scaled(replicas: int) -> Memory:
    sources: tuple[SourceText, ...] = read_sources((str(DEMO),))
    web = next(ref for ref in read_refs(sources) if ref.kind == "Deployment")
    return remember(with_replicas(sources, web, replicas))


def rectangles(svg: str) -> list[tuple[str, Rectangle]]:
    """(class, (left, top, right, bottom)) of every rectangle that has a class."""
    found = []
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"):  # noqa: S314 - our own
        if css := element.get("class"):
            x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
            found.append((css, (x, y, x + width, y + height)))
    return found


def inside(a: Rectangle, b: Rectangle) -> bool:
    return b[0] <= a[0] and b[1] <= a[1] and a[2] <= b[2] and a[3] <= b[3]


def apart(a: Rectangle, b: Rectangle) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_mermaid_of_the_demo_is_the_golden_text(demo: Memory) -> None:
    assert render_mermaid(plan_picture("demo", demo)) == GOLDEN.read_text()


def test_svg_has_every_name_and_address_once(demo: Memory) -> None:
    svg = render_svg(plan_picture("demo", demo))
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]  # noqa: S314
    for pod in demo.pods:
        if pod.namespace == "kube-system":
            assert pod.name not in texts
            continue
        assert texts.count(pod.name) == 1
        assert texts.count(str(pod.address)) == 1
    for node in demo.nodes:
        assert texts.count(node.name) == 1


@pytest.mark.parametrize("replicas", [0, 1, 4, 13, 120])
def test_boxes_are_inside_or_apart_never_across(replicas: int) -> None:
    boxes = rectangles(render_svg(plan_picture("demo", scaled(replicas))))
    for position, (_, a) in enumerate(boxes):
        for _, b in boxes[position + 1 :]:
            assert inside(a, b) or inside(b, a) or apart(a, b)


def test_many_pods_are_a_number() -> None:
    picture = plan_picture("demo", scaled(120))
    svg = render_svg(picture)
    assert sum(css == "pod" for css, _ in rectangles(svg)) == 2 * MOST_PODS
    assert "more pods" in svg
    assert "more pods" in render_mermaid(picture)


def test_the_same_lab_gives_the_same_picture(demo: Memory) -> None:
    assert render_svg(plan_picture("demo", demo)) == render_svg(plan_picture("demo", demo))
