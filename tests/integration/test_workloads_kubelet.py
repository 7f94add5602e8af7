"""The kubelet, its runtime and its containers, in real namespaces."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.emulation.processes import is_alive
from testbed.model.kubernetes import Container, ContainerPort, Probe
from testbed.workloads import sandbox
from testbed.workloads.logs import follow_log, read_log
from tests.integration.workload_lab import ADDRESS, WorkloadLab, until, workload, workload_lab
from tests.limits import ENDS, LIMIT

pytestmark = pytest.mark.root

ECHO = Container("main", "echo")
URL = f"http://{ADDRESS}:8080"


@pytest.fixture
def lab() -> Iterator[WorkloadLab]:
    with workload_lab() as lab:
        lab.add_namespace("web-0")
        lab.start_kubelet()
        yield lab


def shell(script: str, **more: object) -> Container:
    return Container("main", "busybox", ("sh", "-c", script), **more)  # type: ignore[arg-type]


def ready(status: object) -> bool:
    return bool(status.ready)  # type: ignore[attr-defined]


def test_echo_says_who_answered_and_who_asked(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO, namespace="shop", node="n1"))
    lab.wait("web-0", ready)
    seen = json.loads(lab.run("web-0", "curl", "-sm3", f"{URL}/a?b=1"))
    assert (seen["name"], seen["namespace"], seen["node"]) == ("web-0", "shop", "n1")
    assert seen["client"].startswith(f"{ADDRESS}:")
    assert (seen["method"], seen["path"], seen["requests"]) == ("GET", "/a?b=1", 1)


def test_the_programs_of_a_container_are_unprivileged_and_see_their_own_machine(lab: WorkloadLab) -> None:
    # Each line proves one promise of testbed/workloads/sandbox.py.
    script = f"""
        cat /etc/resolv.conf; echo host $(hostname); echo user $(id -u); echo links $(ls /sys/class/net)
        ping -c1 -W1 {ADDRESS} >/dev/null && echo ping works
        kill -0 {os.getpid()} 2>/dev/null && echo sees the tests
        ls {lab.rundir.path} >/dev/null 2>&1 && echo reads the run directory
        nsenter --net=/proc/1/ns/net true 2>/dev/null && echo enters namespaces
        grep NoNewPrivs /proc/self/status; grep CapBnd /proc/self/status; echo done; exec sleep 60
    """
    lab.apply(workload("web-0", shell(script), nameserver=ADDRESS, search=("shop.svc.cluster.local",)))
    until(lambda: "done" in read_log(lab.rundir, "web-0", "main"), LIMIT, "the script")
    assert read_log(lab.rundir, "web-0", "main") == [
        f"nameserver {ADDRESS}",
        "search shop.svc.cluster.local",
        "options ndots:5",
        "host web-0",
        "user 65534",
        "links lo",
        "ping works",
        "NoNewPrivs:\t1",
        "CapBnd:\t0000000000002400",
        "done",
    ]
    assert Path("/etc/resolv.conf").read_text() != f"nameserver {ADDRESS}\n"


def test_a_command_that_is_not_there(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", Container("main", "busybox", ("no-such-program",)), restart_policy="Never"))
    status = lab.wait("web-0", lambda s: s.phase == "Failed").containers[0]
    assert status.exit_code == 127
    assert status.message == 'exec: "no-such-program": executable file not found in $PATH'


@pytest.mark.parametrize(("policy", "code", "phase"), [("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")])
def test_a_container_that_may_end(lab: WorkloadLab, policy: str, code: int, phase: str) -> None:
    lab.apply(workload("web-0", shell(f"exit {code}"), restart_policy=policy))
    status = lab.wait("web-0", lambda s: s.phase == phase).containers[0]
    assert (status.state, status.exit_code, status.restarts) == ("terminated", code, 0)


def test_a_crashing_container_is_restarted_with_growing_delays(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", shell("echo started; exit 7")))
    status = lab.wait("web-0", lambda s: s.containers[0].restarts == 3).containers[0]
    assert (status.state, status.exit_code) == ("waiting", 7)
    assert status.reason == "CrashLoopBackOff"
    assert read_log(lab.rundir, "web-0", "main") == ["started"] * 3


def test_http_readiness_follows_the_program(lab: WorkloadLab) -> None:
    probe = Probe("httpGet", "web", "/readyz", period=0.1, failure_threshold=2)
    container = replace(ECHO, ports=(ContainerPort(8080, name="web"),), readiness=probe)
    lab.apply(workload("web-0", container))
    lab.wait("web-0", ready)
    lab.run("web-0", "curl", "-sm3", "-XPOST", f"{URL}/fail")
    assert "statuscode: 503" in lab.wait("web-0", lambda s: not s.ready).containers[0].message
    lab.run("web-0", "curl", "-sm3", "-XPOST", f"{URL}/recover")
    assert lab.wait("web-0", ready).containers[0].restarts == 0


def test_failed_liveness_restarts(lab: WorkloadLab) -> None:
    container = replace(ECHO, liveness=Probe("httpGet", "8080", "/livez", period=0.1, failure_threshold=2))
    lab.apply(workload("web-0", container))
    first = lab.wait("web-0", ready).containers[0].pid
    lab.run("web-0", "curl", "-sm3", "-XPOST", f"{URL}/fail?what=live")
    status = lab.wait("web-0", lambda s: s.ready and s.containers[0].restarts == 1)
    assert status.containers[0].pid != first


def test_exec_and_tcp_probes(lab: WorkloadLab) -> None:
    lab.add_namespace("web-1")
    executed = replace(ECHO, readiness=Probe("exec", command=("sh", "-c", "[ $(hostname) = web-0 ]"), period=0.1))
    slow = replace(ECHO, readiness=Probe("exec", command=("sleep", "9"), period=0.2, timeout=0.1))
    closed = replace(ECHO, name="closed", ports=(ContainerPort(81),), readiness=Probe("tcpSocket", "82", period=0.1))
    opened = replace(ECHO, name="open", ports=(ContainerPort(82),), readiness=Probe("tcpSocket", "81", period=0.1))
    lab.apply(workload("web-0", executed), workload("web-1", slow, closed, opened))
    lab.wait("web-0", ready)
    status = lab.wait("web-1", lambda s: [c.ready for c in s.containers] == [False, True, True])
    lab.apply(workload("web-0", executed))
    lab.wait("web-0", lambda s: s.ready and "web-1" not in lab.read_status())
    assert not any(is_alive(c.pid) for c in status.containers)


def test_containers_outlive_the_kubelet_and_are_not_started_twice(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO, replace(shell("sleep 0.8; exit 5"), name="short"), restart_policy="Never"))
    before = lab.wait("web-0", lambda s: all(c.pid for c in s.containers)).containers[0]
    assert lab.kubelet
    lab.kubelet.kill()
    lab.kubelet.wait()
    until(lambda: len(lab.processes()) == 2, LIMIT, "the short container's end: runtime and echo stay")
    assert lab.run("web-0", "curl", "-sm3", f"{URL}/hostname") == "web-0"
    lab.rundir.workloads_status.unlink()
    lab.start_kubelet()
    status = lab.wait("web-0", lambda s: s.containers[1].state == "terminated")
    assert (status.containers[0].pid, status.containers[0].restarts) == (before.pid, 0)
    assert status.containers[1].exit_code == 5  # it ended while there was no kubelet
    assert len(lab.processes()) == 3


def test_what_became_unwanted_while_there_was_no_kubelet_is_stopped(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO))
    pid = lab.wait("web-0", ready).containers[0].pid
    assert lab.kubelet
    lab.kubelet.kill()
    lab.kubelet.wait()
    lab.apply()
    lab.start_kubelet()
    until(lambda: not is_alive(pid), ENDS, "the end of the echo server")


def test_a_dead_runtime_takes_its_containers_along_and_all_come_back(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO, replace(shell("sleep 100"), name="shell")))
    before = lab.wait("web-0", ready)
    runtime = next(pid for pid in lab.processes() if "workloads.runtime" in Path(f"/proc/{pid}/cmdline").read_text()
                   and Path(f"/proc/{pid}/comm").read_text().startswith("python"))  # fmt: skip
    os.kill(runtime, signal.SIGKILL)
    after = lab.wait("web-0", lambda s: s.ready and all(c.restarts == 1 for c in s.containers))
    until(lambda: not any(is_alive(c.pid) for c in before.containers), ENDS, "the end of the first containers")
    assert {c.pid for c in after.containers}.isdisjoint(c.pid for c in before.containers)


def test_ending_takes_the_whole_container_after_its_grace(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", shell("setsid sleep 100 & trap '' TERM; sleep 100"), termination_grace_seconds=1))
    lab.wait("web-0", ready)
    until(lambda: len(lab.processes()) == 5, LIMIT, "kubelet, runtime, shell and two sleeps")
    lab.apply()
    until(lambda: len(lab.processes()) == 2, ENDS, "the end of the container")


def test_replaced_pod_starts_after_the_old_one_has_gone(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO))
    lab.wait("web-0", ready)
    lab.apply(workload("web-0", ECHO, uid="second"))
    status = lab.wait("web-0", lambda s: s.uid == "second" and s.ready)
    assert status.containers[0].restarts == 0


def test_only_the_changed_container_is_started_anew(lab: WorkloadLab) -> None:
    side = replace(shell("sleep 100"), name="side")
    lab.apply(workload("web-0", ECHO, side))
    before = lab.wait("web-0", ready)
    lab.apply(workload("web-0", replace(ECHO, env=(("A", "1"),)), side))
    after = lab.wait("web-0", lambda s: s.ready and s.containers[0].pid != before.containers[0].pid)
    assert after.containers[1].pid == before.containers[1].pid


def test_waits_for_a_namespace_that_is_made_later(lab: WorkloadLab) -> None:
    lab.apply(workload("late", ECHO))
    status = lab.wait("late", lambda s: s.containers[0].message)
    assert status.phase == "Pending"
    assert "namespace late does not exist yet" in status.containers[0].message
    lab.add_namespace("late")
    lab.wait("late", ready)


def test_two_containers_of_a_host_can_not_have_one_port(lab: WorkloadLab) -> None:
    pods = [workload(name, ECHO, host="web-0", restart_policy="Never") for name in ("web-0", "other")]
    lab.apply(*pods)
    statuses = [lab.wait(name, lambda s: s.containers[0].state != "waiting") for name in ("web-0", "other")]
    failed = [s for s in statuses if not s.ready]
    assert len(failed) == 1
    assert failed[0].containers[0].message == "port 8080/TCP: Address already in use"


def test_an_unreadable_document_changes_nothing(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO))
    pid = lab.wait("web-0", ready).containers[0].pid
    lab.rundir.workloads.write_text("{")
    lab.apply(workload("web-0", ECHO))
    assert lab.wait("web-0", ready).containers[0].pid == pid


def test_names_that_would_leave_the_run_directory(lab: WorkloadLab) -> None:
    lab.apply(workload("../escape", ECHO, host="web-0"))
    status = lab.wait("../escape", lambda s: s.containers[0].exit_code is not None).containers[0]
    assert "can't be part of a path" in status.message
    assert not list(lab.rundir.root.rglob("*escape*"))


def test_a_log_that_is_a_symbolic_link_is_refused(lab: WorkloadLab) -> None:
    target = lab.rundir.path / "target"
    lab.rundir.container_log("web-0", "main").symlink_to(target)
    lab.apply(workload("web-0", shell("echo owned"), restart_policy="Never"))
    lab.wait("web-0", lambda s: s.phase == "Failed")
    assert not target.exists()


def test_a_second_kubelet_is_refused(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", ECHO))
    lab.wait("web-0", ready)
    first = lab.kubelet
    lab.start_kubelet()
    assert lab.kubelet
    assert lab.kubelet.wait(LIMIT) == 1
    lab.kubelet = first


def test_stop_on_exit_leaves_nothing() -> None:
    with workload_lab() as lab:
        lab.add_namespace("web-0")
        lab.start_kubelet("--stop-on-exit")
        lab.apply(workload("web-0", ECHO))
        lab.wait("web-0", ready)
        assert lab.kubelet
        lab.kubelet.terminate()
        assert lab.kubelet.wait(LIMIT) == 0
        until(lambda: not lab.processes(), LIMIT, "the end of the runtime")


def test_namespaces_can_go_while_the_runtime_lives(lab: WorkloadLab) -> None:
    """The runtime's and the containers' mount namespaces must not pin the lab's network namespaces."""
    lab.apply(workload("web-0", shell("sleep 100")))
    lab.wait("web-0", ready)
    named = Path("/run/netns")
    for pid in lab.processes():
        if lab.kubelet and pid != lab.kubelet.pid:
            assert f"{named}/{lab.name}" not in Path(f"/proc/{pid}/mountinfo").read_text()


