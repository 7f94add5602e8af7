"""From what the wiring and the flows call an object (``Pod/default/web-0``) to where the user wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from testbed.operations.memory import Memory

_WRITTEN = re.compile(r"^(?P<owner>\S+) \((?P<source>[^)]*:\d+)\)$")


@dataclass(frozen=True, slots=True)
class Owners:
    """``sources``: ``file:line`` by owner."""

    sources: Mapping[str, str]

    @classmethod
    def of(cls, memory: Memory) -> Owners:
        return cls({owner.lower(): source for owner, source in _sources(memory)})

    def read(self, owner: str) -> tuple[str, str]:
        """Owner and source: owners of rules and routes carry their line themselves (``RouteTable/main (a.yaml:7)``)."""
        if written := _WRITTEN.match(owner):
            return written["owner"], written["source"]
        name = owner.split(" ")[0].lower()
        kind, _, rest = name.partition("/")
        short = f"{kind}/{rest.rpartition('/')[2]}"  # security groups and tables are also called by their VPC
        return owner, self.sources.get(name) or self.sources.get(short, "")


def _sources(memory: Memory) -> Iterator[tuple[str, str]]:
    for field in fields(memory.lab):
        for item in getattr(memory.lab, field.name):
            kind = type(item).__name__.removeprefix("Cloud")  # a CloudNatGateway is what the user calls a NatGateway
            if name := getattr(item, "name", ""):
                namespace = getattr(item, "namespace", "")
                yield f"{kind}/{namespace}/{name}" if namespace else f"{kind}/{name}", _text(item)
    planned: tuple[Any, ...] = (*memory.nodes, *memory.pods, *memory.hosts)
    for item in planned:
        yield item.owner, _text(item)


def _text(item: Any) -> str:
    source = getattr(item, "source", None)
    return str(source) if source is not None and source.line else ""
