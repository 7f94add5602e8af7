"""A running lab as a Mininet network, and Mininet's own CLI on it.

    mininet> web-0 ping -c1 db-0
    mininet> pingall
    mininet> dump

Hosts are the namespaces, switches are the bridges (``n1.br-int``), links are veths, patch ports, and the local port by
which a node's own network stack is plugged into its bridges. Mininet's cleanup and limits are never called: nothing of
the machine changes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from mininet.cli import CLI
from mininet.log import error, output, setLogLevel
from mininet.net import Mininet
from mininet.node import Node

from testbed.emulation.errors import NoSuchLabError
from testbed.emulation.mininet_nodes import LabHost, LabIntf, LabLink, LabSwitch, PatchIntf
from testbed.emulation.realise import read_found
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import Bridge, Endpoint, NamespaceKind, PortKind, Wiring

_LOCAL_PORT = 65534
_IPERF_PORT = 5201
_PING_LIMIT = "1"


def attach(rundir: RunDir) -> LabNet:
    """The lab as a Mininet network. Raises ``NoSuchLabError`` when it does not run."""
    if not rundir.exists:
        raise NoSuchLabError(f"there is no lab {rundir.lab}")
    return LabNet(rundir, read_found(rundir).wiring)


def run_cli(rundir: RunDir, script: str | None = None) -> None:
    """Mininet's CLI on the lab, until the user leaves it. ``script``: a file of commands instead of the terminal."""
    setLogLevel("info")
    net = attach(rundir)
    try:
        # Mininet's default is the standard input of the moment when it was imported.
        LabCLI(net, script=script, stdin=sys.stdin)
    finally:
        net.stop()


class LabNet(Mininet):
    """A lab that runs, as Mininet sees networks. ``stop`` ends the shells that were used, not the lab."""

    def __init__(self, rundir: RunDir, wiring: Wiring) -> None:
        # Mininet's once-only set-up raises limits and neighbour tables of the whole machine; we attach, so skip it.
        Mininet.inited = True
        super().__init__(build=False, controller=None)
        self.others: list[Node] = []
        self._rundir = rundir
        self._wiring = wiring
        self._addresses = {(item.namespace, item.interface): item.address for item in reversed(wiring.addresses)}
        self._add_hosts()
        self._ports = dict(self._add_switches())
        self._add_veths()
        self._add_local_ports()
        self._add_patches()
        self.built = True

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        yield from (node.name for node in self.others)

    def __contains__(self, item: object) -> bool:
        return item in self.nameToNode

    def start(self) -> None:
        """Nothing: the lab runs."""

    def stop(self) -> None:
        """End the shells and terminals of this session."""
        self.stopXterms()
        for node in self.nameToNode.values():
            node.terminate()

    def ping(self, hosts: list[Node] | None = None, timeout: str | None = None) -> float:
        """As Mininet's, but one second for a silent host instead of ten: some pairs are silent by design."""
        loss: float = super().ping(hosts=hosts, timeout=timeout or _PING_LIMIT)
        return loss

    def pingFull(self, hosts: list[Node] | None = None, timeout: str | None = None) -> Any:  # noqa: N802
        return super().pingFull(hosts=hosts, timeout=timeout or _PING_LIMIT)

    def iperf(
        self,
        hosts: list[Node] | None = None,
        l4Type: str = "TCP",  # noqa: N803
        udpBw: str = "10M",  # noqa: N803
        fmt: str | None = None,
        seconds: int = 5,
        port: int = _IPERF_PORT,
    ) -> list[str]:
        """iperf3 between two hosts; [server's, client's] rate. Mininet's own kills every ``iperf`` of the machine."""
        client, server = hosts or [self.hosts[0], self.hosts[-1]]
        output(f"*** Iperf: testing {l4Type} bandwidth between {client} and {server}\n")
        serving = server.popen(["iperf3", "-s", "-1", "-p", str(port)])
        try:
            udp = ["-u", "-b", udpBw] if l4Type == "UDP" else []
            command = ["iperf3", "-J", "-c", server.IP(), "-p", str(port), "-t", str(seconds), *udp]
            result = _run_iperf(client, command)
        finally:
            serving.terminate()
            serving.wait()
        rates = [f"{result[side] / 1e9:.2f} Gbits/sec" for side in ("received", "sent")] if result else []
        if l4Type == "UDP":
            rates.insert(0, udpBw)
        output(f"*** Results: {rates}\n")
        return rates

    def _add_hosts(self) -> None:
        for namespace in self._wiring.namespaces:
            node = LabHost(namespace.name, rundir=self._rundir, namespace=namespace.name)
            self.nameToNode[node.name] = node
            # The fabric is where the cloud's switch lives; nobody pings it.
            (self.others if namespace.kind is NamespaceKind.FABRIC else self.hosts).append(node)

    def _add_switches(self) -> Iterator[tuple[tuple[str, str], tuple[LabSwitch, int]]]:
        """Add the bridges, and yield (namespace, device) -> (switch, port number) of their ports."""
        for namespace, bridge in self._bridges():
            name = f"{namespace}.{bridge.name}"
            switch = LabSwitch(name, self._rundir, namespace, bridge.name, bridge.datapath_id)
            self.switches.append(switch)
            self.nameToNode[name] = switch
            for port in bridge.ports:
                yield (namespace, port.interface), (switch, port.number)

    def _bridges(self) -> Iterator[tuple[str, Bridge]]:
        for switch in self._wiring.switches:
            for bridge in switch.bridges:
                yield switch.namespace, bridge

    def _add_veths(self) -> None:
        for veth in self._wiring.veths:
            self._connect(self._end(veth.a), self._end(veth.b))

    def _end(self, end: Endpoint) -> dict[str, Any]:
        """Where an end of a veth belongs: to the bridge it is a port of, else to its host."""
        host = self.nameToNode[end.namespace]
        node, port = self._ports.get((end.namespace, end.interface), (host, None))
        return self._interface(node, end.namespace, end.interface, end.mac, port)

    def _interface(self, node: Node, namespace: str, name: str, mac: str | None, port: int | None) -> dict[str, Any]:
        address = self._addresses.get((namespace, name)) if isinstance(node, LabHost) else None
        known = {"ip": str(address.ip), "prefix": address.network.prefixlen} if address else {}
        return {"node": node, "name": name, "mac": mac, "port": port, **known}

    def _add_local_ports(self) -> None:
        for namespace, bridge in self._bridges():
            if (namespace, bridge.name) in self._addresses:
                host = self._interface(self.nameToNode[namespace], namespace, bridge.name, bridge.mac, None)
                switch = self.nameToNode[f"{namespace}.{bridge.name}"]
                local = self._interface(switch, namespace, bridge.name, bridge.mac, _LOCAL_PORT)
                self._connect(host, local)

    def _add_patches(self) -> None:
        ports = {
            (namespace, port.interface): dict(port.options).get("peer", "")
            for namespace, bridge in self._bridges()
            for port in bridge.ports
            if port.kind is PortKind.PATCH
        }
        for (namespace, name), peer in ports.items():
            if name < peer and (namespace, peer) in ports:
                ends = [self._ports[namespace, end] for end in (name, peer)]
                first, second = (
                    self._interface(switch, namespace, end, None, port)
                    for end, (switch, port) in zip((name, peer), ends, strict=True)
                )
                self._connect(first, second, PatchIntf)

    def _connect(self, first: dict[str, Any], second: dict[str, Any], intf: type[LabIntf] = LabIntf) -> None:
        ends = (first, second)
        rest = [{k: v for k, v in end.items() if k in ("ip", "prefix")} for end in ends]
        for end, params in zip(ends, rest, strict=True):
            params["port"] = end["node"].newPort() if end["port"] is None else end["port"]
        self.links.append(
            LabLink(
                first["node"],
                second["node"],
                intfName1=first["name"],
                intfName2=second["name"],
                addr1=first["mac"],
                addr2=second["mac"],
                intf=intf,
                params1=rest[0],
                params2=rest[1],
            )
        )


