"""Mininet's nodes, interfaces and links as views of a lab that runs already: they attach and create nothing.

A node's shell starts with its first command, in the node's namespace with the node's own /sys and resolv.conf, and
ends with the Mininet session. A thousand pods cost nothing until one is used (a Mininet ``Host`` is a shell of 16 ms
and 280 KiB from the start).
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from typing import Any

from mininet.link import Intf, Link
from mininet.node import Host, Node, Switch

from testbed.emulation.netns import Enter, inside, visiting
from testbed.emulation.ovs import ovs_environment
from testbed.emulation.ownership import mark
from testbed.emulation.processes import private_mounts
from testbed.emulation.rundir import RunDir

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


class _LazyShell(Node):
    """A node in the namespace ``namespace`` of the lab at ``rundir``, whose shell starts when it is needed."""

    def __init__(self, name: str, rundir: RunDir, namespace: str, **params: Any) -> None:
        self.rundir = rundir
        self.namespace = namespace
        self._pid: int | None = None
        self._without_shell = False
        super().__init__(name, inNamespace=True, **params)

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802 - Mininet's name
        """Mininet calls this from the constructor; the shell waits until ``_ensure_shell``."""

    def _ensure_shell(self) -> None:
        if self.shell is not None:
            return
        # Mininet would ask mnexec for a new namespace (-n); ours exists, and _popen starts the shell inside it.
        self.inNamespace = False
        try:
            super().startShell("-cd")
        finally:
            self.inNamespace = True

    @property
    def pid(self) -> int | None:
        """The shell's process, which is started for it: ``mnexec -a PID`` enters the node."""
        if not self._without_shell:
            self._ensure_shell()
        return self._pid

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._pid = value

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        asked = params.pop("env", None) or {}
        environment = {**os.environ, **asked, **mark(self.rundir, f"shell@{self.namespace}")}

        def start(enter: Enter) -> subprocess.Popen[bytes]:
            enter(self.rundir.namespace(self.namespace))
            private_mounts(self.rundir, self.namespace)
            return subprocess.Popen(cmd, env=environment, **params)

        return visiting(start)

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        """A program in the node, without its shell: ``_popen`` enters the namespace itself."""
        kwargs.setdefault("mncmd", ["mnexec", "-d"])
        self._without_shell = True  # Mininet asks for the pid, for an mncmd that is not used
        try:
            popen: subprocess.Popen[bytes] = super().popen(*args, **kwargs)
        finally:
            self._without_shell = False
        return popen

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:  # noqa: N802
        self._ensure_shell()
        super().sendCmd(*args, **kwargs)

    def cmd(self, *args: Any, **kwargs: Any) -> str | None:
        self._ensure_shell()
        output: str | None = super().cmd(*args, **kwargs)
        return output

    def terminate(self) -> None:
        """End the shell, if there is one. The namespace stays: it is the lab's."""
        if self.shell is not None:
            super().terminate()

    def stop(self, deleteIntfs: bool = False) -> None:  # noqa: N803 - Mininet's name
        """Detach. Interfaces are never deleted from here: ``lab down`` does that."""
        self.terminate()

    def __repr__(self) -> str:
        """As Mininet's, without starting a shell for the sake of its pid."""
        intfs = ",".join(f"{intf.name}:{intf.IP()}" for intf in self.intfList())
        return f"<{type(self).__name__} {self.name}: {intfs} pid={self._pid}> "


class LabHost(_LazyShell, Host):
    """A pod, node, server, gateway or internet host of the lab."""


class LabSwitch(_LazyShell, Switch):
    """One Open vSwitch bridge; its shell is one in the namespace of the switch."""

    def __init__(self, name: str, rundir: RunDir, namespace: str, bridge: str, datapath_id: int) -> None:
        self.bridge = bridge
        super().__init__(name, rundir=rundir, namespace=namespace, dpid=f"{datapath_id:016x}")

    def dpctl(self, *args: str) -> str:
        """``ovs-ofctl ARGS[0] BRIDGE ARGS[1:]``, as Mininet's switches do."""
        target = f"unix:{self.rundir.ovs(self.namespace)}/{self.bridge}.mgmt"
        return self._tool("ovs-ofctl", "-O", "OpenFlow14", args[0], target, *args[1:])

    def vsctl(self, *args: str) -> str:
        database = f"--db=unix:{self.rundir.ovs(self.namespace)}/db.sock"
        return self._tool("ovs-vsctl", "--timeout=10", database, *args)

    def connected(self) -> bool:
        """Whether the bridge's controller is connected."""
        return "true" in self.vsctl("--bare", "--columns=is_connected", "list", "Controller")

    def start(self, controllers: object) -> None:
        """Nothing: the switch runs already."""

    def _tool(self, *command: str) -> str:
        environment = {**os.environ, **ovs_environment(self.rundir.ovs(self.namespace))}
        ran = subprocess.run(list(command), check=False, capture_output=True, text=True, timeout=30, env=environment)
        return ran.stdout + ran.stderr


class LabIntf(Intf):
    """An interface whose address, MAC and port are known from the wiring."""

    def __init__(self, name: str, node: Node, ip: str | None = None, prefix: int | None = None, **params: Any) -> None:
        params["moveIntfFn"] = lambda *_: None  # it was born where it belongs
        super().__init__(name, node=node, **params)
        self.ip, self.prefixLen = ip, prefix

    def config(self, **_params: Any) -> dict[str, Any]:
        """Nothing: it is configured already."""
        return {}

    def updateIP(self) -> str | None:  # noqa: N802 - Mininet's name; its CLI calls this for every node named
        return self.ip if isinstance(self.ip, str) else None

    def updateMAC(self) -> str | None:  # noqa: N802
        return self.mac if isinstance(self.mac, str) else None

    def isUp(self, setUp: bool = False) -> bool:  # noqa: N802
        """Whether the device is up (after bringing it up with ``setUp``)."""
        return self._flags(set_up=setUp) == "OK"

    def status(self) -> str:
        return self._flags(set_up=False)

    def _flags(self, set_up: bool) -> str:
        def look() -> str:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                request = struct.pack("16sH22x", self.name.encode(), 0)
                try:
                    answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
                except OSError:
                    return "MISSING"
                (flags,) = struct.unpack_from("H", answer, 16)
                if set_up:
                    flags |= _IFF_UP
                    fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", self.name.encode(), flags))
            return "OK" if flags & _IFF_UP else "DOWN"

        return inside(self.node.rundir.namespace(self.node.namespace), look)


class PatchIntf(LabIntf):
    """One end of a patch between two bridges of a switch: there is no device behind it."""

    def isUp(self, setUp: bool = False) -> bool:  # noqa: N802
        return True

    def status(self) -> str:
        return "OK"


class LabLink(Link):
    """Two interfaces that are connected already."""

    @classmethod
    def makeIntfPair(cls, *_args: Any, **_kwargs: Any) -> None:  # noqa: N802
        """Nothing: the pair exists."""

    def delete(self) -> None:
        """Nothing: the lab's links are the lab's."""

    def __str__(self) -> str:
        first, second = self.intf1, self.intf2
        return f"{first.node}/{first}<->{second.node}/{second}"
