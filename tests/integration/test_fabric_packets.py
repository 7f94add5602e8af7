"""The fabric on real packets: its controller, a real switch, TCP, UDP and ICMP between namespaces."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from testbed.emulation.netns import inside
from testbed.model.desired import FabricState, Network, NextHop, Peering
from tests.integration import packets
from tests.integration.fabric_lab import DATAPATH_TYPE, FabricLab, fabric_lab
from tests.integration.packets import DROPPED, Seen
from tests.limits import LIMIT, SILENCE
from tests.unit.fabric.clouds import (
    BLOCKS,
    NODE,
    TO_1,
    TO_2,
    A,
    B,
    P,
    Q,
    bind_eip,
    eni,
    group,
    nat_gateway,
    open_group,
    peered,
    route,
    rule,
    state,
    subnet,
    table,
    with_groups,
)
from tests.unit.fabric.test_balancer import VIP, balanced, member

pytestmark = [pytest.mark.root, pytest.mark.datapath]

POD, POD_2 = "172.16.0.7", "172.16.0.130"
HOST_ADDRESS, EIP_A, EIP_B, EIP_NAT, EIP_LB = (
    "203.0.113.9", "198.51.100.5", "198.51.100.6", "198.51.100.8", "198.51.100.20",
)  # fmt: skip
ADDRESS = {
    3: "10.0.0.5", 4: "10.0.0.9", 5: "10.0.1.5", 6: "10.0.0.20", 7: "10.0.0.21", 8: "10.0.1.7", 9: "10.0.1.8",
    11: "10.2.0.5", 12: HOST_ADDRESS, 21: "10.0.0.5", 22: "10.0.0.9", 31: "10.3.0.5",
}  # fmt: skip


def world(**changes: Any) -> FabricState:
    """The unit tests' cloud, and VPC 3 and VPC 4, the latter with the ranges of VPC 1."""
    cloud = state()
    values: dict[str, Any] = {
        "networks": (
            *cloud.networks,
            Network(3, "vpc3", (IPv4Network("10.3.0.0/16"),), "Vpc/vpc3"),
            Network(4, "vpc4", (IPv4Network("10.0.0.0/16"),), "Vpc/vpc4"),
        ),
        "subnets": (*cloud.subnets, subnet("s3", 3, "10.3.0.0/24", 3), subnet("s4", 4, "10.0.0.0/24", 4)),
        "route_tables": (*cloud.route_tables, table(3, 3), table(4, 4)),
        "security_groups": (*cloud.security_groups, open_group(3), open_group(4)),
        "enis": (
            *cloud.enis,
            eni(21, "10.0.0.5", network=4, subnet="s4"),
            eni(22, "10.0.0.9", network=4, subnet="s4"),
            eni(31, "10.3.0.5", network=3, subnet="s3"),
        ),
    }
    return replace(cloud, **values | changes)


class World:
    """The lab with its endpoints by ENI number; every test starts from ``world()``."""

    def __init__(self, lab: FabricLab) -> None:
        self.lab = lab

    def home(self, number: int) -> Path:
        return self.lab.namespace(f"eni-{number}")

    def become(self, cloud: FabricState) -> None:
        self.lab.apply(replace(cloud, generation=self.lab.state.generation + 1))

    def serve(self, *numbers: int, port: int = 8080) -> dict[str, socket.socket]:
        return {f"eni-{n}": packets.serve(self.home(n), port) for n in numbers}

    def tcp(
        self, source: int, address: str, port: int = 8080, *, at: int, server_port: int = 8080, limit: float = LIMIT
    ) -> Seen:
        """Connect and exchange data; the server listens at ENI ``at``."""
        servers = self.serve(at, port=server_port)
        try:
            return packets.connect(self.home(source), IPv4Address(address), port, servers, limit)
        finally:
            for server in servers.values():
                server.close()

    def briefly(self, source: int, address: str, port: int = 8080, *, at: int, server_port: int = 8080) -> Seen:
        """The same where nothing is expected to answer."""
        return self.tcp(source, address, port, at=at, server_port=server_port, limit=SILENCE)

    def ping(self, source: int, address: str, limit: float = LIMIT) -> bool:
        return packets.ping(self.home(source), IPv4Address(address), limit)

    def inside(self, number: int, work: Any) -> Any:
        return inside(self.home(number), work)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with fabric_lab(world(), {NODE: (POD,), 7: (POD_2,)}) as lab:
        yield World(lab)