def _run_iperf(client: Node, command: list[str]) -> dict[str, float] | None:
    """{'sent': bit/s, 'received': bit/s}, tried again while the server is not up yet; None with the error printed."""
    end = time.monotonic() + 5
    while True:
        text, _, _ = client.pexec(command)
        with suppress(ValueError, KeyError):
            document = json.loads(text)
            if "error" not in document:  # the exit status is 0 now and then although there is one
                totals = document["end"]
                sent = totals.get("sum_sent", totals.get("sum"))
                received = totals.get("sum_received", totals.get("sum"))
                return {"sent": sent["bits_per_second"], "received": received["bits_per_second"]}
            if "refused" not in document["error"] or time.monotonic() > end:
                error(f"*** iperf3: {document['error']}\n")
                return None
            time.sleep(0.05)
            continue
        error(f"*** iperf3: {text}\n")
        return None


class LabCLI(CLI):
    """Mininet's CLI with the lab's names: they have dashes and dots in them, and Tab completes them."""

    identchars = CLI.identchars + "-."

    @classmethod
    def initReadline(cls) -> None:  # noqa: N802
        super().initReadline()
        with suppress(ImportError):
            import readline

            readline.set_completer_delims(" \t\n")

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        return [*super().completenames(text, *ignored), *self._names(text)]

    def completedefault(self, *ignored: Any) -> list[str]:
        return self._names(ignored[0])

    def _names(self, text: str) -> list[str]:
        return sorted(name for name in self.mn if name.startswith(text))

    def do_switch(self, _line: str) -> None:
        """Switches belong to the lab and are not started or stopped from here."""
        error("a lab's switches are not started or stopped here; see `lab fault`\n")
