"""What planning makes of small labs, seen by the fabric: the node and pod traffic of each network model passes it."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.openflow.packets import Packet
from testbed.model.desired import Eni, FabricState, NetworkModel
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import plan_lab
from tests.unit.fabric.clouds import Cloud, dropped_in, ping, tcp, udp
from tests.unit.model import labs


def planned(model: NetworkModel, **changes: Any) -> FabricState:
    return plan_lab(labs.lab(model, **changes), Ledger(), 1, "userspace", 0.0).fabric


class PlannedCloud(Cloud):
    """Finds ENIs by the names of their owners."""

    def of(self, owner: str, carrier: bool = False) -> Eni:
        return next(e for e in self.state.enis if e.owner == owner and e.name.endswith("eth1") == carrier)

    def passes(self, sender: str, receiver: str, packet: Packet) -> bool:
        """Whether a packet of ``sender`` reaches ``receiver`` (owners), and an answer to it comes back."""
        source, target = self.of(sender), self.of(receiver)
        outcome = self.send(source.id, packet)
        if [sent.port for sent in outcome.sent] != [target.port]:
            return False
        answered = self.answer(target.id, outcome.only.packet.but(vlan_vid=0))
        return [sent.port for sent in answered.sent] == [source.port]


NODES = ("Node/node-1", "Node/node-2")
DB = "Server/db"


def addresses(cloud: PlannedCloud, *owners: str) -> list[str]:
    return [str(cloud.of(owner).address) for owner in owners]


def test_tunnel_nodes_exchange_vxlan_and_hosts_reach_node_ports_only() -> None:
    cloud = PlannedCloud(planned(NetworkModel.TUNNEL))
    n1, n2, db = addresses(cloud, *NODES, DB)
    assert cloud.passes(*NODES, udp(n1, n2, 4789))
    assert cloud.passes(DB, NODES[0], tcp(db, n1, 30080))
    assert not cloud.passes(DB, NODES[0], tcp(db, n1, 8080))
    dropped_in(cloud.send(cloud.of(DB).id, tcp(db, "172.16.0.2", 8080)), "internet_exit")


def test_vpc_nodes_forward_for_their_own_blocks() -> None:
    cloud = PlannedCloud(planned(NetworkModel.VPC))
    _, _, db = addresses(cloud, *NODES, DB)
    blocks = {r.target: r.destination for t in cloud.state.route_tables for r in t.routes}
    pods = [str(blocks[cloud.of(node).id][4]) for node in NODES]
    assert cloud.passes(*NODES, tcp(pods[0], pods[1], 8080))
    assert cloud.passes(DB, NODES[0], tcp(db, pods[0], 8080))
    assert not cloud.passes(DB, NODES[0], ping(db, pods[0])), "pings from servers are not opened by default"
    dropped_in(cloud.send(cloud.of(NODES[0]).id, tcp(pods[1], db, 80)), "spoof_guard")


def test_eni_pods_are_in_the_vpc() -> None:
    cloud = PlannedCloud(planned(NetworkModel.ENI))
    pods = sorted({e.owner for e in cloud.state.enis if e.owner.startswith("Pod/")})
    addressed = addresses(cloud, *pods)
    assert len(pods) == 4
    for number in (1, 2):
        assert cloud.passes(pods[0], pods[number], tcp(addressed[0], addressed[number], 8080))
    assert cloud.passes(DB, pods[0], tcp(addresses(cloud, DB)[0], addressed[0], 8080))


@pytest.mark.parametrize("model", list(NetworkModel))
def test_nobody_is_on_the_internet_without_an_address_there(model: NetworkModel) -> None:
    cloud = PlannedCloud(planned(model))
    dropped_in(cloud.send(cloud.of(DB).id, ping(addresses(cloud, DB)[0], "203.0.113.10")), "internet_exit")
