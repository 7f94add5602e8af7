"""Records of cluster DNS, by the sections of the Kubernetes DNS specification."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.planning.dns_zone import (
    DnsEndpoint,
    DnsHost,
    DnsService,
    plan_zone,
    render_files,
    render_zone,
    search_list,
)
from testbed.model.source import Source

NOWHERE = Source("lab.yaml", 1)
VERSION = ("dns-version.cluster.local.", "TXT", '"1.1.0"')


def service(name: str, kind: str = "ClusterIP", external: str | None = None, *ports: KubeServicePort) -> Service:
    return Service("shop", name, "c", kind, (), ports, NOWHERE, external_name=external)


HTTP = KubeServicePort(80, "8080", "http")
UNNAMED = KubeServicePort(81, "8081")
DNS = KubeServicePort(53, "", "dns", "UDP")


def test_cluster_ip_has_an_address_a_reverse_name_and_srv_of_named_ports() -> None:
    planned = plan_zone([DnsService(service("web", "NodePort", None, HTTP, UNNAMED, DNS), IPv4Address("10.247.0.5"))])
    name = "web.shop.svc.cluster.local."
    assert planned == (
        ("5.0.247.10.in-addr.arpa.", "PTR", name),
        (f"_dns._udp.{name}", "SRV", f"0 100 53 {name}"),
        (f"_http._tcp.{name}", "SRV", f"0 100 80 {name}"),
        VERSION,
        (name, "A", "10.247.0.5"),
    )


def test_headless_has_one_address_per_endpoint_under_the_service_s_and_its_own_name() -> None:
    endpoints = (DnsEndpoint(IPv4Address("10.0.0.17"), "db-0"), DnsEndpoint(IPv4Address("10.0.0.33")))
    planned = plan_zone([DnsService(service("db", "ClusterIP", None, HTTP), None, endpoints)])
    name = "db.shop.svc.cluster.local."
    assert set(planned) == {
        ("17.0.0.10.in-addr.arpa.", "PTR", f"db-0.{name}"),
        ("33.0.0.10.in-addr.arpa.", "PTR", f"10-0-0-33.{name}"),
        (f"10-0-0-33.{name}", "A", "10.0.0.33"),
        (f"_http._tcp.{name}", "SRV", f"0 100 80 10-0-0-33.{name}"),
        (f"_http._tcp.{name}", "SRV", f"0 100 80 db-0.{name}"),
        (f"db-0.{name}", "A", "10.0.0.17"),
        (name, "A", "10.0.0.17"),
        (name, "A", "10.0.0.33"),
        VERSION,
    }


def test_headless_without_endpoints_does_not_exist() -> None:
    assert plan_zone([DnsService(service("db", "ClusterIP", None, HTTP))]) == (VERSION,)


def test_external_name_is_an_alias() -> None:
    planned = plan_zone([DnsService(service("api", "ExternalName", "www.example.com"))])
    assert ("api.shop.svc.cluster.local.", "CNAME", "www.example.com.") in planned


def test_hosts_outside_and_another_domain() -> None:
    planned = plan_zone([], [DnsHost("www.example.com", IPv4Address("203.0.113.9"))], domain="lab.test")
    assert planned == (("dns-version.lab.test.", "TXT", '"1.1.0"'), ("www.example.com.", "A", "203.0.113.9"))


def test_the_order_of_services_does_not_matter() -> None:
    items = [DnsService(service(name), IPv4Address(f"10.247.0.{n}")) for n, name in enumerate("abc")]
    address = IPv4Address("192.168.0.2")
    assert render_files(plan_zone(items), address) == render_files(plan_zone(items[::-1]), address)
    assert render_files(plan_zone(items), address)["zone"] != render_files(plan_zone(items[:2]), address)["zone"]


def test_zone_text() -> None:
    assert render_zone((("a.", "A", "10.0.0.1"),), 7) == (
        "$ORIGIN .\n$TTL 5\n. SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5\n"
        ". NS ns.dns.cluster.local.\na. A 10.0.0.1\n"
    )


def test_search_list() -> None:
    assert search_list("shop") == ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
