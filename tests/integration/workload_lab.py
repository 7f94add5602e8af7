"""A run directory with namespaces of its own and a kubelet, for the tests of what runs in pods."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.ownership import find_processes, mark
from testbed.emulation.rundir import RunDir
from testbed.model.codec import from_plain, to_plain
from testbed.model.kubernetes import Container
from testbed.model.workloads import Workload, WorkloadsState, WorkloadsStatus, WorkloadStatus
from tests.limits import LIMIT

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = IPv4Address("10.9.8.7")


def until(condition: Callable[[], object], limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"waited {limit} s in vain for {what}"
        time.sleep(0.01)


class WorkloadLab:
    """``processes()`` are those that carry this lab's mark."""

    def __init__(self, rundir: RunDir) -> None:
        self.rundir, self.name = rundir, rundir.lab
        self.generation = 0
        self.kubelet: subprocess.Popen[bytes] | None = None
        self._namespaces: list[str] = []
        rundir.make()

    def add_namespace(self, host: str) -> None:
        """A namespace with ``ADDRESS`` on its loopback, named as the lab would name it."""
        name = f"{self.name}-{host}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._namespaces.append(name)
        for command in (["link", "set", "lo", "up"], ["addr", "add", f"{ADDRESS}/32", "dev", "lo"]):
            subprocess.run(["ip", "-n", name, *command], check=True)
        self.rundir.namespace(host).symlink_to(f"/run/netns/{name}")

    def start_kubelet(self, *options: str, prefix: tuple[str, ...] = ()) -> None:
        program = (sys.executable, "-m", "testbed.workloads.kubelet", "--run-dir", str(self.rundir.path))
        environment = os.environ | mark(self.rundir, "kubelet")
        self.kubelet = subprocess.Popen([*prefix, *program, *options], cwd=ROOT, env=environment)

    def apply(self, *workloads: Workload) -> None:
        self.generation += 1
        temporary = self.rundir.path / ".new"
        temporary.write_text(json.dumps(to_plain(WorkloadsState(self.generation, workloads))))
        temporary.rename(self.rundir.workloads)

    def read_status(self) -> dict[str, WorkloadStatus]:
        """By name; empty until what was applied last has been seen."""
        try:
            text = self.rundir.workloads_status.read_text()
        except FileNotFoundError:
            return {}
        status = from_plain(WorkloadsStatus, json.loads(text))
        return {item.name: item for item in status.workloads} if status.generation == self.generation else {}

    def wait(self, name: str, condition: Callable[[WorkloadStatus], object], limit: float = LIMIT) -> WorkloadStatus:
        until(lambda: name in self.read_status() and condition(self.read_status()[name]), limit,
              f"{name} in {self.read_status()}")  # fmt: skip
        return self.read_status()[name]

    def run(self, host: str, *command: str, limit: float = LIMIT) -> str:
        full = ["ip", "netns", "exec", f"{self.name}-{host}", *command]
        return subprocess.run(full, capture_output=True, text=True, timeout=limit).stdout

    def processes(self) -> list[int]:
        return [owned.pid for owned in find_processes(self.rundir)]

    def close(self) -> None:
        until(self._killed, LIMIT, f"the end of {self.processes()}")
        if self.kubelet:
            self.kubelet.wait(LIMIT)
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def _killed(self) -> bool:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not self.processes()


@contextlib.contextmanager
def workload_lab() -> Iterator[WorkloadLab]:
    with tempfile.TemporaryDirectory(prefix="cnlab-") as root:
        lab = WorkloadLab(RunDir.of(f"w-{secrets.token_hex(4)}", Path(root)))
        try:
            yield lab
        finally:
            lab.close()


def workload(name: str, *containers: Container, host: str = "", **more: object) -> Workload:
    fields: dict[str, object] = {"uid": f"{name}-1", "owner": f"Pod/default/{name}", "address": ADDRESS, **more}
    return Workload(name=name, host=host or name, containers=containers, **fields)  # type: ignore[arg-type]
