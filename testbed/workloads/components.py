"""Configuration of the lab's own components: a directory of the run directory that they see as ``/srv``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.components import PROXY_IMAGE
from testbed.model.workloads import Workload
from testbed.workloads.sandbox import NOBODY

STATE = "state"


def is_privileged(image: str, workload: Workload) -> bool:
    """Starts as root: a load balancer's proxy, which reads TLS keys and drops rights itself.

    Only planning makes such a workload; whoever writes the image's name into a document gets no rights by it.
    """
    return image == PROXY_IMAGE and workload.owner.startswith("LoadBalancer/")


def write_config(rundir: RunDir, workload: Workload) -> bool:
    """Make the configuration directory hold exactly the workload's files; False when it did already.

    That of a program that starts as root is for root alone. Otherwise it is for every user, though only the workload
    has a way to it.
    """
    secret = any(is_privileged(container.image, workload) for container in workload.containers)
    folder, files = rundir.config(workload.folder), dict(workload.files)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o755, exist_ok=True)
    os.chmod(folder, 0o700 if secret else 0o755)
    _make_state(folder / STATE)
    found = {path.name: path for path in folder.iterdir() if path.name != STATE}
    changed = {name: text for name, text in files.items() if name not in found or found[name].read_text() != text}
    stale = [path for name, path in found.items() if name not in files]
    for name, text in changed.items():
        write_atomically(folder / name, text, 0o600 if secret else 0o644, lasting=False)
    for path in stale:
        path.unlink()
    return bool(changed or stale)


def _make_state(path: Path) -> None:
    """A directory for the program's own files. The machine's /tmp has those of other labs' too, under equal names."""
    if not path.is_dir():
        path.mkdir(mode=0o700)
        os.chown(path, NOBODY, NOBODY)


def remove_config(rundir: RunDir, workload: Workload) -> None:
    shutil.rmtree(rundir.config(workload.folder), ignore_errors=True)
