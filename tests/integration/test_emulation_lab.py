"""A small wiring on the machine: packets pass, applying twice does nothing, changes are made in place."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from pyroute2.ethtool.ioctl import IoctlEthtool

from testbed.emulation import netns
from testbed.emulation.changes import plan_changes
from testbed.emulation.errors import EmulationError, KernelRefusedError, NoSuchLabError, NotOursError
from testbed.emulation.ownership import find_processes
from testbed.emulation.processes import Program, find_role, launch_in, run_in
from testbed.emulation.realise import open_session, read_found
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.emulation.synthetic import synthetic_wiring
from testbed.emulation.teardown import tear_down
from testbed.emulation.waiting import until
from testbed.model.wiring import Firewall, Offload, TunnelNeighbour, Wiring
from tests.integration.emulation_lab import clean, datapath, forward_like_switches, pings, realise, unique_lab
from tests.limits import LIMIT

pytestmark = [pytest.mark.root, pytest.mark.datapath]

WIRING = synthetic_wiring(2, 4)


@pytest.fixture
def rundir(tmp_path: Path) -> Iterator[RunDir]:
    with clean(unique_lab(tmp_path)) as rundir:
        yield rundir


def test_packets_pass_and_applying_twice_does_nothing(rundir: RunDir) -> None:
    assert realise(rundir, WIRING)
    forward_like_switches(rundir, WIRING)
    assert pings(rundir, "pod-1-1", "10.0.1.2"), "pod to pod on one node"
    assert pings(rundir, "pod-1-1", "10.0.1.254"), "pod to its gateway, br-int's own address"
    assert pings(rundir, "n1", "192.168.0.2"), "node to node through the fabric"
    assert not pings(rundir, "pod-1-1", "192.168.0.9")
    assert realise(rundir, WIRING) == ()


def test_no_flow_is_installed_and_no_connection_is_accepted(rundir: RunDir) -> None:
    """``fail_mode=secure``: until a controller programs a bridge, it forwards nothing; and it listens nowhere."""
    realise(rundir, WIRING)
    assert not pings(rundir, "pod-1-1", "10.0.1.2")
    database = f"--db=unix:{rundir.ovs('n1')}/db.sock"
    shown = subprocess.run(["ovs-vsctl", database, "show"], capture_output=True, text=True, check=True).stdout
    assert "ptcp" not in shown
    assert "Manager" not in shown
    assert shown.count("fail_mode: secure") == 2
    sockets = run_in(rundir, "n1", ["ss", "-Hlntu"])
    assert sockets.stdout.strip() == ""


def test_what_was_asked_for_is_there(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    shown = run_in(rundir, "pod-1-1", ["ip", "-d", "address", "show", "eth0"]).stdout
    assert "02:05:00:00:01:01" in shown
    assert "mtu 1450" in shown
    assert "alias Pod/default/pod-1-1" in shown
    assert "inet 10.0.1.1/24" in shown
    assert "inet6" not in shown, "IPv6 is off"
    assert "default via 10.0.1.254 dev eth0" in run_in(rundir, "pod-1-1", ["ip", "route"]).stdout
    assert run_in(rundir, "n1", ["sysctl", "-n", "net.ipv4.ip_forward"]).stdout == "1\n"
    assert "02:04:00:00:01:00" in run_in(rundir, "n1", ["ip", "link", "show", "br-int"]).stdout


def test_pods_come_and_go_in_place(rundir: RunDir) -> None:
    realise(rundir, synthetic_wiring(2, 4))
    processes = {owned.pid for owned in find_processes(rundir)}
    realise(rundir, synthetic_wiring(2, 8))
    forward_like_switches(rundir, WIRING)
    assert pings(rundir, "pod-1-4", "10.0.1.1")
    launch_in(rundir, "pod-1-4", Program("sleeper", ("/bin/sleep", "600")))
    realise(rundir, synthetic_wiring(2, 4))
    assert "pod-1-4" not in netns.read_mounted(rundir)
    assert find_role(rundir, "sleeper") == ()
    assert "p4" not in run_in(rundir, "n1", ["ip", "-br", "link"]).stdout
    assert pings(rundir, "pod-1-1", "10.0.1.2")
    realise(rundir, synthetic_wiring(2, 8))
    assert pings(rundir, "pod-1-4", "10.0.1.1"), "a name used again at once"
    assert {owned.pid for owned in find_processes(rundir)} == processes, "the switches went on running"


def test_a_link_that_changed_is_made_again_with_its_settings(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    forward_like_switches(rundir, WIRING)
    veths = tuple(replace(v, mtu=1400) if v.a.namespace == "pod-1-1" else v for v in WIRING.veths)
    realise(rundir, replace(WIRING, veths=veths))
    shown = run_in(rundir, "pod-1-1", ["ip", "address", "show", "eth0"]).stdout
    assert "mtu 1400" in shown
    assert pings(rundir, "pod-1-1", "10.0.1.2"), "address, route and port came back"


def test_a_dead_switch_is_found_and_made_again(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    for pid in find_role(rundir, "ovs-vswitchd@n1"):
        subprocess.run(["kill", "-9", str(pid)], check=True)
    until(lambda: not find_role(rundir, "ovs-vswitchd@n1"), LIMIT, "the switch to die")
    assert [switch.namespace for switch in read_found(rundir).doubtful.switches] == ["n1"]
    assert realise(rundir, WIRING)
    forward_like_switches(rundir, WIRING)
    assert pings(rundir, "pod-1-1", "10.0.1.254")
    assert pings(rundir, "n1", "192.168.0.2")
    assert realise(rundir, WIRING) == ()


def test_firewall_and_offload(rundir: RunDir) -> None:
    rules = "table ip guard {\n chain input {\n  type filter hook input priority 0; drop\n }\n}\n"
    guarded = replace(
        WIRING,
        firewalls=(Firewall("pod-1-1", rules, "Pod/default/pod-1-1"),),
        offloads=(Offload("pod-1-2", "eth0"),),
    )
    realise(rundir, guarded)
    forward_like_switches(rundir, WIRING)
    assert not pings(rundir, "pod-1-2", "10.0.1.1")
    path = rundir.namespace("pod-1-2")
    assert netns.inside(path, lambda: IoctlEthtool("eth0").get_offload_flags()["tx-checksumming"]) is False
    realise(rundir, WIRING)
    assert "guard" not in run_in(rundir, "pod-1-1", ["nft", "list", "ruleset"]).stdout
    assert pings(rundir, "pod-1-2", "10.0.1.1")
    assert netns.inside(path, lambda: IoctlEthtool("eth0").get_offload_flags()["tx-checksumming"]) is True


def test_tunnel_neighbours_are_known_before_the_first_packet(rundir: RunDir) -> None:
    entry = TunnelNeighbour("n1", "br-ex", IPv4Address("192.168.0.2"), "02:03:00:00:02:00")
    realise(rundir, replace(WIRING, tunnel_neighbours=(entry,)))
    if datapath() is Datapath.KERNEL:
        shown = run_in(rundir, "n1", ["ip", "neigh", "show"]).stdout
    else:
        control = str(rundir.ovs("n1") / "ovs-vswitchd.ctl")
        shown = run_in(rundir, "n1", ["ovs-appctl", "-t", control, "tnl/neigh/show"]).stdout
    assert "192.168.0.2" in shown
    assert "02:03:00:00:02:00" in shown


def test_a_switch_that_is_no_longer_wanted_leaves_no_device(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    assert "br-int" in run_in(rundir, "n1", ["ip", "-br", "link"]).stdout
    without = replace(
        WIRING,
        switches=tuple(switch for switch in WIRING.switches if switch.namespace != "n1"),
        addresses=tuple(address for address in WIRING.addresses if address.namespace != "n1"),
    )
    realise(rundir, without)
    shown = run_in(rundir, "n1", ["ip", "-br", "link"]).stdout
    assert "br-int" not in shown
    assert "p1" in shown
    assert realise(rundir, without) == ()
    realise(rundir, WIRING)
    forward_like_switches(rundir, WIRING)
    assert pings(rundir, "pod-1-1", "10.0.1.254")


def test_a_frozen_database_is_named_in_bounded_time(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    (database,) = find_role(rundir, "ovsdb-server@n1")
    os.kill(database, signal.SIGSTOP)
    try:
        with pytest.raises(EmulationError, match=r"ovs/n1/db.sock did not answer transact in time"):
            realise(rundir, synthetic_wiring(2, 6))
    finally:
        os.kill(database, signal.SIGCONT)
    realise(rundir, synthetic_wiring(2, 6))
    assert realise(rundir, synthetic_wiring(2, 6)) == ()


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "small", str(root)], check=True)
    try:
        with clean(unique_lab(root)) as rundir:
            with pytest.raises(EmulationError, match="No space left on device"):
                realise(rundir, synthetic_wiring(2, 100))
            assert not rundir.exists
            assert find_processes(rundir) == ()
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_a_refused_object_is_named_and_a_new_lab_is_rolled_back(rundir: RunDir) -> None:
    twice = replace(WIRING.veths[1], a=replace(WIRING.veths[1].a, interface="eth9"))
    with pytest.raises(KernelRefusedError, match=r"link n1/p1 - pod-1-1/eth9 of .*File exists"):
        realise(rundir, replace(WIRING, veths=(*WIRING.veths, twice)))
    assert not rundir.exists
    with pytest.raises(NoSuchLabError):
        tear_down(rundir)


def test_a_failure_in_a_settled_lab_is_repaired_by_the_next_command(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    bad = replace(WIRING.namespaces[2], name="extra", sysctls=(("net.ipv4.no_such_thing", "1"),))
    with pytest.raises(EmulationError, match="no_such_thing"):
        realise(rundir, replace(WIRING, namespaces=(*WIRING.namespaces, bad)))
    realise(rundir, WIRING)
    assert "extra" not in netns.read_mounted(rundir)
    assert realise(rundir, WIRING) == ()


def test_a_namespace_file_that_is_not_ours_is_not_taken(rundir: RunDir) -> None:
    (pod,) = (item for item in WIRING.namespaces if item.name == "pod-1-1")
    with open_session(rundir, datapath()) as session:
        netns.mount_home(rundir)
        rundir.namespace("pod-1-1").touch()
        with pytest.raises(NotOursError, match="pod-1-1"):
            netns.make_namespaces(rundir, [pod])
        session.settle(1, ())


def test_a_sysctl_of_the_whole_machine_is_refused(rundir: RunDir) -> None:
    bad = replace(WIRING.namespaces[0], sysctls=(("kernel.hostname", "x"),))
    with pytest.raises(EmulationError, match=r"kernel\.hostname is not one of a network namespace"):
        realise(rundir, Wiring(namespaces=(bad,)))


def test_programs_see_their_own_resolver_and_devices(rundir: RunDir) -> None:
    pod = replace(WIRING.namespaces[2], nameserver=IPv4Address("10.96.0.10"), search=("default.svc.cluster.local",))
    realise(rundir, replace(WIRING, namespaces=(*WIRING.namespaces[:2], pod, *WIRING.namespaces[3:])))
    assert "nameserver 10.96.0.10" in run_in(rundir, pod.name, ["cat", "/etc/resolv.conf"]).stdout
    assert run_in(rundir, pod.name, ["ls", "/sys/class/net"]).stdout.split() == ["eth0", "lo"]
    assert "10.96.0.10" not in Path("/etc/resolv.conf").read_text()


def test_two_labs_side_by_side(rundir: RunDir, tmp_path: Path) -> None:
    with clean(unique_lab(tmp_path)) as other:
        realise(rundir, WIRING)
        realise(other, WIRING)
        forward_like_switches(rundir, WIRING)
        tear_down(other)
        assert pings(rundir, "pod-1-1", "10.0.1.2")


def test_down_works_while_a_program_ignores_sigterm(rundir: RunDir) -> None:
    realise(rundir, WIRING)
    command = "trap '' TERM HUP INT; while true; do sleep 1; done"
    launch_in(rundir, "pod-1-1", Program("stubborn", ("/bin/bash", "-c", command)))
    torn = tear_down(rundir)
    assert torn.namespaces == len(WIRING.namespaces)
    assert find_processes(rundir) == ()


@pytest.mark.skipif(datapath() is Datapath.USERSPACE, reason="the kernel has no openvswitch module here")
def test_the_userspace_datapath_works_on_a_machine_that_has_both(rundir: RunDir) -> None:
    with open_session(rundir, Datapath.USERSPACE) as session:
        session.apply(plan_changes(WIRING, Wiring()))
        session.settle(1, ())
    forward_like_switches(rundir, WIRING)
    assert pings(rundir, "pod-1-1", "10.0.1.2")
