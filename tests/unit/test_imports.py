"""Who may import what, and that nobody imports in a circle. The table is the architecture; change it with a reason."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRST_PARTY = ("testbed", "controllers", "scenarios", "topologies")


@dataclass(frozen=True)
class Rule:
    """``own`` are packages of the project, ``libraries`` names of others; itself and Python's own are always fine."""

    own: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


_BELOW_THE_COMMAND_LINE = (
    "testbed.model",
    "testbed.spec",
    "testbed.emulation",
    "testbed.workloads",
    "testbed.operations",
    "testbed.observe",
    "testbed.report",
)

_BESIDE_A_WORKLOAD = (
    "testbed.model",
    "testbed.emulation.errors",
    "testbed.emulation.mounts",
    "testbed.emulation.ownership",
    "testbed.emulation.rundir",
    "testbed.emulation.syscalls",
)
"""The container runtime is forked for each echo server: it has to start fast and to stay small."""

RULES = {
    "testbed.model": Rule(),
    "testbed.spec": Rule(
        ("testbed.model",),
        ("yaml", "pydantic", "pydantic_core", "kubernetes_validate", "jsonschema", "referencing", "cryptography"),
    ),
    "testbed.emulation": Rule(("testbed.model",), ("mininet", "pyroute2", "ovs")),
    "testbed.workloads": Rule(_BESIDE_A_WORKLOAD, ("dnslib",)),
    "testbed.operations": Rule(("testbed.model", "testbed.spec", "testbed.emulation", "testbed.workloads"), ("yaml",)),
    "testbed.observe": Rule(("testbed.model", "testbed.emulation", "testbed.operations"), ("scapy", "pcapng")),
    "testbed.report": Rule(
        (
            "testbed.model",
            "testbed.emulation",
            "testbed.operations",
            "testbed.observe",
            "testbed.guide",
            "testbed.perf",
        ),
        ("rich", "yaml", "matplotlib"),
    ),
    "testbed.scenario": Rule(_BELOW_THE_COMMAND_LINE, ("scapy", "yaml")),
    "testbed.guide": Rule((*_BELOW_THE_COMMAND_LINE, "testbed.scenario")),
    "testbed.bench": Rule(_BELOW_THE_COMMAND_LINE),
    "testbed.perf": Rule((*_BELOW_THE_COMMAND_LINE[:-1], "testbed.scenario")),
    "testbed.__main__": Rule(("testbed.cli",)),
    "testbed.cli": Rule(("testbed",), ("click", "rich")),
    "controllers": Rule(("testbed.model",)),
    "scenarios": Rule(("testbed.scenario", "testbed.guide")),
    "topologies": Rule(("testbed",), ("mininet",)),
}

RYU_MODULES = ("controllers.app", "controllers.openflow.wire")
"""The only ones that know Ryu (and its eventlet)."""


def modules() -> Iterator[tuple[str, Path]]:
    for package in FIRST_PARTY:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """Names of imported modules (of ``from a import b`` both ``a`` and ``a.b``), but for those that only types need."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def forbidden(module: str, path: Path) -> Iterator[str]:
    package = next((package for package in RULES if within(module, package)), None)
    if package is None:
        return
    rule = RULES[package]
    libraries = {*rule.libraries, *(("ryu", "eventlet") if module in RYU_MODULES else ())}
    for name in imports(path):
        top = name.partition(".")[0]
        if top in FIRST_PARTY:
            if not any(within(name, allowed) or within(allowed, name) for allowed in (package, *rule.own)):
                yield name
        elif top not in sys.stdlib_module_names and top not in libraries:
            yield name


@pytest.mark.parametrize("package", RULES)
def test_imports_are_those_of_the_table(package: str) -> None:
    found = {
        module: bad
        for module, path in modules()
        if within(module, package) and (bad := sorted(set(forbidden(module, path))))
    }
    assert found == {}


def test_every_module_has_a_rule() -> None:
    without = [m for m, _ in modules() if m not in FIRST_PARTY and not any(within(m, package) for package in RULES)]
    assert without == []


def test_no_circles() -> None:
    """Between modules, imports at the top level only: one inside a function is made when all are there."""
    known = dict(modules())
    graph = {}
    for module, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wanted = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                wanted |= {name if name in known else node.module for name in inner}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
        graph[module] = {name for name in wanted if name in known and name != module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


def test_no_shell_anywhere() -> None:
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                pytest.fail(f"{module} line {node.value.lineno}: shell=")
