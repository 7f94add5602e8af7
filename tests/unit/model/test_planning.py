"""Planning gives every object an address, keeps what it gave, and says why when it can't."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.model.cloud import NodePool, WarmPool
from testbed.model.codec import from_plain, to_plain
from testbed.model.desired import FabricState, NetworkModel
from testbed.model.lab import Lab
from testbed.model.planning import Ledger, Plan, PlanError, plan_lab
from testbed.model.planning.warm_pool import nics_to_bind, nics_to_unbind
from testbed.model.wiring import Wiring
from tests.unit.model.labs import HERE, cluster, deployment, lab, stateful_set

NOW = 1_000_000.0


def plan(wanted: Lab, before: Plan | None = None, now: float = NOW) -> Plan:
    ledger = before.ledger if before else Ledger()
    return plan_lab(wanted, ledger, before.generation + 1 if before else 1, "userspace", now)


def addresses(planned: Plan) -> dict[str, str]:
    return {pod.name: str(pod.address) for pod in planned.pods if pod.address}


@pytest.mark.parametrize("model", list(NetworkModel))
def test_replanning_the_same_lab_changes_nothing(model: NetworkModel) -> None:
    first = plan(lab(model))
    second = plan(lab(model), first)
    assert second.wiring == first.wiring
    assert replace(second.fabric, generation=1) == first.fabric
    assert replace(second.clusters, generation=1) == first.clusters
    assert second.ledger == first.ledger


@pytest.mark.parametrize("model", list(NetworkModel))
def test_documents_survive_json(model: NetworkModel) -> None:
    planned = plan(lab(model))
    assert from_plain(FabricState, to_plain(planned.fabric)) == planned.fabric
    assert from_plain(Wiring, to_plain(planned.wiring)) == planned.wiring
    assert from_plain(Ledger, to_plain(planned.ledger)) == planned.ledger


def test_tunnel_pods_get_addresses_from_their_nodes_blocks() -> None:
    planned = plan(lab(NetworkModel.TUNNEL))
    assert addresses(planned) == {
        "web-0": "172.16.0.16",
        "web-1": "172.16.0.32",
        "web-2": "172.16.0.17",
        "web-3": "172.16.0.33",
    }
    assert [node.blocks for node in planned.nodes] == [
        (IPv4Network("172.16.0.16/28"),),
        (IPv4Network("172.16.0.32/28"),),
    ]


def test_the_seventeenth_tunnel_pod_of_a_node_brings_a_second_block() -> None:
    one_node = cluster(NetworkModel.TUNNEL, nodes=1)
    planned = plan(lab(NetworkModel.TUNNEL, clusters=(one_node,), stateful_sets=(stateful_set("web", 17),)))
    assert planned.nodes[0].blocks == (IPv4Network("172.16.0.16/28"), IPv4Network("172.16.0.32/28"))
    assert addresses(planned)["web-16"] == "172.16.0.32"


def test_scaling_down_gives_the_second_block_back() -> None:
    one_node = cluster(NetworkModel.TUNNEL, nodes=1)
    many = lab(NetworkModel.TUNNEL, clusters=(one_node,), stateful_sets=(stateful_set("web", 17),))
    first = plan(many)
    second = plan(replace(many, stateful_sets=(stateful_set("web", 3),)), first)
    assert second.nodes[0].blocks == (IPv4Network("172.16.0.16/28"),)


def test_the_seventeenth_node_of_a_24_has_no_block_left() -> None:
    small = cluster(NetworkModel.TUNNEL, nodes=17, container_cidr=IPv4Network("172.16.0.0/24"))
    planned = plan(lab(NetworkModel.TUNNEL, clusters=(small,), stateful_sets=(stateful_set("web", 17),)))
    assert [(pod.name, pod.pending) for pod in planned.pending] == [
        ("web-16", "no free /28 block in 172.16.0.0/24 (16 in use)")
    ]
    seventeenth = next(node for node in planned.nodes if node.name == "node-17")
    assert seventeenth.blocks == ()


def test_vpc_nodes_get_sequential_blocks_and_a_route_in_every_table() -> None:
    planned = plan(lab(NetworkModel.VPC))
    assert [node.blocks for node in planned.nodes] == [
        (IPv4Network("172.16.0.0/25"),),
        (IPv4Network("172.16.0.128/25"),),
    ]
    routes = [(str(route.destination), route.target) for route in planned.fabric.route_tables[0].routes]
    assert routes == [("172.16.0.0/25", planned.nodes[0].eni), ("172.16.0.128/25", planned.nodes[1].eni)]


def test_a_28_holds_thirteen_pods_and_a_host_network_pod_needs_none_of_them() -> None:
    tight = cluster(NetworkModel.VPC, nodes=1, fix_pool_mask=28)
    planned = plan(
        lab(
            NetworkModel.VPC,
            clusters=(tight,),
            stateful_sets=(stateful_set("web", 14), stateful_set("hostly", 1, host_network=True)),
        )
    )
    assert len(addresses(planned)) == 14
    assert [pod.name for pod in planned.pending] == ["web-13"]
    assert "no free address on node node-1 in 172.16.0.0/28 (13 in use)" in planned.pending[0].pending


def test_the_node_over_the_route_quota_is_refused_with_its_reason() -> None:
    many = cluster(NetworkModel.VPC, nodes=201, fix_pool_mask=28)
    with pytest.raises(PlanError, match=r'201 nodes need 201 routes; route table "default" of VPC vpc-1 allows 200'):
        plan(lab(NetworkModel.VPC, clusters=(many,)))


def test_two_host_network_pods_with_one_port_do_not_share_a_node() -> None:
    one_node = cluster(NetworkModel.TUNNEL, nodes=1)
    pods = (stateful_set("hostly", 2, host_network=True),)
    planned = plan(lab(NetworkModel.TUNNEL, clusters=(one_node,), stateful_sets=pods))
    assert planned.pods[0].address == planned.nodes[0].address
    assert "didn't have free ports" in planned.pending[0].pending


def test_eni_nodes_bind_ten_nics_and_keep_two_spare() -> None:
    one_node = cluster(NetworkModel.ENI, nodes=1, pool=NodePool("node", HERE, 1, sub_enis=128))
    empty = plan(lab(NetworkModel.ENI, clusters=(one_node,), stateful_sets=()))
    assert len(empty.nodes[0].nics) == 10
    full = plan(lab(NetworkModel.ENI, clusters=(one_node,), stateful_sets=(stateful_set("web", 10),)), empty)
    assert len(full.nodes[0].nics) == 12
    vlans = [nic.vlan for nic in full.nodes[0].nics]
    assert len(set(vlans)) == 12


def test_the_sub_eni_quota_leaves_the_next_pod_pending() -> None:
    tight = cluster(NetworkModel.ENI, nodes=1, pool=NodePool("node", HERE, 1, sub_enis=3))
    planned = plan(lab(NetworkModel.ENI, clusters=(tight,), stateful_sets=(stateful_set("web", 4),)))
    assert [pod.pending for pod in planned.pending] == ["no free sub-ENIs on node node-1 (quota 3, all in use)"]


def test_a_nic_is_reused_at_once_and_released_only_after_its_cooldown() -> None:
    pool = NodePool("node", HERE, 1, sub_enis=128, warm_pool=WarmPool(0, 0, 0, 0))
    one_node = cluster(NetworkModel.ENI, nodes=1, pool=pool)
    ten = lab(NetworkModel.ENI, clusters=(one_node,), stateful_sets=(stateful_set("web", 3),))
    first = plan(ten)
    gone = plan(replace(ten, stateful_sets=()), first, NOW + 1)
    assert len(gone.nodes[0].nics) == 3
    again = plan(replace(ten, stateful_sets=(stateful_set("api", 1),)), gone, NOW + 60)
    assert addresses(again)["api-0"] in addresses(first).values()
    later = plan(replace(ten, stateful_sets=()), gone, NOW + 200)
    assert later.nodes[0].nics == ()
    hasty = cluster(NetworkModel.ENI, nodes=1, pool=replace(pool, warm_pool=WarmPool(0, 0, 0, 0, cooldown=5)))
    assert plan(replace(ten, stateful_sets=(), clusters=(hasty,)), gone, NOW + 7).nodes[0].nics == ()


def test_a_static_address_waits_five_minutes_for_its_pod() -> None:
    static = (("yangtse.io/static-ip", "true"),)
    pool = NodePool("node", HERE, 1, sub_enis=128, warm_pool=WarmPool(0, 0, 0, 0))
    one_node = cluster(NetworkModel.ENI, nodes=1, pool=pool)
    with_pod = lab(NetworkModel.ENI, clusters=(one_node,), stateful_sets=(stateful_set("web", 1, annotations=static),))
    without = replace(with_pod, stateful_sets=())
    first = plan(with_pod)
    mine = addresses(first)["web-0"]
    left = NOW + 3600  # the time begins when the pod goes, not when it was last planned
    gone = plan(without, first, left)
    other = plan(replace(without, deployments=(deployment("other", 1),)), gone, left + 10)
    assert mine not in addresses(other).values()
    back = plan(with_pod, plan(without, gone, left + 100), left + 200)
    assert addresses(back)["web-0"] == mine
    assert back.ledger.reservations == first.ledger.reservations
    expired = plan(replace(without, deployments=(deployment("other", 1),)), gone, left + 400)
    assert mine in addresses(expired).values()


@pytest.mark.parametrize(
    ("pool", "used", "bound", "bind", "unbind"),
    [
        (WarmPool(), 0, 0, 10, 0),
        (WarmPool(), 9, 10, 1, 0),
        (WarmPool(), 10, 10, 2, 0),
        (WarmPool(), 12, 14, 0, 0),
        (WarmPool(), 5, 14, 0, 4),
        (WarmPool(), 0, 20, 0, 10),
        (WarmPool(20, 60, 10, 5), 0, 0, 20, 0),
        (WarmPool(20, 60, 10, 5), 55, 58, 2, 0),
        (WarmPool(20, 60, 10, 5), 60, 60, 0, 0),
        (WarmPool(20, 60, 10, 5), 20, 45, 0, 10),
    ],
)
def test_the_documented_warm_pool_vectors(pool: WarmPool, used: int, bound: int, bind: int, unbind: int) -> None:
    assert nics_to_bind(used, bound, 256, pool) == bind
    assert nics_to_unbind(used, bound, 256, pool) == unbind


def test_a_deleted_pod_comes_back_as_another_one() -> None:
    wanted = lab(NetworkModel.TUNNEL, stateful_sets=(), deployments=(deployment("web", 2),))
    first = plan(wanted)
    slot = first.pods[0].slot
    ledger = replace(first.ledger, incarnations={slot: 1})
    second = plan_lab(wanted, ledger, 2, "userspace", NOW)
    assert second.pods[0].name != first.pods[0].name
    assert second.pods[1] == first.pods[1]


def test_full_node_subnet_is_refused() -> None:
    with pytest.raises(PlanError, match=r"no free address in subnet nodes 192\.168\.0\.0/24 \(251 in use\)"):
        plan(lab(NetworkModel.TUNNEL, clusters=(cluster(NetworkModel.TUNNEL, nodes=252),)))


def test_fixed_server_address_is_not_given_to_a_node() -> None:
    wanted = lab(NetworkModel.TUNNEL)
    server = replace(wanted.servers[0], address=IPv4Address("192.168.0.2"))
    planned = plan(replace(wanted, servers=(server,)))
    assert IPv4Address("192.168.0.2") not in {node.address for node in planned.nodes}
