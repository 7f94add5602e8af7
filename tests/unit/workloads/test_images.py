"""The image catalogue and Kubernetes' rules for command, args and env."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from testbed.model.kubernetes import Container, ContainerPort
from testbed.model.workloads import Workload
from testbed.workloads.images import Kind, Program, expand_variables, plan_program


def plan(container: Container) -> Program:
    return plan_program(
        container, Workload("web-0", "web-0", "Pod/a/web-0", "1", IPv4Address("10.0.0.9"), (container,))
    )


@pytest.mark.parametrize(
    ("image", "kind", "ports"),
    [
        ("nginx", Kind.ECHO, [(80, "TCP")]),
        ("docker.io/library/nginx:1.27-alpine@sha256:00ff", Kind.ECHO, [(80, "TCP")]),
        ("registry.example:5000/nginxinc/nginx-unprivileged", Kind.ECHO, [(80, "TCP")]),
        ("hashicorp/http-echo", Kind.ECHO, [(8080, "TCP"), (8080, "UDP")]),
        ("redis:7", Kind.ECHO, [(8080, "TCP"), (8080, "UDP")]),
        ("registry.k8s.io/pause:3.9", Kind.PAUSE, []),
        ("busybox", Kind.PAUSE, []),
        ("nicolaka/netshoot", Kind.PAUSE, []),
        ("networkstatic/iperf3", Kind.EXEC, []),
        ("registry.k8s.io/e2e-test-images/agnhost:2.39", Kind.PAUSE, []),
    ],
)
def test_image_names(image: str, kind: Kind, ports: list[tuple[int, str]]) -> None:
    program = plan(Container("c", image))
    assert (program.kind, [(port.port, port.protocol) for port in program.ports]) == (kind, ports)


def test_declared_ports_replace_the_image_s() -> None:
    assert plan(Container("c", "nginx", ports=(ContainerPort(8443),))).ports == (ContainerPort(8443),)


def test_only_an_unknown_image_is_noticed() -> None:
    assert plan(Container("c", "nginx")).notice == ""
    assert plan(Container("c", "redis:7", ports=(ContainerPort(6379),))).notice == (
        "image redis:7 is not in the catalogue: the echo server answers on 6379/TCP"
    )


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ((), (), ("iperf3", "-s")),
        ((), ("-c", "web"), ("iperf3", "-c", "web")),
        (("sleep",), ("5",), ("sleep", "5")),
        (("sh", "-c", "a; b"), (), ("sh", "-c", "a; b")),
    ],
)
def test_command_replaces_entrypoint_and_args_replace_cmd(
    command: tuple[str, ...], args: tuple[str, ...], argv: tuple[str, ...]
) -> None:
    program = plan(Container("c", "iperf3", command, args))
    assert (program.kind, program.argv) == (Kind.EXEC, argv)


def test_a_shell_image_with_args_alone_runs_them() -> None:
    assert plan(Container("c", "busybox", args=("sleep", "5"))).argv == ("sleep", "5")


def test_agnhost_netexec_listens_where_it_is_told() -> None:
    program = plan(Container("c", "agnhost", args=("netexec", "--http-port=9000", "--udp-port", "9001")))
    assert [(port.port, port.protocol) for port in program.ports] == [(9000, "TCP"), (9001, "UDP")]


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$(id) `id`", "$(id) `id`"),
    ],
)
def test_variables(text: str, expanded: str) -> None:
    assert expand_variables(text, {"A": "1", "B": "2"}) == expanded


def test_env_reaches_command_and_later_env() -> None:
    container = Container("c", "busybox", ("run", "$(URL)"), env=(("HOST", "db"), ("URL", "http://$(HOST)")))
    program = plan(container)
    assert program.argv == ("run", "http://db")
    assert dict(program.env)["HOSTNAME"] == "web-0"
