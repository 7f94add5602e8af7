"""Files, manifests onto a lab, defaults, and how fast."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from testbed.model.cloud import WarmPool
from testbed.model.codec import from_plain, to_plain
from testbed.model.desired import NetworkModel
from testbed.model.lab import Lab
from testbed.spec import Code, SpecError, check_lab, load_lab, load_manifests, load_texts
from testbed.spec.source import MOST_BYTES, read_bytes, read_text
from tests.unit.counting import calls_of

GOOD = Path(__file__).parent / "good"
CLUSTER = """
apiVersion: cnlab.dev/v1
kind: Cluster
metadata: {name: demo}
spec: {networkModel: %s, nodePools: [{name: n, count: 2}]}
---
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec: {containers: [{name: c, image: echo}]}
---
"""


def faults_of(*texts: str, running: Lab | None = None):
    with pytest.raises(SpecError) as caught:
        load_texts([(f"{number}.yaml", text) for number, text in enumerate(texts)], running)
    return caught.value.faults


def lab_of(text: str) -> Lab:
    return load_texts([("lab.yaml", text)]).lab


@pytest.mark.parametrize("path", sorted(GOOD.glob("*.yaml")), ids=lambda path: path.stem)
def test_good_specs_load_and_survive_the_codec(path):
    loaded = load_lab([path])
    assert [fault for fault in loaded.warnings if "is checked but not enforced" not in fault.what] == []
    assert from_plain(Lab, to_plain(loaded.lab)) == loaded.lab
    assert [fault.what for fault in check_lab(loaded.lab)] == [fault.what for fault in loaded.warnings]


def test_every_model_field_is_filled_by_some_good_spec():
    labs = [load_lab([path]).lab for path in GOOD.glob("*.yaml")]
    empty = {name for name in Lab.__dataclass_fields__ if not any(getattr(lab, name) for lab in labs)}
    assert empty == set()


def test_missing_files_and_folders_are_faults_beside_others(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "fifo").mkdir()
    with pytest.raises(SpecError) as caught:
        load_lab([tmp_path / "none.yaml", tmp_path / "fifo", tmp_path / "bad.yaml"])
    assert [fault.code for fault in caught.value.faults] == [
        Code.FILE_UNREADABLE,
        Code.FILE_UNREADABLE,
        Code.YAML_SYNTAX,
    ]
    assert "No such file or directory" in str(caught.value.faults[0])
    assert "Is a directory" in str(caught.value.faults[1])


def test_devices_are_not_read():
    with pytest.raises(SpecError) as caught:
        load_lab([Path("/dev/zero")])
    assert "is a device" in str(caught.value)


def test_too_large_files_are_refused():
    (fault,) = read_bytes(b"x" * (MOST_BYTES + 1), "big.yaml").faults
    assert fault.code is Code.FILE_TOO_BIG


def test_too_many_documents_are_refused():
    (fault,) = read_text("--- {}\n" * 5001, "many.yaml").faults
    assert fault.code is Code.YAML_DOCUMENTS


def test_byte_order_mark_and_windows_line_ends_are_fine():
    reading = read_bytes(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\n", "windows.yaml")
    assert reading.faults == ()
    assert [document.value for document in reading.documents] == [{"a": 1, "b": "x\ny\n"}]


def test_file_modes_may_be_octal():
    (document,) = read_text("volumes: [{secret: {defaultMode: 0644}}]", "modes.yaml").documents
    assert document.faults == []
    assert document.value["volumes"][0]["secret"]["defaultMode"] == 0o644


def test_hostile_texts_are_refused():
    for text in ("a: " + "[" * 500_000, "a: " + "{" * 500_000, "? " * 250_000, "- " * 250_000):
        assert read_text(text, "hostile.yaml").faults


def test_faults_of_several_files_come_in_the_order_of_the_files():
    faults = faults_of("a: [", CLUSTER % "tunnle", POD % ("Web", "web"))
    assert [fault.file for fault in faults] == ["0.yaml", "1.yaml", "2.yaml"]


def test_a_refused_document_causes_no_faults_in_those_that_name_it():
    vpc = "apiVersion: cnlab.dev/v1\nkind: Vpc\nmetadata: {name: a}\nspec: {cidr: 10.0.0.0/99}\n---\n"
    subnet = "apiVersion: cnlab.dev/v1\nkind: Subnet\nmetadata: {name: s}\nspec: {vpc: a, cidr: 10.0.0.0/24}\n---\n"
    faults = faults_of(vpc + subnet + CLUSTER % "eni" + POD % ("web", "web"))
    assert [fault.code for fault in faults] == [Code.CIDR_SYNTAX]


@pytest.mark.parametrize("model", ["tunnel", "vpc", "eni"])
def test_a_cluster_that_says_little_gets_a_place(model):
    lab = lab_of(CLUSTER % model)
    (cluster,) = lab.clusters
    assert cluster.model is NetworkModel(model)
    assert (cluster.vpc, cluster.node_subnet) == ("demo-vpc", "demo-nodes")
    assert cluster.service_cidr == IPv4Network("10.247.0.0/16")
    assert cluster.container_cidr == (None if model == "eni" else IPv4Network("172.16.0.0/16"))
    assert cluster.pod_subnets == (("demo-pods",) if model == "eni" else ())
    assert {item.source.line for item in lab.subnets} | {item.source.line for item in lab.vpcs} == {0}


def test_the_container_range_keeps_clear_of_the_vpc():
    vpc = "apiVersion: cnlab.dev/v1\nkind: Vpc\nmetadata: {name: a}\nspec: {cidr: 172.16.0.0/15}\n---\n"
    subnet = "apiVersion: cnlab.dev/v1\nkind: Subnet\nmetadata: {name: s}\nspec: {vpc: a, cidr: 172.16.0.0/24}\n---\n"
    assert lab_of(vpc + subnet + CLUSTER % "vpc").clusters[0].container_cidr == IPv4Network("172.18.0.0/16")


def test_a_node_pools_warm_pool_goes_before_the_clusters_and_percentages_are_of_its_quota():
    pools = """
  - {name: a, subENIs: 128, warmPool: {nicMinimumTarget: "10%", nicMaximumTarget: 60}}
  - {name: b, subENIs: 16}
  warmPool: {nicMinimumTarget: "50%", nicWarmTarget: 1}"""
    head = "apiVersion: cnlab.dev/v1\nkind: Cluster\nmetadata: {name: demo}\nspec:\n  networkModel: eni\n  nodePools:"
    first, second = lab_of(head + pools).clusters[0].pools
    assert first.warm_pool == WarmPool(12, 60, 2, 2)
    assert second.warm_pool == WarmPool(8, 0, 1, 2)


def test_nothing_but_a_cloud_is_a_lab():
    vpc = "apiVersion: cnlab.dev/v1\nkind: Vpc\nmetadata: {name: a}\nspec: {cidr: 10.0.0.0/16}\n"
    assert lab_of(vpc).clusters == ()


def test_manifests_replace_what_has_their_name(tmp_path):
    lab = lab_of(CLUSTER % "tunnel" + POD % ("web", "old") + POD % ("db", "db"))
    manifest = tmp_path / "web.yaml"
    manifest.write_text(POD % ("web", "new") + POD % ("cache", "cache"))
    changed = load_manifests([manifest], onto=lab).lab
    assert [(pod.name, dict(pod.template.labels)["app"]) for pod in changed.pods] == [
        ("web", "new"),
        ("db", "db"),
        ("cache", "cache"),
    ]
    assert changed.clusters == lab.clusters
    assert load_manifests([manifest], onto=changed).lab == changed


def test_manifests_are_judged_with_the_lab_that_they_join(tmp_path):
    lab = lab_of(CLUSTER % "tunnel")
    manifest = tmp_path / "web.yaml"
    manifest.write_text((POD % ("web", "web")).replace("spec: {", "spec: {nodeName: n-7, "))
    with pytest.raises(SpecError, match=r'node "n-7" does not exist; did you mean "n-2"'):
        load_manifests([manifest], onto=lab)


def test_a_running_cluster_keeps_its_model():
    lab = lab_of(CLUSTER % "tunnel")
    faults = faults_of(CLUSTER % "eni", running=lab)
    assert {fault.code for fault in faults} == {Code.FIELD_IMMUTABLE}
    assert 'networkModel cannot be changed: it is "tunnel", not "eni"' in str(faults[0])


def test_equal_names_in_other_namespaces_and_clusters_are_fine():
    lab = load_lab([GOOD / "policies.yaml"]).lab
    assert [(pod.cluster, pod.namespace, pod.name) for pod in lab.pods] == [
        ("tunnel", "red", "a"),
        ("routed", "blue", "a"),
    ]


def test_a_missing_target_port_is_the_port():
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"
    (port,) = lab_of(CLUSTER % "tunnel" + service).services[0].ports
    assert (port.port, port.target_port) == (80, "")


def test_work_grows_with_the_number_of_pods_and_not_faster():
    def check(count: int) -> None:
        pods = "".join(POD % (f"p-{i}", "web") for i in range(count))
        assert len(lab_of(CLUSTER.replace("count: 2", "count: 50") % "tunnel" + pods).pods) == count

    few, many = calls_of(lambda: check(20)), calls_of(lambda: check(80))
    assert many < 4 * few
