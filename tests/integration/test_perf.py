"""``lab perf`` on real labs: every cell has figures, what is no measurement is an error, nothing stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.emulation.netns import inside
from testbed.emulation.ownership import find_processes
from testbed.emulation.rundir import RunDir, list_labs
from testbed.emulation.waiting import until
from testbed.perf.measuring import take_sample
from testbed.perf.results import FIGURES_OF, RAW, Cell, Figure, Measure, read_result
from testbed.perf.results import Path as Way
from testbed.perf.subjects import make_raw, start_servers
from testbed.perf.surroundings import choose_congestion
from tests.integration.emulation_lab import ROOT, clean, datapath, unique_lab

LIMIT = 240.0
QUICK = ("--rounds", "1", "--seconds", "1", "--path", "other-node,cluster-ip")


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "testbed", "perf", *arguments]
    environment = {**os.environ, "CNLAB_RUN_ROOT": str(root), "NO_COLOR": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LIMIT)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.fixture
def run_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "run"  # goes with its last lab
    monkeypatch.setenv("CNLAB_RUN_ROOT", str(root))
    return root


def test_a_run_yields_every_cell_and_leaves_nothing(run_root: Path, tmp_path: Path) -> None:
    """Of two tools: what each of the others yields is the next test's, and sockperf is idle for two seconds a run."""
    file = tmp_path / "result.json"
    measures = ("tcp-1", "connections")
    chosen = ("--model", "tunnel,vpc", "--measure", ",".join(measures))
    status, _, err = finish(start(run_root, *QUICK, *chosen, "-o", "json", str(file)))
    assert status == 0, err
    assert err.splitlines()[:3] == ["perf: lab up, tunnel", "perf: lab up, vpc", "perf: round 1 of 1, 12 samples"]
    result = read_result(file)
    assert list_labs() == ()
    paths = {
        "raw": {Way.PAIR},
        "tunnel": {Way.OTHER, Way.CLUSTER_IP},
        "vpc": {Way.OTHER, Way.CLUSTER_IP},
        "plain-vpc": {Way.OTHER},
    }
    wanted = {
        Cell(subject, path, Measure(measure)) for subject, of in paths.items() for path in of for measure in measures
    }
    assert set(result.cells) == wanted
    for sample in result.samples:
        assert set(dict(sample.figures)) == set(FIGURES_OF[sample.cell.measure]), sample
        if Figure.RATE in dict(sample.figures):
            assert dict(sample.figures)[Figure.RATE] > 0
    assert len({item.offloads for item in result.conditions.subjects}) == 1
    facts = {(item.subject, item.path): item for item in result.facts}
    assert facts["tunnel", Way.OTHER].header_bytes == 50  # Ethernet 14, IPv4 20, UDP 8, VXLAN 8, seen on the wire
    assert facts["vpc", Way.OTHER].header_bytes == 0
    assert facts["vpc", Way.OTHER].switches == 6
    assert facts["vpc", Way.CLUSTER_IP].tables > facts["vpc", Way.OTHER].tables


def test_a_tool_that_does_not_measure_is_an_error(tmp_path: Path) -> None:
    """No server runs: every tool says so, none counts a nought; with the servers the same cells have figures."""
    with clean(unique_lab(tmp_path)) as rundir:
        raw = make_raw(rundir, datapath().value, lambda _: None)
        congestion = choose_congestion()
        for measure in Measure:
            failed = take_sample(raw, Cell(RAW, Way.PAIR, measure), 1, 1, congestion)
            assert failed.figures == ()
            assert any(word in failed.error.lower() for word in ("refused", "reset")), failed
        start_servers(raw)
        for measure in Measure:
            served = take_sample(raw, Cell(RAW, Way.PAIR, measure), 1, 1, congestion)
            assert served.error == ""
            assert set(dict(served.figures)) == set(FIGURES_OF[measure])
            assert dict(served.figures)[FIGURES_OF[measure][0]] > 0


def test_new_connections_are_new_connections(tmp_path: Path) -> None:
    """The server's kernel counts as many as wrk does."""
    with clean(unique_lab(tmp_path)) as rundir:
        raw = make_raw(rundir, datapath().value, lambda _: None)
        start_servers(raw)
        before = opened(rundir)
        sample = take_sample(raw, Cell(RAW, Way.PAIR, Measure.CONNECTIONS), 1, 1, "")
        answered = dict(sample.figures)[Figure.CONNECTS]  # in about one second
        assert opened(rundir) - before >= answered * 0.9


def opened(rundir: RunDir) -> int:
    def read() -> int:
        lines = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Tcp:"))
        return int(dict(zip(names, values, strict=True))["PassiveOpens"])

    return inside(rundir.namespace("server"), read)


@pytest.mark.skipif(datapath().value == "kernel", reason="the kernel's datapath can tunnel large segments")
def test_unequal_offloads_are_refused_before_anything_is_measured(run_root: Path) -> None:
    status, out, err = finish(
        start(run_root, *QUICK, "--model", "tunnel,vpc", "--offloads", "on", "--measure", "tcp-1")
    )
    assert (status, out) == (2, "")
    assert "offloads: on (raw, vpc, plain-vpc), off (tunnel); --offloads off makes them equal" in err
    assert list_labs() == ()


def test_ctrl_c_removes_everything(run_root: Path) -> None:
    long = ("--model", "vpc", "--path", "other-node", "--measure", "tcp-1", "--rounds", "50", "--seconds", "5")
    process = start(run_root, *long)
    try:
        until(lambda: any(map(is_measuring, labs(run_root))), LIMIT, "an iperf3 client to run")
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        assert (status, out) == (130, "")
        assert "interrupted" in err
        assert list_labs() == ()
    finally:
        process.kill()
        for rundir in labs(run_root):
            with clean(rundir):
                pass


def labs(root: Path) -> list[RunDir]:
    return [RunDir.of(name, root) for name in list_labs()]


def is_measuring(rundir: RunDir) -> bool:
    return any(owned.role.startswith("run@") and "iperf3 -c" in owned.command for owned in find_processes(rundir))


def test_result_files_are_shown_without_a_lab(run_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"schema": "something/else"}))
    status, _, err = finish(start(run_root, "--from", str(file)))
    assert status == 2
    assert "has schema something/else, this lab reads cnlab.dev/perf/v1" in err
