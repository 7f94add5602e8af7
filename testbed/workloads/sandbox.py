"""What surrounds a container's program: namespaces, files over the machine's own, an unprivileged user.

A program of a pod, server or internet host runs

* in the network namespace of its host, always;
* in mount, UTS and PID namespaces of its own (not the echo server, which needs none): its resolv.conf, hosts and
  hostname, a ``/sys`` of its network namespace, and with its first process everything it started ends;
* as ``nobody`` with CAP_NET_RAW and CAP_NET_BIND_SERVICE (ping, tcpdump and port 80 work) and ``no_new_privs``: it
  can't enter another namespace, signal the controllers, read the run directory or change the machine.

This is no security boundary. The file system is the machine's (read with nobody's rights), there are no limits on
memory, processor or processes, and containers are one user: those outside a PID namespace can be signalled by others
that see them.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation import syscalls
from testbed.emulation.mounts import own_mounts
from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.workloads import Workload
from testbed.workloads import privileges

NOBODY = 65534
CAPABILITIES = (privileges.CAP_NET_BIND_SERVICE, privileges.CAP_NET_RAW)
CONFIG = "/srv"
"""Where a workload finds its configuration directory, if the lab made one for it."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """``files``: (what shows it, what is shown) pairs, bind-mounted read-only."""

    hostname: str
    files: tuple[tuple[str, str], ...]


def render_files(workload: Workload) -> dict[str, str]:
    """Name to text of the workload's files in ``/etc``."""
    hostname = workload.hostname or workload.name
    files = {
        "hostname": f"{hostname}\n",
        "hosts": f"127.0.0.1\tlocalhost\n{workload.address}\t{hostname}\n",
    }
    if workload.nameserver is not None:
        search = f"search {' '.join(workload.search)}\noptions ndots:5\n" if workload.search else ""
        files["resolv.conf"] = f"nameserver {workload.nameserver}\n{search}"
    return files


def prepare_sandbox(rundir: RunDir, workload: Workload) -> Sandbox:
    """Write the workload's files into the run directory and say what has to be mounted where."""
    home = rundir.home(workload.folder)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    shown = []
    for name, text in render_files(workload).items():
        path = home / name
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text, 0o644, lasting=False)
        shown.append((f"/etc/{name}", str(path)))
    config = rundir.config(workload.folder)
    if config.is_dir():
        shown.append((CONFIG, str(config)))
    return Sandbox(workload.hostname or workload.name, tuple(shown))


def enter_sandbox(sandbox: Sandbox, own_processes: bool) -> None:
    """Mount and UTS namespaces for the calling process, which is in the right network namespace already.

    ``own_processes``: it is the first of a PID namespace, so ``/proc`` is mounted anew.
    """
    syscalls.unshare(syscalls.CLONE_NEWUTS)
    socket.sethostname(sandbox.hostname)
    own_mounts()
    safe = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    for target, source in sandbox.files:
        if os.path.exists(target):
            syscalls.mount(source, target, None, syscalls.MS_BIND)
    for filesystem, target in (("sysfs", "/sys"), ("proc", "/proc"))[: 1 + own_processes]:
        try:
            syscalls.mount(filesystem, target, filesystem, safe)
        except PermissionError:  # inside a container that hides them: it goes without
            continue


def drop_privileges() -> None:
    """For good: nobody, two capabilities, nothing to gain."""
    privileges.become(NOBODY, NOBODY, CAPABILITIES)


def prefer_as_victim() -> None:
    """When memory runs out, a lab's program goes before anything else of the machine."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)  # a text file object would dirty 0.8 MB of shared memory
    os.write(fd, b"500")
    os.close(fd)


def enter_workload(rundir: RunDir, workload: Workload) -> None:
    """Move this process into the workload's namespaces, as its own programs see them; keeps the user.

    For ``exec`` and ``shell``: call it between fork and exec, in a process without other threads.
    """
    sandbox = prepare_sandbox(rundir, workload)
    with open(rundir.namespace(workload.host), "rb") as namespace:
        syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
    enter_sandbox(sandbox, own_processes=False)


def hide_lab_mounts(run_root: Path) -> None:
    """A mount namespace for this process without the labs' mounts.

    Each container's mount namespace copies the table of mounts: with a thousand namespace files in it, a thousand
    containers would hold a million mounts, and would keep each other's network namespaces alive.
    """
    own_mounts()
    for point in reversed(_lab_mounts(run_root)):
        _detach(point)


def _detach(point: str) -> None:
    """Unmount what may be gone already: a mount goes from every mount namespace when its file is removed, and another
    lab that is taken down removes its files."""
    try:
        syscalls.umount(point)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def _lab_mounts(run_root: Path) -> list[str]:
    points = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        if rest.startswith("nsfs ") or point.startswith(f"{run_root}/"):
            points.append(point)
    return points


def reset_signals() -> None:
    """A forked child starts with the signals of a fresh program."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
