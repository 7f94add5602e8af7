"""The zone of cluster DNS that answers for Services, pods and the other names of a lab, and the server's configuration.

Source: "Kubernetes DNS-Based Service Discovery", schema version 1.1.0. The server is NSD with one zone, the root: so
every name that is not in it does not exist, reverse names and names outside the cluster included, and there is
nothing to forward to. Why NSD: it answers SRV, PTR and CNAME from a zone file, needs no rights, and reads a zone of
1000 Services with 10 endpoints each again in a quarter of a second without missing a question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.components import VERSION, version_of
from testbed.model.kubernetes import KubeServicePort, Service

DOMAIN = "cluster.local"
TTL = 5


@dataclass(frozen=True, slots=True)
class DnsEndpoint:
    """``hostname`` empty: the name is made of the address. Give only endpoints that count as ready."""

    address: IPv4Address
    hostname: str = ""

    @property
    def label(self) -> str:
        return self.hostname or str(self.address).replace(".", "-")


@dataclass(frozen=True, slots=True)
class DnsService:
    """A Service, where it is, and for a headless one (``cluster_ip`` None) its ready endpoints."""

    service: Service
    cluster_ip: IPv4Address | None = None
    endpoints: tuple[DnsEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsHost:
    """A name outside the cluster: an internet host, a server."""

    name: str
    address: IPv4Address


Record = tuple[str, str, str]
"""Owner name, type, data; names absolute with their final dot."""


def plan_zone(
    services: Iterable[DnsService], hosts: Iterable[DnsHost] = (), domain: str = DOMAIN
) -> tuple[Record, ...]:
    """Every record but the zone's own SOA and NS, sorted."""
    records = {(f"dns-version.{domain}.", "TXT", '"1.1.0"')}
    for item in services:
        records.update(_of_service(item, domain))
    for host in hosts:
        records.add((f"{host.name}.", "A", str(host.address)))
    return tuple(sorted(records))


def _of_service(item: DnsService, domain: str) -> Iterator[Record]:
    service = item.service
    name = f"{service.name}.{service.namespace}.svc.{domain}."
    if service.type == "ExternalName":
        yield name, "CNAME", f"{(service.external_name or '').rstrip('.')}."
    elif item.cluster_ip is not None:
        yield name, "A", str(item.cluster_ip)
        yield item.cluster_ip.reverse_pointer + ".", "PTR", name
        yield from _srv(name, service.ports, (name,))
    else:
        yield from _of_headless(item, name)


def _of_headless(item: DnsService, name: str) -> Iterator[Record]:
    """One address per endpoint; without endpoints there is nothing, so the name does not exist."""
    for endpoint in item.endpoints:
        own = f"{endpoint.label}.{name}"
        yield name, "A", str(endpoint.address)
        yield own, "A", str(endpoint.address)
        yield endpoint.address.reverse_pointer + ".", "PTR", own
    yield from _srv(name, item.service.ports, sorted({f"{e.label}.{name}" for e in item.endpoints}))


def _srv(name: str, ports: Sequence[KubeServicePort], targets: Iterable[str]) -> Iterator[Record]:
    """Only named ports have SRV records: one per port and target. A headless Service has no targetPort to obey."""
    for target in targets:
        for port in ports:
            if port.name:
                yield f"_{port.name}._{port.protocol.lower()}.{name}", "SRV", f"0 100 {port.port} {target}"


def render_zone(records: Sequence[Record], serial: int, domain: str = DOMAIN) -> str:
    """The zone file. ``serial`` (32 bits) tells versions apart; 5 s is how long anyone may remember an answer."""
    lines = [
        "$ORIGIN .",
        f"$TTL {TTL}",
        f". SOA ns.dns.{domain}. hostmaster.{domain}. {serial} 7200 1800 86400 {TTL}",
        f". NS ns.dns.{domain}.",
    ]
    return "\n".join(lines + [f"{name} {kind} {data}" for name, kind, data in records]) + "\n"


def render_server(address: IPv4Address) -> str:
    """``nsd.conf``: everything in memory, one process, no remote control, as whatever user starts it."""
    return f"""\
server:
    ip-address: {address}@53
    ip-freebind: yes
    server-count: 1
    do-ip6: no
    username: ""
    database: ""
    pidfile: ""
    xfrdfile: ""
    zonelistfile: ""
    zonesdir: "/srv"
    xfrdir: "/srv/state"
    round-robin: yes
    minimal-responses: yes
    hide-version: yes
    rrl-ratelimit: 0
    verbosity: 1
remote-control:
    control-enable: no
zone:
    name: "."
    zonefile: "/srv/zone"
"""


def render_files(records: Sequence[Record], address: IPv4Address, domain: str = DOMAIN) -> dict[str, str]:
    """The configuration directory of a server that answers at ``address``. Equal records make equal files."""
    server = render_server(address)
    version = version_of({"nsd.conf": server, "zone": render_zone(records, 0, domain)})
    return {"nsd.conf": server, "zone": render_zone(records, int(version), domain), VERSION: version}


def search_list(namespace: str, domain: str = DOMAIN) -> tuple[str, ...]:
    """What a pod's resolv.conf searches (dnsPolicy ClusterFirst)."""
    return (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
