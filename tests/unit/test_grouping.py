"""Tests that share a lab run in one process: otherwise each process makes the lab again, and their order is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

MODULE = """
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="module", params=["tunnel", "eni"])
def lab(request):
    return request.param


@pytest.mark.parametrize("number", range(6))
def test_it(lab, number):
    with Path(__file__).with_name("seen").open("a") as seen:
        seen.write(f"{__name__}-{lab} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_tests_of_one_lab_stay_on_one_worker(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(MODULE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--numprocesses",
        "2",
        "--dist",
        "loadgroup",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    workers = defaultdict(set)
    for line in (tmp_path / "seen").read_text().splitlines():
        group, worker = line.split()
        workers[group].add(worker)
    assert len(workers) == 4
    assert all(len(each) == 1 for each in workers.values()), workers
    assert len(set.union(*workers.values())) == 2
