"""``state.json``: what exists on the machine for a lab, as of the last command that ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum

from testbed.emulation.errors import EmulationError
from testbed.emulation.rundir import RunDir, write_atomically
from testbed.emulation.wiring_json import decode_wiring
from testbed.model.codec import to_plain
from testbed.model.wiring import Wiring


class Datapath(StrEnum):
    """``datapath_type`` of the bridges: the kernel's module, or Open vSwitch's own threads."""

    KERNEL = "kernel"
    USERSPACE = "userspace"

    @property
    def ovs_type(self) -> str:
        return "system" if self is Datapath.KERNEL else "netdev"


@dataclass(frozen=True, slots=True)
class State:
    """``userspace_tso`` and ``datapath`` were chosen by the first ``up`` and hold for all switches made later.

    ``settled`` is false while the very first ``up`` of the lab has not ended: then a failure removes the lab."""

    lab: str
    datapath: Datapath
    generation: int = 0
    spec_paths: tuple[str, ...] = ()
    settled: bool = False
    userspace_tso: bool = True
    wiring: Wiring = field(default_factory=Wiring)


def write_state(rundir: RunDir, state: State) -> None:
    document = {
        "lab": state.lab,
        "datapath": state.datapath.value,
        "generation": state.generation,
        "spec_paths": list(state.spec_paths),
        "settled": state.settled,
        "userspace_tso": state.userspace_tso,
        "wiring": to_plain(state.wiring),
    }
    write_atomically(rundir.state, json.dumps(document, separators=(",", ":")))


def read_state(rundir: RunDir) -> State | None:
    """None when the lab has no state yet. Raises ``EmulationError`` when the file is not one that we wrote."""
    try:
        text = rundir.state.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
        return State(
            lab=document["lab"],
            datapath=Datapath(document["datapath"]),
            generation=document["generation"],
            spec_paths=tuple(document["spec_paths"]),
            settled=document["settled"],
            userspace_tso=document["userspace_tso"],
            wiring=decode_wiring(document["wiring"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise EmulationError(
            f"{rundir.state} can't be read ({error}); `lab down {rundir.lab}` removes the lab whatever its state"
        ) from error
