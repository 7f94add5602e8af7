"""Results as tests want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.perf.results import (
    RAW,
    Cell,
    Conditions,
    Facts,
    Figure,
    Measure,
    Path,
    Result,
    Sample,
    SubjectConditions,
)


def subject(
    name: str, client_mtu: int = 1500, offloads: bool = False, datapath: str = "userspace"
) -> SubjectConditions:
    return SubjectConditions(name, datapath, 1500, client_mtu, offloads, "cubic")


def conditions(*subjects: SubjectConditions, load: float = 0.1, steal: float = 0.0, kernel: str = "6.1") -> Conditions:
    tools = (("iperf3", "iperf 3.12"), ("ovs-vswitchd", "3.1.0"))
    return Conditions(
        kernel, "3.1.0", 2, load, steal, tools, subjects or (subject(RAW), subject("tunnel", 1450), subject("vpc"))
    )


def samples(cell: Cell, figure: Figure, values: Sequence[float]) -> tuple[Sample, ...]:
    return tuple(Sample(cell, number, ((figure, value),)) for number, value in enumerate(values, 1))


def result(rates: Mapping[tuple[str, Path], Sequence[float]], **changes: object) -> Result:
    """Throughputs in Gbit/s by (subject, path); the raw pair has ten."""
    rounds = max(map(len, rates.values()))
    all_rates = {(RAW, Path.PAIR): [10.0] * rounds, **rates}
    taken = tuple(
        sample
        for (name, path), values in all_rates.items()
        for sample in samples(Cell(name, path, Measure.TCP_1), Figure.RATE, [value * 1e9 for value in values])
    )
    facts = (
        Facts("tunnel", Path.OTHER, 6, 10, 0, 78, 74, 124, "n1/eth0", 2.3),
        Facts("vpc", Path.OTHER, 6, 10, 0, 64, 74, 74, "client/eth0", 2.0),
    )
    values: dict[str, object] = {"conditions": conditions(), "facts": facts, "started": "2026-01-01", "seconds": 1}
    return Result(**{**values, "samples": taken, "rounds": rounds, **changes})  # type: ignore[arg-type]
