"""Cluster DNS as pods use it: the real server in a namespace, asked by the system's own resolver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model.components import dns_container
from testbed.model.kubernetes import Container, KubeServicePort, Service
from testbed.model.planning.dns_zone import DnsEndpoint, DnsHost, DnsService, plan_zone, render_files, search_list
from testbed.model.source import Source
from testbed.model.workloads import Workload
from testbed.workloads.logs import read_log
from tests.integration.workload_lab import ADDRESS, WorkloadLab, until, workload, workload_lab
from tests.limits import LIMIT

pytestmark = pytest.mark.root

HTTP = (KubeServicePort(80, "8080", "http"),)
WEB = DnsService(Service("shop", "web", "c", "ClusterIP", (), HTTP, Source("f", 1)), IPv4Address("10.247.0.5"))
EMPTY = DnsService(replace(WEB.service, name="empty"))
DB = DnsService(replace(WEB.service, name="db"), None, (DnsEndpoint(IPv4Address("10.0.0.17"), "db-0"),))
ALIAS = DnsService(replace(WEB.service, name="alias", type="ExternalName", external_name="www.example.com"))
OUTSIDE = DnsHost("www.example.com", IPv4Address("203.0.113.9"))


def dns(*services: DnsService) -> Workload:
    files = render_files(plan_zone(services, [OUTSIDE]), ADDRESS)
    return workload("dns", dns_container(), files=tuple(files.items()))


BEFORE = dns(WEB, EMPTY, DB, ALIAS)


@pytest.fixture
def lab() -> Iterator[WorkloadLab]:
    with workload_lab() as lab:
        lab.add_namespace("dns")
        lab.start_kubelet()
        lab.apply(BEFORE)
        lab.wait("dns", lambda status: status.ready)
        yield lab


def resolve(lab: WorkloadLab, script: str) -> list[str]:
    """What a pod of namespace ``shop`` sees: ``script`` runs with its resolv.conf."""
    name = f"pod-{lab.generation}"
    pod = workload(name, Container("c", "busybox", ("sh", "-c", script)), host="dns", restart_policy="Never",
                   nameserver=ADDRESS, search=search_list("shop"))  # fmt: skip
    lab.apply(BEFORE, pod)
    lab.wait(name, lambda status: status.phase in ("Succeeded", "Failed"))
    return read_log(lab.rundir, name, "c")


def test_the_system_s_resolver_finds_what_kubernetes_promises(lab: WorkloadLab) -> None:
    names = ("web", "web.shop", "web.shop.svc", "db", "db-0.db", "alias", "www.example.com")
    script = "; ".join(f"getent ahostsv4 {name} | cut -d' ' -f1 | head -1" for name in names)
    addresses = ["10.247.0.5"] * 3 + ["10.0.0.17"] * 2 + ["203.0.113.9"] * 2
    assert resolve(lab, script) == addresses
    missing = ("empty", "web.other", "nosuch.example", "db-1.db")
    assert resolve(lab, "; ".join(f"getent hosts {name} && echo found {name}" for name in missing)) == []
    assert resolve(lab, "getent hosts 10.247.0.5; getent hosts 10.0.0.17") == [
        "10.247.0.5      web.shop.svc.cluster.local",
        "10.0.0.17       db-0.db.shop.svc.cluster.local",
    ]


def test_a_change_is_visible_without_a_restart(lab: WorkloadLab) -> None:
    def address() -> str:
        return lab.run("dns", "python3", "-c", QUERY, str(ADDRESS), "new.shop.svc.cluster.local").strip()

    assert address() == "3 -"  # NXDOMAIN
    new = replace(WEB, service=replace(WEB.service, name="new"), cluster_ip=IPv4Address("10.247.0.9"))
    lab.apply(dns(WEB, new))
    until(lambda: address() == "0 10.247.0.9", LIMIT, "the new name")
    lab.apply(dns(WEB))
    until(lambda: address() == "3 -", LIMIT, "its end")


def test_a_zone_may_be_larger_than_a_message_to_the_runtime(lab: WorkloadLab) -> None:
    many = [replace(WEB, service=replace(WEB.service, name=f"service-number-{number}")) for number in range(3000)]
    lab.apply(dns(*many))
    query = ("dns", "python3", "-c", QUERY, str(ADDRESS), "service-number-2999.shop.svc.cluster.local")
    until(lambda: lab.run(*query).strip() == "0 10.247.0.5", LIMIT, "the last of many names")


QUERY = """
import socket, struct, sys
server, name = sys.argv[1:]
question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0\\0\\1\\0\\1"
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.sendto(struct.pack(">6H", 7, 256, 1, 0, 0, 0) + question, (server, 53))
answer = sock.recv(512)
code, found = answer[3] & 15, struct.unpack_from(">H", answer, 6)[0]
print(code, socket.inet_ntoa(answer[12 + len(question) + 12:][:4]) if found else "-")
"""
