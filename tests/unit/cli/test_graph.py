"""The picture of a lab: everything is in it once, nothing overlaps, and it is the same every time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed.cli.seeing import _kind_of
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import plan_lab
from testbed.observe.graph import MOST_PODS, Picture, plan_picture
from testbed.observe.graph_details import Detail, boxes_of, owner_id
from testbed.observe.graph_html import render_html
from testbed.observe.graph_layers import LAYERS, add_layers
from testbed.observe.graph_mermaid import render_mermaid
from testbed.observe.graph_svg import render_svg
from testbed.operations.errors import BadRequestError
from testbed.operations.loading import load_sources, read_sources
from testbed.operations.memory import Memory
from testbed.operations.models import MODELS, with_model
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


def layered(name: str, model: str, layers: tuple[str, ...] = LAYERS) -> Picture:
    text = with_model((DEMO.parent / f"{name}.yaml").read_text(), model)
    plan = plan_lab(load_sources((SourceText(f"{name}.yaml", text),)).lab, Ledger(), 1, "userspace", 0.0)
    memory = remember((SourceText(f"{name}.yaml", text),))
    return add_layers(plan_picture(name, memory), memory, plan.fabric, plan.clusters, layers)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["services", "peered", "ingress", "cloud"])
def test_layers_overlap_nothing(name: str, model: str) -> None:
    svg = render_svg(layered(name, model))
    boxes = rectangles(svg)
    width, height = (float(ElementTree.fromstring(svg).attrib[side]) for side in ("width", "height"))  # noqa: S314
    for position, (_, a) in enumerate(boxes):
        assert inside(a, (0, 0, width, height))
        for _, b in boxes[position + 1 :]:
            assert inside(a, b) or inside(b, a) or apart(a, b)


@pytest.mark.parametrize("name", ["services", "peered", "ingress", "cloud"])
def test_no_line_passes_a_text(name: str) -> None:
    """Links are vertical lines; a text is as wide as its characters."""
    root = ElementTree.fromstring(render_svg(layered(name, "tunnel")))  # noqa: S314 - our own
    texts = []
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        x, y, words = float(element.attrib["x"]), float(element.attrib["y"]), element.text or ""
        texts.append((x, y - 12, x + len(words) * 7.2, y))
    for element in root.iter("{http://www.w3.org/2000/svg}path"):
        assert all(apart(line, text) for line in lines_of(element.attrib["d"]) for text in texts)


def lines_of(path: str) -> Iterator[Rectangle]:
    """``M10 20V40H15``: each line as a rectangle without a width or a height."""
    x, y = map(float, re.match(r"M(\S+?) ([\d.]+)", path).groups())  # type: ignore[union-attr]
    for direction, end in re.findall(r"([VH])([\d.]+)", path):
        to = (x, float(end)) if direction == "V" else (float(end), y)
        yield (min(x, to[0]), min(y, to[1]), max(x, to[0]), max(y, to[1]))
        x, y = to


def many_nodes(count: int) -> Picture:
    """The demo with as many nodes, most of them without pods."""
    text = DEMO.read_text().replace("names: [n1, n2]", f"names: [{', '.join(f'n{n}' for n in range(1, count + 1))}]")
    memory = remember((SourceText("demo.yaml", text),))
    plan = plan_lab(memory.lab, Ledger(), 1, "userspace", 0.0)
    return add_layers(plan_picture("demo", memory), memory, plan.fabric, plan.clusters, LAYERS)


@pytest.mark.parametrize("count", [1, 7, 40])
def test_many_nodes_are_in_rows_with_their_lines_between_them(count: int) -> None:
    svg = render_svg(many_nodes(count))
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert float(root.attrib["width"]) < 2600
    boxes = rectangles(svg)
    nodes = [box for css, box in boxes if css == "node"]
    assert len(nodes) == count
    for position, (_, a) in enumerate(boxes):
        assert all(inside(a, b) or inside(b, a) or apart(a, b) for _, b in boxes[position + 1 :])
    lines = [line for one in root.iter("{http://www.w3.org/2000/svg}path") for line in lines_of(one.attrib["d"])]
    crossing = [(line, node) for line in lines for node in nodes if not apart(line, node)]
    assert crossing == [], "a line ends at a node and passes none"


def test_layers_are_what_was_asked_for() -> None:
    everything = layered("services", "tunnel")
    assert [tunnel.nodes for tunnel in everything.tunnels] == [("Node/n1", "Node/n2", "Node/n3")]
    assert "node-port" in [service.name for service in everything.services]
    assert {group.name for group in everything.groups} >= {"demo/open", "demo/demo-cce-node"}
    assert everything.vpcs[0].tables[0].lines == (
        "192.168.0.0/16 local", "10.1.0.0/16 > peering demo-peer", "100.125.16.2/32 > elb-shared",
    )  # fmt: skip
    (hosts, _) = (box for box in layered("ingress", "tunnel").services if box.kind == "ingress")
    assert hosts.lines == ("a.test/ > a", "near.test/ > near", "*.foo.com/ > b")
    bare = layered("services", "tunnel", ())
    assert (bare.tunnels, bare.services, bare.groups, bare.vpcs[0].tables) == ((), (), (), ())
    assert "web-0" not in render_svg(bare)
    assert "VXLAN" not in render_svg(layered("services", "vpc")), "other models have no tunnels"


def test_ways_out_of_a_vpc_say_what_they_translate_and_where_they_lead() -> None:
    picture = layered("cloud", "tunnel")
    boxes = {box.id: box for box in boxes_of(picture)}
    gateway = boxes["NatGateway/nat"]
    assert gateway.lines == (
        "SNAT 10.0.1.0/24 > 198.51.100.10",
        "DNAT 198.51.100.10:80/tcp > red-vm 10.0.1.2:8080",
    )
    assert gateway.to == ("Server/red-vm",)
    assert boxes["ElasticIP/nat"].lines == ("198.51.100.10", "for NAT gateway nat")
    assert boxes["ElasticIP/blue-vm"].to == ("Server/blue-vm",)
    assert boxes["VpcPeering/red-blue"].lines == ("VPC red 10.0.0.0/16", "VPC blue 10.1.0.0/16")
    assert boxes["VpcPeering/red-blue"].to == ("RouteTable/red", "RouteTable/blue")
    assert all(other in boxes for box in boxes.values() for other in box.to), "a click marks boxes that there are"
    balanced = {box.id: box for box in boxes_of(layered("services", "eni"))}["ElasticIP/for-elb"]
    assert balanced.lines[-1] == "for elb-dedicated"
    assert balanced.to == ("LoadBalancer/elb-dedicated",)


def test_an_elastic_ip_of_nobody_says_so() -> None:
    text = (DEMO.parent / "cloud.yaml").read_text().replace("  boundTo: {server: blue-vm}", "  address: 198.51.100.77")
    memory = remember((SourceText("cloud.yaml", text),))
    plan = plan_lab(memory.lab, Ledger(), 1, "userspace", 0.0)
    (_, idle) = add_layers(plan_picture("cloud", memory), memory, plan.fabric, plan.clusters, ("eips",)).eips
    assert idle.lines == ("198.51.100.77", "bound to nothing")


def test_mermaid_draws_the_layers_too() -> None:
    lines = [line.strip() for line in render_mermaid(layered("cloud", "tunnel")).splitlines()]
    ids = {name: short for line in lines for short, name in re.findall(r'^(x\d+)\["(.*?)<br/>', line)}
    assert f"{ids['EIP nat']} -.-> {ids['NAT gateway nat']}" in lines
    assert f"{ids['NAT gateway nat']} -.-> {ids['red-vm']}" in lines
    assert sum('["peering red-blue<br/>' in line for line in lines) == 1, "one peering, though in both VPCs"
    bare = render_mermaid(layered("cloud", "tunnel", ("pods",)))
    assert "NAT gateway" not in bare
    assert "EIP" not in bare
    tunnels = render_mermaid(layered("services", "tunnel"))
    assert tunnels.count(" === ") == 3, "a line to each node"


def test_a_member_of_a_group_carries_its_number() -> None:
    picture = layered("peered", "eni")
    numbers = {group.name: group.number for group in picture.groups}
    boxes = {box.name: box for box in boxes_of(picture)}
    assert boxes["vm-1"].groups == (numbers["demo/nodes-only"],)
    assert boxes["web-0"].groups == (numbers["demo/demo-cce-eni"],)


def test_the_page_is_whole_and_its_script_cannot_be_ended_by_a_name() -> None:
    picture = layered("peered", "tunnel")
    hostile = Detail("</script><b>", "", (("flows", ("</script>",)),))
    page = render_html(picture, {"Pod/default/web-0": hostile})
    assert page.count("</script>") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", ""), "nothing is loaded"
    data = re.search(r'id="details">(.*?)</script>', page)
    assert data is not None
    assert json.loads(data[1])["Pod/default/web-0"]["title"] == "</script><b>"


@pytest.mark.parametrize(
    ("owner", "box"),
    [
        ("Pod/default/web-0", "Pod/default/web-0"),
        ("SecurityGroup/open (a.yaml:3)", "SecurityGroup/open"),
        ("SecurityGroup/demo/open", "SecurityGroup/open"),
        ("Cluster/demo (generated group demo-cce-node)", "SecurityGroup/demo-cce-node"),
        ("RouteTable/demo-main (a.yaml:9)", "RouteTable/demo-main"),
    ],
)
def test_flows_find_their_box(owner: str, box: str) -> None:
    assert owner_id(owner) == box


def test_the_files_name_says_what_is_written() -> None:
    assert [_kind_of(name) for name in ("a.svg", "a.HTML", "a.mmd", None)] == ["svg", "html", "mermaid", "mermaid"]
    for name in ("a.png", "a"):
        with pytest.raises(BadRequestError, match=r"\.svg, \.html or \.mmd says what to write"):
            _kind_of(name)
