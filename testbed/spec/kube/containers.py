"""Containers of pods, servers and internet hosts."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.model.kubernetes import Container, ContainerPort, Probe
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.kube.common import (
    check_duplicates,
    check_port,
    check_port_or_name,
    check_protocol,
    check_range,
    check_text,
    ignore,
    port_text,
)
from testbed.spec.names import check_label, check_port_name, check_variable

_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
_TIMES = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 0}
_LONGEST = 2**31 - 1


def check_containers(containers: Cursor) -> None:
    items = containers.items()
    for container in items:
        _check_container(container)
    check_duplicates((container["name"], container["name"].text) for container in items)


def _check_container(container: Cursor) -> None:
    if container["name"].require():
        check_text(container["name"], check_label)
    container["image"].require()
    _check_ports(container["ports"].items())
    for variable in container["env"].items():
        if variable["name"].require():
            check_text(variable["name"], check_variable)
        ignore(variable["valueFrom"], "is not emulated; the variable stays empty")
    ignore(container["envFrom"])
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container[kind].present:
            _check_probe(container[kind], container["ports"].items())
    ignore(container["startupProbe"])
    ignore(container["lifecycle"])


def _check_ports(ports: Sequence[Cursor]) -> None:
    for port in ports:
        check_port(port["containerPort"])
        check_protocol(port["protocol"])
        if port["name"].value != "":
            check_text(port["name"], check_port_name)
        ignore(port["hostPort"])
    check_duplicates((port["name"], port["name"].text or None) for port in ports)
    check_duplicates(
        (port["containerPort"], (port["containerPort"].number, port["protocol"].text_or("TCP")))
        for port in ports
        if port["containerPort"].number is not None
    )


def _check_probe(probe: Cursor, ports: Sequence[Cursor]) -> None:
    handlers = [name for name in _HANDLERS if probe[name].present]
    if not handlers:
        probe.fault(Code.PROBE, "Required value: must specify a handler type", "httpGet, tcpSocket or exec")
    for name in handlers[1:]:
        probe[name].fault(Code.PROBE, "Forbidden: may not specify more than 1 handler type")
    for field, least in _TIMES.items():
        check_range(probe[field], least, _LONGEST)
    if probe.path[-1] == "livenessProbe" and probe["successThreshold"].number_or(1) != 1:
        probe["successThreshold"].fault(Code.PROBE, "Invalid value: must be 1", "liveness takes one success")
    for name in ("httpGet", "tcpSocket"):
        if probe[name].present:
            _check_probe_port(probe[name]["port"], ports)
    if probe["exec"].present:
        probe["exec"]["command"].require()
    ignore(probe["grpc"])


def _check_probe_port(port: Cursor, ports: Sequence[Cursor]) -> None:
    check_port_or_name(port, check_port_name)
    names = [known["name"].text for known in ports]
    if port.text is not None and port.text not in names:
        port.fault(Code.PROBE, f"the container has no port named {show(port.text)}", "name one of its ports")


def read_containers(containers: Cursor) -> tuple[Container, ...]:
    return tuple(_read_container(container) for container in containers.items())


def _read_container(container: Cursor) -> Container:
    environment = tuple((item["name"].text_or(""), item["value"].text_or("")) for item in container["env"].items())
    return Container(
        name=container["name"].text_or(""),
        image=container["image"].text_or(""),
        command=container["command"].texts(),
        args=container["args"].texts(),
        env=environment,
        ports=tuple(_read_port(port) for port in container["ports"].items()),
        readiness=_read_probe(container["readinessProbe"]),
        liveness=_read_probe(container["livenessProbe"]),
    )


def _read_port(port: Cursor) -> ContainerPort:
    return ContainerPort(port["containerPort"].number_or(0), port["protocol"].text_or("TCP"), port["name"].text_or(""))


def _read_probe(probe: Cursor) -> Probe | None:
    kind = next((name for name in ("httpGet", "tcpSocket", "exec") if probe[name].present), None)
    if kind is None:
        return None
    handler = probe[kind]
    headers = tuple((item["name"].text_or(""), item["value"].text_or("")) for item in handler["httpHeaders"].items())
    return Probe(
        kind=kind,
        port=port_text(handler["port"]),
        path=handler["path"].text_or("/"),
        command=handler["command"].texts(),
        headers=headers,
        initial_delay=probe["initialDelaySeconds"].number_or(0),
        period=probe["periodSeconds"].number_or(10),
        timeout=probe["timeoutSeconds"].number_or(1),
        success_threshold=probe["successThreshold"].number_or(1),
        failure_threshold=probe["failureThreshold"].number_or(3),
    )