@pytest.fixture
def lab(shared: World) -> World:
    shared.become(world())
    return shared


def seen(client: str, at: int) -> Seen:
    return Seen("connected", IPv4Address(client), f"eni-{at}")


def test_within_a_vpc(lab: World) -> None:
    for source, target in ((A, B), (A, P), (P, A), (P, Q), (P, 5), (5, P), (A, NODE)):
        assert lab.tcp(source, ADDRESS[target], at=target) == seen(ADDRESS[source], target), (source, target)
        assert lab.ping(source, ADDRESS[target])
    assert lab.ping(A, "10.0.0.1")
    assert lab.ping(P, "10.0.1.1")
    assert not lab.ping(A, "10.0.0.77", limit=SILENCE)


def test_node_blocks(lab: World) -> None:
    assert lab.tcp(A, POD, at=NODE) == seen(ADDRESS[A], NODE)
    assert lab.tcp(A, POD_2, at=7) == seen(ADDRESS[A], 7)
    lab.become(world(route_tables=(table(1, 1, BLOCKS[0]), *world().route_tables[1:])))
    assert lab.tcp(A, POD, at=NODE) == seen(ADDRESS[A], NODE)
    assert lab.briefly(A, POD_2, at=7) == DROPPED


def test_equal_ranges_in_two_vpcs(lab: World) -> None:
    assert lab.tcp(A, "10.0.0.9", at=B) == seen("10.0.0.5", B)
    assert lab.tcp(21, "10.0.0.9", at=22) == seen("10.0.0.5", 22)
    assert not lab.ping(21, "10.0.0.20", limit=SILENCE)


def with_tables(cloud: FabricState, *tables: Any) -> FabricState:
    """Only these tables differ from the world's."""
    own = {each.id for each in tables}
    kept = tuple(each for each in world().route_tables if each.id not in own)
    return replace(cloud, route_tables=(*kept, *tables))


def test_peerings(lab: World) -> None:
    assert lab.briefly(A, ADDRESS[11], at=11) == DROPPED
    both = peered(world())
    one_sided = with_tables(peered(world(), from_2=False), table(1, 1, *BLOCKS, TO_2))
    lab.become(one_sided)
    assert lab.briefly(A, ADDRESS[11], at=11) == DROPPED
    assert lab.briefly(11, ADDRESS[A], at=A) == DROPPED
    lab.become(with_tables(both, table(1, 1, *BLOCKS, TO_2), table(2, 2, TO_1)))
    assert lab.tcp(A, ADDRESS[11], at=11) == seen(ADDRESS[A], 11)
    assert lab.tcp(11, ADDRESS[P], at=P) == seen(ADDRESS[11], P)
    assert lab.briefly(11, POD, at=NODE) == DROPPED
    to_pods = route("172.16.0.0/16", NextHop.PEERING, 1)
    lab.become(with_tables(both, table(1, 1, *BLOCKS, TO_2), table(2, 2, TO_1, to_pods)))
    assert lab.tcp(11, POD, at=NODE) == seen(ADDRESS[11], NODE)


