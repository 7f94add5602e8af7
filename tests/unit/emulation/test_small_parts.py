"""Firewall scripts, links grouped for sending, waiting, interruption."""

from __future__ import annotations

import os
import signal
import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.emulation import interrupts, links
from testbed.emulation.errors import InterruptedByUserError
from testbed.emulation.firewall import render_replacement, table_names
from testbed.emulation.jsonrpc import accepts
from testbed.emulation.ownership import is_marked, mark
from testbed.emulation.realise import render_resolver
from testbed.emulation.rundir import RunDir
from testbed.emulation.synthetic import synthetic_wiring
from testbed.emulation.waiting import WaitedInVainError, until

RULES = "table ip nat {\n chain x {\n }\n}\ntable inet filter {\n}\n"


def test_tables_of_a_ruleset() -> None:
    assert table_names(RULES) == ("ip nat", "inet filter")
    assert table_names("table plain {\n}") == ("ip plain",)


def test_a_replacement_deletes_old_and_new_tables_first() -> None:
    script = render_replacement("table ip nat {\n}\n", "table ip old {\n}\n")
    assert script == (
        "add table ip old\ndelete table ip old\nadd table ip nat\ndelete table ip nat\ntable ip nat {\n}\n"
    )


def test_veths_are_grouped_by_the_namespace_with_more_of_them() -> None:
    hubs = links._by_hub(synthetic_wiring(2, 6).veths)
    assert {name: len(pairs) for name, pairs in hubs.items()} == {"n1": 4, "n2": 4}


def test_resolver_file() -> None:
    text = render_resolver(IPv4Address("10.96.0.10"), ("default.svc.cluster.local", "svc.cluster.local"))
    assert text == ("search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n")


def environment_of(rundir: RunDir) -> list[bytes]:
    return [b"PATH=/bin", *(f"{name}={value}".encode() for name, value in mark(rundir, "shell").items())]


def test_a_process_is_the_lab_s_by_both_halves_of_the_mark(tmp_path: Path) -> None:
    rundir = RunDir.of("lab", tmp_path)
    whole = environment_of(rundir)
    assert is_marked(whole, rundir)
    for half in (b"CNLAB=", b"CNLAB_RUN="):
        assert not is_marked([item for item in whole if not item.startswith(half)], rundir)


@pytest.mark.parametrize("lab", ["lab", "lab-2", "la"])
def test_a_process_of_another_lab_is_not(lab: str, tmp_path: Path) -> None:
    elsewhere = environment_of(RunDir.of(lab, tmp_path / "elsewhere"))
    assert not is_marked(elsewhere, RunDir.of("lab", tmp_path))


def test_waiting_returns_the_answer() -> None:
    answers = iter([None, None, 7])
    assert until(lambda: next(answers), 1, "seven") == 7


def test_waiting_ends_and_names_what_for() -> None:
    with pytest.raises(WaitedInVainError, match=r"0\.05 s in vain for godot"):
        until(lambda: False, 0.05, "godot")


def test_a_signal_is_raised_at_the_next_check() -> None:
    with interrupts.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(InterruptedByUserError, match="SIGTERM") as caught:
            interrupts.check()
        with interrupts.ignored():
            os.kill(os.getpid(), signal.SIGINT)
            interrupts.check()
    assert caught.value.exit_status == 130
    interrupts.check()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts.deferred():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_socket_that_is_there_before_anybody_listens(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert not accepts(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert path.exists()
        assert not accepts(path)
        server.listen()
        assert accepts(path)
    assert not accepts(path)
