from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from itertools import pairwise

from testbed.emulation import fragments
from testbed.emulation.changes import Changes, plan_changes, render_changes
from testbed.model.wiring import Wiring
from tests.unit.emulation.wirings import node_with_pods


def test_nothing_to_change_for_what_exists() -> None:
    wiring = node_with_pods("a", "b")
    changes = plan_changes(wiring, wiring)
    assert changes.empty
    assert render_changes(changes) == "nothing to change"


def test_everything_is_added_to_nothing() -> None:
    wiring = node_with_pods("a")
    changes = plan_changes(wiring, Wiring())
    assert changes.add == wiring
    assert fragments.is_empty(changes.remove)
    assert {str(line.action) for line in changes.lines} == {"+"}


def test_a_new_pod_changes_its_node_only_by_a_port() -> None:
    changes = plan_changes(node_with_pods("a", "b"), node_with_pods("a"))
    assert [namespace.name for namespace in changes.add.namespaces] == ["b"]
    assert [veth.a.namespace for veth in changes.add.veths] == ["b"]
    assert not changes.add.switches
    (switch,) = changes.switches
    assert switch.middle == switch.found
    assert switch.wanted == node_with_pods("a", "b").switches[0]
    assert "+ port p-b on n1/br-int (Pod/default/b): new" in render_changes(changes)


def test_a_removed_pod_takes_its_contents_along() -> None:
    changes = plan_changes(node_with_pods("a"), node_with_pods("a", "b"))
    assert [namespace.name for namespace in changes.remove.namespaces] == ["b"]
    assert [veth.a.namespace for veth in changes.remove.veths] == ["b"], "its end at the node is deleted by hand"
    assert not changes.remove.addresses
    assert not changes.remove.routes
    assert not changes.remove.offloads
    assert {item.namespace for item in changes.lost.addresses} == {"b"}
    (switch,) = changes.switches
    assert switch.middle == switch.wanted
    assert fragments.is_empty(changes.add)


def test_a_link_made_again_takes_its_settings_and_its_port_along() -> None:
    found = node_with_pods("a")
    slower = replace(found, veths=(replace(found.veths[0], mtu=1400),))
    changes = plan_changes(slower, found)
    assert changes.remove.veths == found.veths
    assert changes.add == fragments.only(
        slower,
        lambda kind, item: (
            kind in ("veths", "addresses", "routes", "offloads") and getattr(item, "namespace", "") != "n1"
        ),
    )
    (switch,) = changes.switches
    assert switch.found == switch.wanted
    assert switch.middle.bridges[0].ports == ()
    reasons = {line.what: line.reason for line in changes.lines}
    assert reasons["link a/eth0 - n1/p-a"] == "made again: it changed"
    assert reasons["address 10.0.0.1/24 on a/eth0"] == "made again: what carries it is made again"


def test_a_route_follows_the_address_that_it_needs() -> None:
    found = node_with_pods("a")
    moved = replace(found.addresses[1], address=IPv4Interface("10.0.0.9/24"))
    changes = plan_changes(replace(found, addresses=(found.addresses[0], moved)), found)
    assert changes.remove.addresses == (found.addresses[1],)
    assert changes.add.routes == found.routes


def test_a_new_owner_alone_makes_nothing_again() -> None:
    found = node_with_pods("a")
    relabelled = replace(found, veths=(replace(found.veths[0], owner="Pod/other/a"),))
    assert plan_changes(relabelled, found).empty


def test_a_sysctl_is_changed_in_place() -> None:
    found = node_with_pods()
    node = replace(found.namespaces[0], sysctls=(("net.ipv4.ip_forward", "0"),))
    changes = plan_changes(replace(found, namespaces=(node,)), found)
    assert changes.namespaces == (node,)
    assert fragments.is_empty(changes.add)
    assert fragments.is_empty(changes.remove)


def test_a_firewall_is_replaced() -> None:
    found = node_with_pods()
    other = replace(found.firewalls[0], ruleset="table ip other {\n}\n")
    changes = plan_changes(replace(found, firewalls=(other,)), found)
    assert changes.add.firewalls == (other,)


def test_a_removed_node_leaves_nothing_of_its_own_to_do_by_hand() -> None:
    changes = plan_changes(Wiring(), node_with_pods("a"))
    assert {namespace.name for namespace in changes.remove.namespaces} == {"n1", "a"}
    assert not changes.remove.veths
    assert not changes.remove.switches
    assert [switch.namespace for switch in changes.lost.switches] == ["n1"]


def test_a_dead_switch_is_made_again_with_what_it_carried() -> None:
    wiring = node_with_pods("a")
    dead = Wiring(switches=wiring.switches)
    changes = plan_changes(wiring, fragments.difference(wiring, dead), doubtful=dead)
    assert changes.doubtful == dead
    assert changes.add.switches == wiring.switches
    assert [item.interface for item in changes.add.addresses] == ["br-int"]
    assert changes.add.tunnel_neighbours == wiring.tunnel_neighbours
    assert not changes.add.veths
    assert "interrupted or it died" in render_changes(changes)


def after(changes: Changes, found: Wiring) -> Wiring:
    """What the machine has once ``changes`` are made."""
    gone = fragments.union(fragments.union(changes.remove, changes.lost), changes.doubtful)
    kept = fragments.difference(found, gone)
    switches = Wiring(switches=tuple(change.wanted for change in changes.switches))
    return fragments.union(fragments.union(kept, changes.add), switches)


def test_making_the_changes_leads_to_what_is_wanted() -> None:
    steps = [Wiring(), node_with_pods("a", "b"), node_with_pods("b", "c"), node_with_pods(), Wiring()]
    for found, wanted in pairwise(steps):
        reached = after(plan_changes(wanted, found), found)
        assert plan_changes(wanted, reached).empty