def test_peerings_in_a_row(lab: World) -> None:
    tables = (
        table(1, 1, TO_2, route("10.3.0.0/16", NextHop.PEERING, 1)),
        table(2, 2, TO_1, route("10.3.0.0/16", NextHop.PEERING, 2)),
        table(3, 3, route("10.2.0.0/16", NextHop.PEERING, 2), route("10.0.0.0/16", NextHop.PEERING, 2)),
    )
    row = (Peering(1, "p12", 1, 2, "VpcPeering/p12"), Peering(2, "p23", 2, 3, "VpcPeering/p23"))
    lab.become(with_tables(world(peerings=row), *tables))
    assert lab.tcp(A, ADDRESS[11], at=11) == seen(ADDRESS[A], 11)
    assert lab.tcp(11, ADDRESS[31], at=31) == seen(ADDRESS[11], 31)
    assert lab.briefly(A, ADDRESS[31], at=31) == DROPPED
    assert lab.briefly(31, ADDRESS[A], at=A) == DROPPED


WEB = group("vpc1/web", rule("ingress", "tcp", ports=(8080, 8081), cidr=IPv4Network("10.0.0.0/24")))
CLOSED = group("vpc1/closed", rule("egress"))


def test_security_groups(lab: World) -> None:
    lab.become(with_groups(with_groups(world(), B, WEB), A, CLOSED))
    assert lab.tcp(A, ADDRESS[B], at=B) == seen(ADDRESS[A], B)
    assert lab.briefly(A, ADDRESS[B], 8082, at=B, server_port=8082) == DROPPED
    assert lab.briefly(P, ADDRESS[B], at=B) == DROPPED
    assert not lab.ping(A, ADDRESS[B], limit=SILENCE)
    assert lab.ping(A, "10.0.0.1"), "the gateway's answer is an answer"
    assert lab.briefly(NODE, ADDRESS[A], at=A) == DROPPED
    assert lab.briefly(B, ADDRESS[NODE], at=NODE) == DROPPED


def test_members_of_a_group(lab: World) -> None:
    inside_group = group("vpc1/inside", rule("ingress", group="vpc1/closed"), rule("egress"))
    lab.become(with_groups(with_groups(with_groups(world(), A, CLOSED), NODE, CLOSED), B, inside_group, CLOSED))
    assert lab.tcp(A, ADDRESS[B], at=B) == seen(ADDRESS[A], B)
    assert lab.tcp(NODE, ADDRESS[B], at=B) == seen(ADDRESS[NODE], B)
    assert lab.briefly(P, ADDRESS[B], at=B) == DROPPED


