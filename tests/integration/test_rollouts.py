"""A Deployment whose template changes is replaced pod by pod, and its Service's clients notice nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.emulation.rundir import RunDir
from testbed.observe.status import View
from testbed.observe.tracked import read_tracked
from testbed.operations import verbs
from testbed.operations.injection import clear_faults, take_link_down
from testbed.operations.readiness import until_ready
from testbed.scenario import Load, RunningLab
from testbed.scenario.registry import ROOT
from tests.limits import LIMIT

pytestmark = pytest.mark.root

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: shop}}}}
  strategy: {{rollingUpdate: {{maxSurge: {surge}, maxUnavailable: {unavailable}}}}}
  template:
    metadata: {{labels: {{app: shop}}, annotations: {{revision: "{revision}"}}}}
    spec:
      containers:
      - name: echo
        image: echo
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /readyz, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec:
  selector: {{app: shop}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec: {{containers: [{{name: shell, image: busybox}}]}}
"""


@pytest.fixture(params=["tunnel", "vpc", "eni"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    text = (
        (ROOT / "topologies" / "ingress.yaml")
        .read_text()
        .replace("networkModel: tunnel", f"networkModel: {request.param}")
    )
    path = tmp_path_factory.mktemp("rollout") / "lab.yaml"
    path.write_text(text)
    rundir = RunDir.of(f"test-{secrets.token_hex(4)}")
    try:
        verbs.up([str(path)], rundir)
        yield RunningLab(rundir, request.param)
    finally:
        if rundir.exists:
            verbs.down(rundir, lock_limit=LIMIT)


def web(lab: RunningLab) -> set[str]:
    lab.again()
    return {pod.name for pod in lab.pods("app=shop")}


def replace(lab: RunningLab, surge: str, unavailable: str) -> tuple[Load, list[int]]:
    """What the clients saw of a rolling replacement, and how many pods there were on the way."""
    lab.apply(WEB.format(surge=surge, unavailable=unavailable, revision="1"))
    until_ready(lab.rundir, LIMIT)
    before = web(lab)
    counts: list[int] = []

    def replaced() -> bool:
        now = web(lab)
        counts.append(len(now))
        return len(now) == 3 and not now & before

    with lab.pod("client").load(lab.service("shop").cluster_ip, 80) as load:
        lab.apply(WEB.format(surge=surge, unavailable=unavailable, revision="2"))
        lab.until(replaced, LIMIT, "all pods to be new ones")
    until_ready(lab.rundir, LIMIT)
    return load, counts


def test_clients_of_the_service_notice_nothing(lab: RunningLab) -> None:
    load, counts = replace(lab, "1", "0")
    assert load.failed == []
    assert load.answered > 0
    assert len(load.servers) == 6
    assert max(counts) == 4
    assert min(counts) == 3


def test_without_surge_there_is_one_less_for_a_while(lab: RunningLab) -> None:
    load, counts = replace(lab, "0", "1")
    assert load.failed == []
    assert max(counts) == 3
    assert min(counts) == 2


LONELY = """
apiVersion: v1
kind: Pod
metadata: {name: lonely, labels: {app: lonely}}
spec: {containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: lonely}
spec: {selector: {app: lonely}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: shell, image: busybox}]}
"""


@pytest.mark.datapath
def test_who_was_given_a_pod_that_goes_still_reaches_it(lab: RunningLab) -> None:
    """The client's first segment is lost behind the choice; it sends another after a second, to the same pod."""
    lab.apply(LONELY)
    until_ready(lab.rundir, LIMIT)
    lab.again()
    client, pod, service = lab.pod("client"), lab.pod("lonely"), lab.service("lonely").cluster_ip

    def half_open() -> bool:
        tracked = read_tracked(View(lab.rundir), client.node)
        return any(one.state == "SYN_SENT" and one.answered.source == pod.address for one in tracked)

    with ThreadPoolExecutor(1) as beside:
        take_link_down(lab.rundir, pod.host, "eth0")
        asked = beside.submit(client.http, service, 80, timeout=8.0)
        lab.until(half_open, LIMIT, "the Service to choose")
        clear_faults(lab.rundir)
        lab.delete("pod/lonely")
        seen = asked.result()
    assert (seen.verdict, seen.server) == ("allowed", "lonely"), seen


def test_a_stateful_set_is_replaced_from_its_end_and_nobody_notices(lab: RunningLab) -> None:
    lab.wait_ready(LIMIT)
    before = {pod.name: pod.uid for pod in lab.memory.pods if pod.controller.endswith("/a")}
    text = lab.document("StatefulSet", "a").replace("metadata: {labels: {app: a}}", RELABELLED)
    order: list[str] = []

    def replaced() -> bool:
        lab.again()
        new = {pod.name for pod in lab.memory.pods if before.get(pod.name, pod.uid) != pod.uid}
        order.extend(sorted(new - set(order)))
        return len(new) == 3

    with lab.pod("b").load(lab.service("a").cluster_ip, 80) as load:
        lab.apply(text)
        lab.until(replaced, LIMIT, "all pods to be new ones")
        lab.wait_ready(LIMIT)
    assert load.failed == []
    assert order == ["a-2", "a-1", "a-0"]


RELABELLED = 'metadata: {labels: {app: a}, annotations: {revision: "2"}}'
