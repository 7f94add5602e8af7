"""Faults of a cable, made on purpose: pulled out, lossy, slow. Undone whatever state it is in by now."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from testbed.emulation import syscalls
from testbed.emulation.errors import EmulationError, MachineLacksError
from testbed.emulation.netns import Enter, read_mounted, visiting
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import Endpoint, Veth


def unplug(rundir: RunDir, veth: Veth, host: str) -> None:
    """Take the end that is not ``host``'s down: ``host`` loses its carrier and keeps its addresses and routes."""
    _run(rundir, far_end(veth, host), "ip", "link", "set", "dev", "{}", "down")


def plug_in(rundir: RunDir, veth: Veth, host: str) -> None:
    """The opposite; nothing for a cable that is gone."""
    end = far_end(veth, host)
    if end.namespace in read_mounted(rundir):
        _run(rundir, end, "ip", "link", "set", "dev", "{}", "up")


def impair(rundir: RunDir, veth: Veth, settings: Sequence[str]) -> None:
    """Give both ends a netem queue (``loss 10% delay 20ms``). Raises ``MachineLacksError`` where there is no netem."""
    for end in (veth.a, veth.b):
        try:
            _run(rundir, end, "tc", "qdisc", "replace", "dev", "{}", "root", "netem", *settings)
        except EmulationError as error:
            if "kind is unknown" not in str(error):
                raise
            raise MachineLacksError(
                "this kernel has no netem (module sch_netem), so it can't lose or delay packets; Debian's kernel has it"
            ) from None


def has_netem() -> bool:
    """Whether packets can be lost and delayed here; tried in a namespace that ends with it. Needs root."""

    def attempt(_: Enter) -> bool:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        words = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
        return subprocess.run(words, check=False, capture_output=True, timeout=10).returncode == 0

    return visiting(attempt)


def relieve(rundir: RunDir, veth: Veth) -> None:
    """Take the queues away; nothing where there is none."""
    mounted = read_mounted(rundir)
    for end in (veth.a, veth.b):
        if end.namespace in mounted and "netem" in _run(rundir, end, "tc", "qdisc", "show", "dev", "{}"):
            _run(rundir, end, "tc", "qdisc", "del", "dev", "{}", "root")


def far_end(veth: Veth, host: str) -> Endpoint:
    return veth.b if veth.a.namespace == host else veth.a


def _run(rundir: RunDir, end: Endpoint, *words: str) -> str:
    """Run a command about ``end``'s device, which ``{}`` stands for; its output."""
    ran = run_in(rundir, end.namespace, [word.replace("{}", end.interface) for word in words])
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise EmulationError(f"{end.namespace}/{end.interface}: {words[0]}: {reason[0]}")
    return ran.stdout
