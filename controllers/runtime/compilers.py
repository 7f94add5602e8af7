"""The two compilers by the controller's name: which document they read and which function makes programs of
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from controllers.openflow.program import Program
from controllers.runtime.documents import Compile
from controllers.runtime.fleet import Desired
from testbed.model.desired import ClustersState, FabricState, State, load_state

NAMES = ("fabric", "cluster")


def compiler(name: str) -> Compile:
    """The compiler of a controller; imported here, so that a controller loads only its own half."""
    if name == "fabric":
        from controllers.fabric import compile_fabric

        return _compile(FabricState, compile_fabric)
    if name == "cluster":
        from controllers.cluster import compile_cluster

        return _compile(ClustersState, compile_cluster)
    raise ValueError(f"no controller is called {name!r}; there are {', '.join(NAMES)}")


def _compile(kind: type[State], programs_of: Callable[[State], Mapping[int, Program]]) -> Compile:
    def read_and_compile(path: Path) -> Desired:
        state = load_state(kind, path)
        return Desired(state.generation, programs_of(state))

    return read_and_compile
