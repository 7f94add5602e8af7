"""Where in the user's files an object was written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """``file`` as the user gave it; ``line`` from 1. Line 0: made by the lab itself, ``file`` says for what."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file
