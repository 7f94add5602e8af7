"""The control sockets of many switches at once: what ``ovs-appctl`` asks of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress

from testbed.emulation.jsonrpc import JsonRpc, JsonRpcError
from testbed.emulation.rundir import RunDir


def ask_switches(rundir: RunDir, namespaces: Iterable[str], method: str, limit: float) -> Iterator[str]:
    """The answers of the switches of ``namespaces``, all asked before the first is waited for.

    One that does not answer within ``limit`` seconds is left out.
    """
    with ExitStack() as stack:
        asked = []
        for namespace in namespaces:
            with suppress(JsonRpcError):
                control = stack.enter_context(JsonRpc(rundir.ovs_control(namespace), limit))
                control.ask(method)
                asked.append(control)
        for control in asked:
            with suppress(JsonRpcError):
                yield control.answer(method)
