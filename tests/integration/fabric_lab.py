"""The fabric on a real switch: a bridge, the controller's process, and a namespace for every ENI of a document.

Each ENI has its address, MAC, next hop and tag as the document says, so what passes and what doesn't is the doing of
the controller's flows alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from testbed.model.codec import to_plain
from testbed.model.desired import Eni, FabricState
from tests.integration.controller_switch import OwnSwitch, own_switch, until
from tests.limits import LIMIT
from tests.unit.fabric.clouds import DATAPATH

BRIDGE = "vpc"
DATAPATH_TYPE = "system" if Path("/sys/module/openvswitch").is_dir() else "netdev"
LINK_LOCAL_GATEWAY = IPv4Address("169.254.1.1")


class FabricLab:
    """Endpoints are called as their ENIs; ``blocks`` are other addresses that an ENI's namespace answers for."""

    def __init__(self, switch: OwnSwitch, state: FabricState, blocks: dict[int, tuple[str, ...]]) -> None:
        self.switch, self.state, self.blocks = switch, state, blocks
        self.control = switch.run / "control"
        self.control.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.homes: dict[int, subprocess.Popen[bytes]] = {}

    def up(self) -> None:
        """Raises CalledProcessError or TimeoutError that says what didn't come."""
        (self.switch.run / "fabric.sock").symlink_to(self.control / "fabric.sock")
        self.want(self.state)
        self._spawn(sys.executable, "-m", "controllers.app", "fabric", "--run-dir", str(self.switch.run))
        self.switch.add_bridge(BRIDGE, DATAPATH, str(self.switch.run / "fabric.sock"))
        self.switch.vsctl("set", "bridge", BRIDGE, f"datapath_type={DATAPATH_TYPE}")
        if DATAPATH_TYPE == "netdev":
            self.switch.appctl("dpctl/ct-disable-tcp-seq-chk")  # as the lab's own switches
        self._homes()
        self._ports()
        for eni in self.state.enis:
            self._endpoint(eni)
        self.until_applied()

    def want(self, state: FabricState) -> None:
        self.state = state
        scratch = self.control / "fabric.json.new"
        scratch.write_text(json.dumps(to_plain(state)))
        scratch.replace(self.control / "fabric.json")

    def apply(self, state: FabricState) -> None:
        """The next generation, in force when this returns, for packets that the switch has cached decisions on too."""
        self.want(state)
        self.until_applied()
        self.switch.appctl("revalidator/purge")

    def until_applied(self) -> None:
        try:
            until(self._in_force, LIMIT, f"generation {self.state.generation}")
        except TimeoutError as error:
            log = (self.switch.run / "fabric.log").read_text()
            raise AssertionError(f"{error}: {self._applied()}\n{log}") from error

    def _in_force(self) -> bool:
        applied = self._applied()
        switches = list(applied.get("switches", {}).values())
        there = bool(switches) and all(each["generation"] == self.state.generation for each in switches)
        return there and applied["generation"] == self.state.generation

    def _applied(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads((self.control / "fabric.applied.json").read_text())
        except FileNotFoundError:
            return {}
        return document

    def namespace(self, name: str) -> Path:
        eni = next(each for each in self.state.enis if each.name == name)
        return Path(f"/proc/{self.homes[eni.id].pid}/ns/net")

    def flows(self) -> list[str]:
        return self.switch.flows(BRIDGE)

    def down(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.switch.run / "fabric.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def _homes(self) -> None:
        """A namespace for each ENI, held by a process that sleeps."""
        own = os.readlink("/proc/self/ns/net")
        for eni in self.state.enis:
            home = self.homes[eni.id] = self._spawn("unshare", "--net", "sleep", "3600")
            link = f"/proc/{home.pid}/ns/net"
            until(lambda link=link: os.readlink(link) != own, LIMIT, f"the namespace of {eni.name}")  # type: ignore[misc]

    def _ports(self) -> None:
        """A port of the fabric for every ENI of its own; those that share one sit on a bridge of their node, which
        tags, and a patch is the carrier."""
        _ip(self.switch.namespace, [line for eni in self.state.enis for line in self._veth(eni)])
        carriers = {eni.port for eni in self.state.enis if eni.vlan}
        command: list[str] = []
        for port in sorted(carriers):
            node = f"node{port}"
            command += ["--", "add-br", node, "--", "set", "bridge", node, f"datapath_type={DATAPATH_TYPE}"]
            command += _patch(BRIDGE, f"to-{node}", f"from-{node}", port)
            command += _patch(node, f"from-{node}", f"to-{node}", 1)
        for eni in self.state.enis:
            shared = eni.port in carriers
            where = f"node{eni.port}" if shared else BRIDGE
            tag = [f"tag={eni.vlan}"] if eni.vlan else []
            command += ["--", "add-port", where, f"p{eni.id}", *tag]
            if not shared:
                command += ["--", "set", "interface", f"p{eni.id}", f"ofport_request={eni.port}"]
        self.switch.vsctl(*command[1:])

    def _veth(self, eni: Eni) -> tuple[str, str]:
        home = self.homes[eni.id].pid
        return (
            f"link add p{eni.id} type veth peer name eth0 address {eni.mac} netns {home}",
            f"link set p{eni.id} up",
        )

    def _endpoint(self, eni: Eni) -> None:
        subnet = next((s for s in self.state.subnets if (s.network, s.name) == (eni.network, eni.subnet)), None)
        length = subnet.cidr.prefixlen if subnet else 32
        gateway = subnet.gateway if subnet else LINK_LOCAL_GATEWAY
        lines = [f"address add {eni.address}/{length} dev eth0", "link set lo up", "link set eth0 up"]
        lines += [f"route add default via {gateway} dev eth0 onlink"]
        lines += [f"address add {address}/32 dev lo" for address in self.blocks.get(eni.id, ())]
        home = self.homes[eni.id].pid
        _ip(home, lines)
        _inside(home, "ethtool", "-K", "eth0", "tx", "off")  # the userspace datapath gives checksums to nobody


def _patch(bridge: str, name: str, peer: str, number: int) -> list[str]:
    added = ["--", "add-port", bridge, name, "--", "set", "interface", name, "type=patch"]
    return [*added, f"options:peer={peer}", f"ofport_request={number}"]


def _ip(pid: int, lines: list[str]) -> None:
    _inside(pid, "ip", "-batch", "-", text="\n".join(lines))


def _inside(pid: int, *command: str, text: str = "") -> None:
    entered = ("nsenter", f"--net=/proc/{pid}/ns/net", *command)
    done = subprocess.run(entered, input=text, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}\n{text}")


@contextlib.contextmanager
def fabric_lab(state: FabricState, blocks: dict[int, tuple[str, ...]] | None = None) -> Iterator[FabricLab]:
    """The lab, up and programmed; gone afterwards whatever happened."""
    with own_switch() as switch:
        lab = FabricLab(switch, state, blocks or {})
        try:
            lab.up()
            yield lab
        finally:
            lab.down()