@contextlib.contextmanager
def connection(lab: World) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A to B:8080, open: (client, server)."""
    with lab.serve(B)[f"eni-{B}"] as listening:
        client = lab.inside(A, lambda: socket.create_connection((ADDRESS[B], 8080), timeout=LIMIT))
        server, _ = listening.accept()
        with client, server:
            yield client, server


def passes(sender: socket.socket, receiver: socket.socket, limit: float = LIMIT) -> bool:
    sender.sendall(b"more")
    ready, _, _ = select.select([receiver], [], [], limit)
    return bool(ready) and receiver.recv(100) == b"more"


def test_a_tightened_inbound_rule_cuts_a_live_connection(lab: World) -> None:
    lab.become(with_groups(world(), B, WEB))
    with connection(lab) as (client, server):
        assert passes(client, server)
        assert passes(server, client)
        lab.become(with_groups(world(), B, group("vpc1/web", rule("ingress", "tcp", ports=(8081, 8081)))))
        assert not passes(client, server, SILENCE)


def test_what_rules_let_pass_goes_through_the_datapath_once(lab: World) -> None:
    """It is remembered on its way; only what no rule lets pass is looked up, and goes on in a second pass."""

    def passes_of_a_connection() -> set[bool]:
        with connection(lab) as (client, server):
            lab.lab.switch.appctl("dpctl/del-flows")
            assert passes(client, server)
            assert passes(server, client)
            flows = [line for line in lab.lab.switch.appctl("dpctl/dump-flows").splitlines() if "0x0800" in line]
            assert any("commit" in line for line in flows), flows
            return {"recirc_id(0)" in line for line in flows}

    assert passes_of_a_connection() == {True}
    lab.become(with_groups(world(), A, CLOSED))
    assert passes_of_a_connection() == {True, False}


def test_a_tightened_outbound_rule_leaves_live_connections(lab: World) -> None:
    with connection(lab) as (client, server):
        assert passes(client, server)
        lab.become(with_groups(world(), A, group("vpc1/silent", rule("ingress"))))
        assert passes(client, server)
        assert passes(server, client)
    assert lab.briefly(A, ADDRESS[B], at=B) == DROPPED


TCP_REPAIR = 19
"""Of <linux/tcp.h>: a socket that is closed with it says nothing to anybody."""


def test_the_ports_of_a_known_connection_open_no_other_one(lab: World) -> None:
    """As when somebody else has got the address since: what the switch knows of its ports is no permission."""
    with connection(lab) as (client, server):
        port = client.getsockname()[1]
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    lab.become(with_groups(world(), A, group("vpc1/silent", rule("ingress"))))
    again = partial(packets.connect, lab.home(A), IPv4Address(ADDRESS[B]), 8080, source_port=port)
    with lab.serve(B)[f"eni-{B}"] as server:
        assert again(servers={f"eni-{B}": server}, limit=SILENCE) == DROPPED
        lab.become(world())
        assert again(servers={f"eni-{B}": server}) == seen(ADDRESS[A], B)


def test_who_was_not_let_in_has_nothing_to_answer(lab: World) -> None:
    """Both use port 500, as IKE does: what B sends is no answer to what never came, and when B's rules allow it, it
    opens B's own connection, which A answers."""
    closed = with_groups(with_groups(world(), A, CLOSED), B, group("vpc1/mute"))
    lab.become(closed)
    with (
        packets.serve(lab.home(A), 500, socket.SOCK_DGRAM) as a,
        packets.serve(lab.home(B), 500, socket.SOCK_DGRAM) as b,
    ):
        assert not arrives(a, ADDRESS[B], b, SILENCE)
        assert not arrives(b, ADDRESS[A], a, SILENCE)
        lab.become(with_groups(with_groups(closed, B, CLOSED), A, open_group(1)))
        assert arrives(b, ADDRESS[A], a)
        assert arrives(a, ADDRESS[B], b)


def arrives(
    sender: socket.socket, address: str, receiver: socket.socket, limit: float = LIMIT, data: bytes = b"hello"
) -> bool:
    sender.sendto(data, (address, receiver.getsockname()[1]))
    return bool(select.select([receiver], [], [], limit)[0]) and receiver.recv(5000) == data


@pytest.mark.parametrize("ports", [None, (600, 600)])
def test_datagrams_in_fragments(lab: World, ports: tuple[int, int] | None) -> None:
    """The answer, in fragments as well, passes though no rule lets it in. Only the first fragment has ports: the
    kernel's datapath judges the whole, the userspace one shows the others to rules without any."""
    into = rule("ingress", "udp", ports=ports)
    lab.become(with_groups(with_groups(world(), A, CLOSED), B, group("vpc1/into", into, *CLOSED.rules)))
    with (
        packets.serve(lab.home(A), 600, socket.SOCK_DGRAM) as a,
        packets.serve(lab.home(B), 600, socket.SOCK_DGRAM) as b,
        packets.serve(lab.home(B), 601, socket.SOCK_DGRAM) as other,
    ):
        if ports is None or DATAPATH_TYPE == "system":
            assert arrives(a, ADDRESS[B], b, data=bytes(4000))
            assert arrives(b, ADDRESS[A], a, data=bytes(4000))
        else:
            assert not arrives(a, ADDRESS[B], b, SILENCE, bytes(4000))
        assert arrives(a, ADDRESS[B], other, LIMIT if ports is None else SILENCE, bytes(4000)) is (ports is None)


