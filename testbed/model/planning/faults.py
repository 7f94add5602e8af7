"""What planning refuses: every reason at once, each with the object and the line that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.model.planning.allocator import ExhaustedError
from testbed.model.source import Source


@dataclass(frozen=True, slots=True)
class PlanFault:
    """``what`` is wrong, ``hint`` says what would be right, ``code`` is stable (``P...``)."""

    source: Source
    owner: str
    what: str
    hint: str
    code: str

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.source}: {self.owner}: {self.what}{hint} [{self.code}]"


class PlanError(ValueError):
    """The lab that was asked for can't be made. ``faults`` holds every reason found."""

    def __init__(self, faults: tuple[PlanFault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@contextmanager
def told(faults: list[PlanFault], source: Source, owner: str, hint: str, code: str = "P101") -> Iterator[None]:
    """When a pool has nothing left for ``owner``, the rest of the block is passed over and a fault says so."""
    try:
        yield
    except ExhaustedError as error:
        faults.append(PlanFault(source, owner, str(error), hint, code))
