"""What a name means to a host of the lab: asked with ``dig``, which reads the host's own resolv.conf."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir

LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` as DNS says it (NOERROR, NXDOMAIN), or ``no answer``; ``data`` are the records' texts, sorted."""

    status: str
    data: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.data) or (self.status if self.status != "NOERROR" else "no such record")


def lookup(rundir: RunDir, namespace: str, name: str, kind: str = "A", tcp: bool = False) -> Answer:
    """Ask from ``namespace``; ``name`` is completed by its search list. ``kind`` PTR takes an address."""
    question = ("-x", name) if kind == "PTR" else ("+search", "-t", kind, name)
    options = ("+noall", "+comments", "+answer", "+tries=2", "+time=2", *(("+tcp",) if tcp else ()))
    output = run_in(rundir, namespace, ("dig", *options, *question), LIMIT).stdout
    status = re.search(r"status: (\w+)", output)
    if status is None:
        return Answer("no answer")
    lines = [line.split(None, 4) for line in output.splitlines() if line and not line.startswith(";")]
    return Answer(status[1], tuple(sorted(line[4] for line in lines if len(line) == 5)))