def test_errors_about_a_known_connection_pass(lab: World) -> None:
    """A port that nobody has open: the ICMP error comes back through both groups."""
    only_udp = group("vpc1/udp", rule("ingress", "udp"))
    lab.become(with_groups(with_groups(world(), B, only_udp), A, CLOSED))

    def ask() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.settimeout(LIMIT)
            made.connect((ADDRESS[B], 9))
            made.send(b"anybody?")
            try:
                return made.recv(10).decode()
            except ConnectionRefusedError:
                return "refused"
            except TimeoutError:
                return "silence"

    assert lab.inside(A, ask) == "refused"


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def listen(lab: World, number: int, kind: int) -> socket.socket:
    """Every frame of an Ethernet type that reaches an ENI."""

    def bind() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
        made.bind(("eth0", kind))
        return made

    made: socket.socket = lab.inside(number, bind)
    return made


def frames_from(receiver: socket.socket) -> list[bytes]:
    """ARP and UDP that arrives until nothing does for a moment."""
    found = []
    while select.select([receiver], [], [], 0.3)[0]:
        frame, (_, _, direction, _, _) = receiver.recvfrom(2048)
        late = frame[12:14] == b"\x08\x00" and frame[23] != socket.IPPROTO_UDP  # of an earlier test's connection
        if direction != socket.PACKET_OUTGOING and not late:
            found.append(frame)
    return found


def test_forged_frames(lab: World) -> None:
    one, two, evil = (f"fa:16:3e:01:00:{n:02x}" for n in (A, B, 0x66))
    with listen(lab, B, 0x0800) as receiver:
        for eth_src, source in ((one, "10.0.0.20"), (evil, "10.0.0.5"), (evil, "10.0.0.20"), (one, POD)):
            frame = packets.udp_frame(eth_src, two, IPv4Address(source), IPv4Address(ADDRESS[B]))
            packets.send_frame(lab.home(A), "eth0", frame)
        assert frames_from(receiver) == []
        honest = packets.udp_frame(one, two, IPv4Address("10.0.0.5"), IPv4Address(ADDRESS[B]))
        packets.send_frame(lab.home(A), "eth0", honest)
        assert len(frames_from(receiver)) == 1


def test_forged_arp(lab: World) -> None:
    """Claims of A to be B or the gateway, asked or unasked, reach nobody."""
    everybody, evil = b"\xff" * 6, mac_bytes("fa:16:3e:01:00:66")
    with listen(lab, B, 0x0806) as receiver:
        for operation in (1, 2):
            for claimed in ("10.0.0.20", "10.0.0.1"):
                body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
                body += evil + IPv4Address(claimed).packed + b"\0" * 6 + IPv4Address("10.0.0.9").packed
                packets.send_frame(lab.home(A), "eth0", everybody + evil + b"\x08\x06" + body)
        assert frames_from(receiver) == []


def test_elastic_ips(lab: World) -> None:
    assert lab.briefly(A, HOST_ADDRESS, at=12) == DROPPED
    lab.become(bind_eip(bind_eip(world(), EIP_A, A), EIP_B, B))
    assert lab.tcp(A, HOST_ADDRESS, at=12) == seen(EIP_A, 12)
    assert lab.tcp(12, EIP_A, at=A) == seen(HOST_ADDRESS, A)
    assert lab.tcp(A, EIP_B, at=B) == seen(EIP_A, B)
    assert lab.tcp(A, EIP_A, at=A) == seen(EIP_A, A)
    assert lab.ping(12, EIP_A)
    assert lab.ping(A, HOST_ADDRESS)
    from_itself = rule("ingress", "tcp", cidr=IPv4Network(f"{EIP_A}/32"))
    lab.become(with_groups(bind_eip(world(), EIP_A, A), A, group("vpc1/own", rule("egress"), from_itself)))
    assert lab.tcp(A, EIP_A, at=A) == seen(EIP_A, A)
    lab.become(with_groups(bind_eip(world(), EIP_A, A), A, CLOSED))
    assert lab.briefly(A, EIP_A, at=A) == DROPPED
    assert lab.briefly(12, EIP_A, at=A) == DROPPED
    assert lab.tcp(A, HOST_ADDRESS, at=12) == seen(EIP_A, 12)


