"""Fault injection: a cable pulled out or bad, a part of the lab killed or frozen; remembered until it is cleared.

A killed part is not remembered: ``status`` sees that it is gone, and ``lab up`` or ``apply`` starts it again.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.emulation.impairment import impair, plug_in, relieve, unplug
from testbed.emulation.lock import LOCK_SECONDS, locked
from testbed.emulation.processes import find_role
from testbed.emulation.rundir import RunDir, write_atomically
from testbed.emulation.state import read_state
from testbed.model.wiring import Veth
from testbed.operations.errors import BadRequestError
from testbed.operations.programs import CONTROLLERS, KUBELET_ROLE, MANAGER

DOWN, IMPAIRED, FROZEN = "link-down", "impaired", "frozen"

_TIME = re.compile(r"\d+(\.\d+)?(us|ms|s)")
_RATE = re.compile(r"[1-9]\d*[kmg]?bit")


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind``: ``link-down``, ``impaired``, ``frozen``; ``target``: a host or part; ``detail``: how (``loss 10%``)."""

    kind: str
    target: str
    interface: str = ""
    detail: str = ""

    def __str__(self) -> str:
        place = f"{self.target}/{self.interface}" if self.interface else self.target
        return f"{place} is {'down' if self.kind == DOWN else self.kind}{f' ({self.detail})' if self.detail else ''}"


def read_faults(rundir: RunDir) -> tuple[Fault, ...]:
    """What was injected and not cleared."""
    try:
        return tuple(Fault(**item) for item in json.loads(_path(rundir).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()


def take_link_down(rundir: RunDir, host: str, interface: str) -> Fault:
    """Raises ``BadRequestError`` when ``host`` has no such link."""
    fault = Fault(DOWN, host, interface)
    with locked(rundir, LOCK_SECONDS):
        link = _link(rundir, host, interface)
        _remember(rundir, fault)
        unplug(rundir, link, host)
    return fault


def impair_link(rundir: RunDir, host: str, interface: str, loss: float, delay: str, rate: str) -> Fault:
    """Both ways: ``loss`` in percent, ``delay`` as ``20ms``, ``rate`` as ``10mbit``; 0 or "" for none of it.

    Raises ``BadRequestError`` for values that mean nothing, ``MachineLacksError`` for a kernel that can't.
    """
    settings = netem_settings(loss, delay, rate)
    fault = Fault(IMPAIRED, host, interface, " ".join(settings))
    with locked(rundir, LOCK_SECONDS):
        impair(rundir, _link(rundir, host, interface), settings)
        _remember(rundir, fault)
    return fault


def netem_settings(loss: float, delay: str, rate: str) -> list[str]:
    """In ``tc``'s words. Raises ``BadRequestError``."""
    if not 0 <= loss <= 100:
        raise BadRequestError(f"loss {loss:g}: must be between 0 and 100 percent")
    if delay and not _TIME.fullmatch(delay):
        raise BadRequestError(f'delay "{delay}": a number with its unit, such as 20ms or 1.5s')
    if rate and not _RATE.fullmatch(rate):
        raise BadRequestError(f'rate "{rate}": a number with its unit, such as 500kbit or 10mbit')
    settings = [f"loss {loss:g}%"] * bool(loss) + [f"delay {delay}"] * bool(delay) + [f"rate {rate}"] * bool(rate)
    if not settings:
        raise BadRequestError("nothing to impair it by: give --loss, --delay or --rate")
    return " ".join(settings).split()


def kill_part(rundir: RunDir, part: str) -> tuple[int, ...]:
    """SIGKILL to a part of the lab (``part_names``); the pids. Raises ``BadRequestError``."""
    with locked(rundir, LOCK_SECONDS):
        pids = _pids(rundir, part)
        _signal(pids, signal.SIGKILL)
    return pids


def freeze_part(rundir: RunDir, part: str) -> Fault:
    """SIGSTOP to a part of the lab. Raises ``BadRequestError``."""
    fault = Fault(FROZEN, part)
    with locked(rundir, LOCK_SECONDS):
        pids = _pids(rundir, part)
        _remember(rundir, fault)
        _signal(pids, signal.SIGSTOP)
    return fault


def clear_faults(rundir: RunDir, targets: Sequence[str] = ()) -> tuple[Fault, ...]:
    """Undo what was injected, all of it or what concerns ``targets``; what was undone."""
    with locked(rundir, LOCK_SECONDS):
        faults = read_faults(rundir)
        chosen = tuple(fault for fault in faults if not targets or fault.target in targets)
        for fault in chosen:
            _undo(rundir, fault)
        _write(rundir, tuple(fault for fault in faults if fault not in chosen))
    return chosen


def part_names(rundir: RunDir) -> tuple[str, ...]:
    """``fabric``, ``cluster``, ``kubelet``, ``manager``, and ``ovs/HOST`` for each switch."""
    return tuple(_roles(rundir))


def _roles(rundir: RunDir) -> dict[str, str]:
    state = read_state(rundir)
    switches = state.wiring.switches if state else ()
    return {
        **{name: f"controller@{name}" for name in CONTROLLERS},
        KUBELET_ROLE: KUBELET_ROLE,
        MANAGER: MANAGER,
        **{f"ovs/{switch.namespace}": f"ovs-vswitchd@{switch.namespace}" for switch in switches},
    }


def _pids(rundir: RunDir, part: str) -> tuple[int, ...]:
    roles = _roles(rundir)
    if part not in roles:
        raise BadRequestError(f"the lab has no part {part}; it has: {', '.join(roles)}")
    pids = find_role(rundir, roles[part])
    if not pids:
        raise BadRequestError(f"{part} does not run; lab up or apply starts it again")
    return pids


def _links(rundir: RunDir, host: str) -> Iterator[tuple[str, Veth]]:
    """The host's own devices with their cables; not the ports of a node's switch, which are the pods' cables."""
    state = read_state(rundir)
    for veth in state.wiring.veths if state else ():
        if veth.a.namespace == host:
            yield veth.a.interface, veth


def _link(rundir: RunDir, host: str, interface: str) -> Veth:
    links = dict(_links(rundir, host))
    if interface not in links:
        raise BadRequestError(f"{host} has no link {interface}; it has: {', '.join(sorted(links)) or 'none'}")
    return links[interface]


def _undo(rundir: RunDir, fault: Fault) -> None:
    if fault.kind == FROZEN:
        _signal(find_role(rundir, _roles(rundir).get(fault.target, "")), signal.SIGCONT)
        return
    veth = dict(_links(rundir, fault.target)).get(fault.interface)
    if veth is None:
        return  # its host has gone meanwhile, and the cable with it
    if fault.kind == DOWN:
        plug_in(rundir, veth, fault.target)
    else:
        relieve(rundir, veth)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def _remember(rundir: RunDir, fault: Fault) -> None:
    place = (fault.kind, fault.target, fault.interface)
    others = [item for item in read_faults(rundir) if (item.kind, item.target, item.interface) != place]
    _write(rundir, (*others, fault))


def _write(rundir: RunDir, faults: Sequence[Fault]) -> None:
    if faults:
        write_atomically(_path(rundir), json.dumps([asdict(fault) for fault in faults]))
    else:
        _path(rundir).unlink(missing_ok=True)


def _path(rundir: RunDir) -> Path:
    return rundir.path / "faults.json"
