"""The lab's own programs: the two controllers, the kubelet and the manager."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from testbed.emulation.processes import find_role, launch, python_program, start_controller, wait_listening
from testbed.emulation.rundir import RunDir
from testbed.operations.documents import CLUSTER, FABRIC, KUBELET

CONTROLLERS = (FABRIC, CLUSTER)
KUBELET_MODULE = "testbed.workloads.kubelet"
KUBELET_ROLE = "kubelet"
MANAGER = "manager"
MANAGER_MODULE = "testbed.operations.manager"

LOGS: Mapping[str, str] = {
    FABRIC: "controller-fabric",
    CLUSTER: "controller-cluster",
    KUBELET: "kubelet",
    MANAGER: "manager",
}
"""Where each writes what it has to say: the file's name in ``logs/`` without its ending."""

_TALKS_TO_CONTROLLERS = frozenset(("configure Open vSwitch", "change Open vSwitch"))


def start_programs(rundir: RunDir) -> dict[str, int]:
    """Start those that do not run; their pids. They load while the wiring is made."""
    programs = {name: start_controller(rundir, name) for name in CONTROLLERS}
    programs[KUBELET] = start_kubelet(rundir)
    programs[MANAGER] = start_manager(rundir)
    return programs


def start_kubelet(rundir: RunDir) -> int:
    return _start(rundir, KUBELET_ROLE, KUBELET_MODULE, LOGS[KUBELET])


def start_manager(rundir: RunDir) -> int:
    return _start(rundir, MANAGER, MANAGER_MODULE, LOGS[MANAGER])


def _start(rundir: RunDir, role: str, module: str, log: str) -> int:
    if running := find_role(rundir, role):
        return running[0]
    return launch(rundir, python_program(rundir, role, module, "--run-dir", str(rundir.path), log=log))


def log_ends(rundir: RunDir, lines: int = 20) -> str:
    """The last lines of what each program wrote: a lab whose first ``up`` fails takes its logs away with it."""
    parts = []
    for log in LOGS.values():
        try:
            text = (rundir.logs / f"{log}.log").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
        if text:
            parts += [f"--- end of {log}.log", *text.splitlines()[-lines:]]
    return "\n".join(parts)


@dataclass(slots=True)
class Gate:
    """Passes on what is being done, and lets no switch be told of a controller that does not listen yet.

    A switch whose first connection is refused tries again only a second later.
    """

    rundir: RunDir
    tell: Callable[[str], None]
    programs: dict[str, int] = field(default_factory=dict)

    def __call__(self, phase: str) -> None:
        self.tell(phase)
        if phase in _TALKS_TO_CONTROLLERS:
            for name in CONTROLLERS:
                wait_listening(self.rundir, name, self.programs[name])