def test_nat_gateway(lab: World) -> None:
    gateway = nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)], dnat=[(EIP_NAT, 80, "10.0.0.9", 8080)])
    default = route("0.0.0.0/0", NextHop.NAT_GATEWAY, 1)
    for tables in ((), (table(1, 1, *BLOCKS, default),)):
        lab.become(with_tables(world(nat_gateways=(gateway,)), *tables))
        assert lab.tcp(A, HOST_ADDRESS, at=12) == seen(EIP_NAT, 12)
        assert lab.ping(A, HOST_ADDRESS)
        assert lab.briefly(P, HOST_ADDRESS, at=12) == DROPPED
        assert lab.tcp(12, EIP_NAT, 80, at=B) == seen(HOST_ADDRESS, B)
        assert lab.briefly(12, EIP_NAT, 81, at=B) == DROPPED
        assert lab.tcp(A, EIP_NAT, 80, at=B) == seen(EIP_NAT, B)


def test_elastic_ip_goes_before_the_nat_gateway(lab: World) -> None:
    gateway = nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)], dnat=[(EIP_NAT, 80, "10.0.0.9", 8080)])
    lab.become(bind_eip(bind_eip(world(nat_gateways=(gateway,)), EIP_A, A), EIP_B, B))
    assert lab.tcp(A, HOST_ADDRESS, at=12) == seen(EIP_A, 12)
    assert lab.tcp(NODE, HOST_ADDRESS, at=12) == seen(EIP_NAT, 12)
    assert lab.briefly(12, EIP_NAT, 80, at=B) == DROPPED, "the answer leaves by the server's own address"


def test_load_balancer_that_keeps_the_client(lab: World) -> None:
    cloud = with_groups(balanced((member("10.0.1.7"),), cloud=world()), P, CLOSED)
    lab.become(cloud)
    assert lab.tcp(A, VIP, 80, at=P) == seen(ADDRESS[A], P)
    assert lab.briefly(A, ADDRESS[P], at=P) == DROPPED, "the member's group doesn't allow the client itself"
    assert lab.tcp(12, EIP_LB, 80, at=P) == seen(HOST_ADDRESS, P)
    assert lab.briefly(P, VIP, 80, at=P) == DROPPED, "a member can't dial itself"
    lab.become(balanced((), cloud=world()))
    assert lab.briefly(A, VIP, 80, at=P) == DROPPED


def test_load_balancer_that_hides_the_client(lab: World) -> None:
    from_balancer = group("vpc1/lb", rule("ingress", cidr=IPv4Network("100.125.0.0/16")), rule("egress"))
    lab.become(with_groups(balanced((member("10.0.1.7"),), cloud=world(), keep_client=False), P, from_balancer))
    assert lab.tcp(A, VIP, 80, at=P) == seen("100.125.0.9", P)
    assert lab.tcp(12, EIP_LB, 80, at=P) == seen("100.125.0.9", P)
    assert lab.tcp(P, VIP, 80, at=P) == seen("100.125.0.9", P)


def test_load_balancer_spreads_connections(lab: World) -> None:
    lab.become(balanced((member("10.0.1.7"), member("10.0.0.9")), cloud=world()))
    servers = lab.serve(P, B)
    try:
        found = [packets.connect(lab.home(A), IPv4Address(VIP), 80, servers).server for _ in range(24)]
    finally:
        for server in servers.values():
            server.close()
    assert set(found) == {f"eni-{P}", f"eni-{B}"}


def test_applying_the_same_again_changes_nothing(lab: World) -> None:
    before = lab.lab.flows()
    lab.become(world())
    assert lab.lab.flows() == before


def test_traffic_does_not_need_the_controller(lab: World) -> None:
    """Last of the module: the controller doesn't come back."""
    controller = next(p for p in lab.lab.processes if "controllers.app" in str(p.args))
    controller.kill()
    controller.wait()
    assert lab.tcp(A, ADDRESS[P], at=P) == seen(ADDRESS[A], P)
    assert lab.ping(A, ADDRESS[B])