def test_few_descriptors_are_enough_for_many_containers() -> None:
    with workload_lab() as lab:
        lab.add_namespace("web-0")
        lab.start_kubelet(prefix=("prlimit", "--nofile=256:256"))
        pods = [workload(f"p{i}", Container("c", "busybox", ("sleep", "100")), host="web-0") for i in range(300)]
        lab.apply(*pods)
        until(lambda: sum(s.ready for s in lab.read_status().values()) == 300, LIMIT, "300 containers")


def test_enter_workload_shows_a_visitor_what_the_pod_sees(lab: WorkloadLab) -> None:
    pod = workload("web-0", Container("main", "pause"), nameserver=ADDRESS)
    lab.apply(pod)
    lab.wait("web-0", ready)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        sandbox.enter_workload(lab.rundir, pod)
        os.write(writing, f"{os.uname().nodename} {Path('/etc/resolv.conf').read_text()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert os.read(reading, 1000).decode() == f"web-0 nameserver {ADDRESS}\n"
    os.close(reading)


def test_logs_can_be_followed(lab: WorkloadLab) -> None:
    lab.apply(workload("web-0", shell("for i in 1 2 3 4; do echo line $i; sleep 0.2; done"), restart_policy="Never"))
    lab.wait("web-0", lambda s: s.containers[0].pid)
    lines = follow_log(lab.rundir, "web-0", "main", limit=5)
    assert [next(lines) for _ in range(4)] == ["line 1", "line 2", "line 3", "line 4"]
