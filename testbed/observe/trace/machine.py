"""The lab as a trace sees it: switches, kernels, and whose file a thing comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from testbed.emulation.errors import EmulationError
from testbed.emulation.state import Datapath
from testbed.model.planning.ingress import listener_port
from testbed.model.wiring import Wiring
from testbed.observe.owners import Owners
from testbed.observe.status import View
from testbed.observe.trace.kernels import Kernel
from testbed.observe.trace.proxy import ProxyConfig, read_config
from testbed.observe.trace.results import Request
from testbed.observe.trace.switches import Switches
from testbed.observe.zones import zone_names


@dataclass
class Machine:
    """Opened lazily; ``close`` lets go of sockets."""

    view: View
    _kernels: dict[str, Kernel] = field(default_factory=dict)

    @cached_property
    def wiring(self) -> Wiring:
        if self.view.state is None:
            raise EmulationError(f"lab {self.view.rundir.lab} has no state; lab down --lab {self.view.rundir.lab}")
        return self.view.state.wiring

    @cached_property
    def switches(self) -> Switches:
        return Switches(self.view.rundir, self.wiring)

    @cached_property
    def owners(self) -> Owners:
        return Owners.of(self.view.memory)

    @cached_property
    def userspace(self) -> bool:
        return self.view.state is not None and self.view.state.datapath is Datapath.USERSPACE

    @cached_property
    def firewalled(self) -> frozenset[str]:
        """Namespaces with a ruleset; the others have none and need not be asked."""
        return frozenset(firewall.namespace for firewall in self.wiring.firewalls)

    @cached_property
    def _zones(self) -> dict[str, dict[int, str]]:
        return {}

    def zone(self, namespace: str, number: int) -> str:
        if namespace not in self._zones:
            self._zones[namespace] = zone_names(self.view, namespace)
        return self._zones[namespace].get(number, str(number))

    def kernel(self, namespace: str) -> Kernel:
        if namespace not in self._kernels:
            self._kernels[namespace] = Kernel(self.view.rundir, namespace)
        return self._kernels[namespace]

    def proxy(self, namespace: str) -> ProxyConfig | None:
        """What the layer-7 proxy there runs with; None where there is none."""
        host = next((host for host in self.view.memory.hosts if host.name == namespace and host.balancer), None)
        path = self.view.rundir.path / "workloads" / namespace / "config" / "haproxy.cfg"
        if host is None or not path.exists():
            return None
        return read_config(path.read_text(encoding="utf-8"))

    def ingress_of(self, request: Request, port: int) -> tuple[str, str]:
        """The Ingress, with its file and line, that has a rule for the request's host, as far as the files tell."""
        wild = f"*.{request.host.partition('.')[2]}"
        for wanted in (request.host, wild, ""):
            for ingress in self.view.memory.lab.ingresses:
                if listener_port(ingress)[0] == port and any(rule.host == wanted for rule in ingress.rules):
                    return f"Ingress/{ingress.namespace}/{ingress.name}", str(ingress.source)
        return "", ""

    def close(self) -> None:
        for kernel in self._kernels.values():
            kernel.close()
        if "switches" in self.__dict__:
            self.switches.close()
