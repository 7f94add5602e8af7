"""One look at a running lab: what was asked, what is planned, what the controllers and the kubelet say is there.

Everything is read from the run directory; nothing is changed and no lock is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from testbed.emulation.ovs import OpenVSwitches
from testbed.emulation.processes import find_role
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import State, read_state
from testbed.model.codec import from_plain
from testbed.model.desired import ClustersState, FabricState, load_state
from testbed.model.planning.names import FABRIC_DATAPATH, ex_datapath, int_datapath
from testbed.model.workloads import WorkloadsStatus, WorkloadStatus
from testbed.operations.documents import CLUSTER, FABRIC, KUBELET, document_path
from testbed.operations.errors import OperationError
from testbed.operations.injection import Fault, read_faults
from testbed.operations.memory import Memory, read_memory
from testbed.operations.programs import CONTROLLERS, KUBELET_ROLE, MANAGER
from testbed.operations.waiting import read_status


@dataclass(frozen=True, slots=True)
class Bridge:
    """One bridge as its controller sees it. ``state``: ``in force``, ``behind``, ``refused`` or ``away``."""

    namespace: str
    name: str
    datapath_id: int
    controller: str
    state: str
    generation: int
    flows: int
    groups: int
    errors: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A lab as of now; the parts are read when they are first asked for."""

    rundir: RunDir

    @cached_property
    def memory(self) -> Memory:
        """Raises ``OperationError`` for a lab whose first ``up`` has not ended."""
        memory = read_memory(self.rundir)
        if memory is None:
            raise OperationError(
                f"lab {self.rundir.lab} has not come up (yet); when no `lab up` is at it: lab down {self.rundir.lab}"
            )
        return memory

    @cached_property
    def state(self) -> State | None:
        return read_state(self.rundir)

    @cached_property
    def fabric(self) -> FabricState:
        return load_state(FabricState, document_path(self.rundir, FABRIC))

    @cached_property
    def clusters(self) -> ClustersState:
        return load_state(ClustersState, document_path(self.rundir, CLUSTER))

    @cached_property
    def programs(self) -> Mapping[str, int | None]:
        """Pids of the controllers, the kubelet and the manager; None for one that does not run."""
        roles = {name: f"controller@{name}" for name in CONTROLLERS} | {KUBELET: KUBELET_ROLE, MANAGER: MANAGER}
        return {name: next(iter(find_role(self.rundir, role)), None) for name, role in roles.items()}

    @cached_property
    def workloads(self) -> Mapping[str, WorkloadStatus]:
        """What the kubelet says of each pod and host with containers, by owner (``Pod/default/web-0``)."""
        document = read_status(self.rundir, KUBELET)
        if document is None:
            return {}
        status = from_plain(WorkloadsStatus, document)
        return {workload.owner: workload for workload in status.workloads}

    @cached_property
    def bridges(self) -> tuple[Bridge, ...]:
        """The fabric's first, then node by node."""
        places = [("fabric", "vpc", FABRIC_DATAPATH, FABRIC)]
        for node in self.memory.nodes:
            places.append((node.name, "br-ex", ex_datapath(node.index), CLUSTER))
            places.append((node.name, "br-int", int_datapath(node.index), CLUSTER))
        applied = {name: read_status(self.rundir, name) or {} for name in CONTROLLERS}
        return tuple(self._bridge(*place, applied[place[3]]) for place in places)

    def _bridge(self, namespace: str, name: str, number: int, controller: str, applied: dict[str, Any]) -> Bridge:
        seen = applied.get("switches", {}).get(f"{number:016x}", {})
        generation = seen.get("generation", 0)
        errors = tuple(seen.get("errors", ()))
        if self.programs[controller] is None or not seen.get("connected"):
            state = "away"
        elif errors:
            state = "refused"
        else:
            state = "in force" if generation >= self.memory.generation else "behind"
        return Bridge(
            namespace, name, number, controller, state, generation, seen.get("flows", 0), seen.get("groups", 0), errors
        )

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """What was broken on purpose."""
        return read_faults(self.rundir)

    @cached_property
    def dead_switches(self) -> frozenset[str]:
        """Namespaces whose Open vSwitch has died."""
        if self.state is None:
            return frozenset()
        switches = OpenVSwitches(self.rundir, self.state.datapath)
        return frozenset(switch.namespace for switch in switches.read_dead(self.state.wiring.switches))


def read_names(rundir: RunDir, controller: str) -> dict[str, Any]:
    """What decodes a dump: ``cookies`` (cookie -> [owner, note]) and ``tables`` (datapath id -> names)."""
    try:
        document = json.loads((rundir.control / f"{controller}.names.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"cookies": {}, "tables": {}}
    assert isinstance(document, dict)
    return document
