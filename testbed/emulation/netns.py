"""Network namespaces without a process for each: made, entered and dropped from threads of our own.

A namespace lives as long as something refers to it. The lab's references are files in ``netns/``, a tmpfs mounted
for the lab alone (private: nothing of it shows in other mount namespaces); a bind mount of the making thread's
``ns/net`` on a file gives the namespace its name. Dropping the tmpfs drops all of them at once, and the kernel frees
namespaces in batches (0.9 ms each against 21 ms for a link deleted alone).
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from testbed.emulation import interrupts, syscalls
from testbed.emulation.errors import EmulationError, NotOursError
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import Namespace

T = TypeVar("T")
Enter = Callable[[Path], None]

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_TMPFS_NAME = "cnlab"
_SYSCTLS = Path("/proc/sys")
_NO_IPV6 = (("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1"))


def visiting(work: Callable[[Enter], T]) -> T:
    """Run ``work`` in a thread that may move between namespaces by ``enter(path)``; the thread ends with it.

    Only that thread moves: sockets it opens and processes it starts belong to the namespace entered last.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(enter))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="namespace-visitor")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def enter(path: Path) -> None:
    """Move the calling thread into the namespace at ``path``. Only for threads made by ``visiting``."""
    interrupts.check()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
    finally:
        os.close(fd)


def inside(path: Path, work: Callable[[], T]) -> T:
    """Run ``work`` in the namespace at ``path`` and return its result."""

    def visit(enter: Enter) -> T:
        enter(path)
        return work()

    return visiting(visit)


def make_namespaces(rundir: RunDir, namespaces: Iterable[Namespace]) -> None:
    """Make each namespace: named, IPv6 off unless its sysctls say otherwise, sysctls written, loopback up."""
    mount_home(rundir)
    wanted = tuple(namespaces)

    def make(_: Enter) -> None:
        source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        for namespace in wanted:
            interrupts.check()
            _make_one(rundir.namespace(namespace.name), namespace, source)

    visiting(make)


def _make_one(path: Path, namespace: Namespace, source: str) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400))
    except FileExistsError:
        raise NotOursError(f"namespace {namespace.name} exists already at {path}") from None
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.mount(source, str(path), None, syscalls.MS_BIND)
    write_sysctls(namespace.sysctls, _NO_IPV6)
    _loopback_up()


def write_sysctls(asked: tuple[tuple[str, str], ...], defaults: tuple[tuple[str, str], ...] = ()) -> None:
    """Write sysctls of the calling thread's namespace. Raises ``EmulationError`` when the kernel refuses one.

    Only ``net.*`` is namespaced; anything else would be the whole machine's, so it is refused. A default that this
    kernel does not have (IPv6 not built in) is passed over.
    """
    for name, value in {**dict(defaults), **dict(asked)}.items():
        parts = name.split(".")
        if parts[0] != "net" or not all(part and "/" not in part and part != ".." for part in parts):
            raise EmulationError(f"sysctl {name} is not one of a network namespace")
        try:
            fd = os.open(_SYSCTLS.joinpath(*parts), os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if (name, value) in defaults:
                continue
            raise EmulationError(f"this kernel has no sysctl {name}") from None
        try:
            os.write(fd, value.encode())
        except OSError as error:
            raise EmulationError(f"the kernel refused sysctl {name}={value}: {error.strerror}") from None
        finally:
            os.close(fd)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        (flags,) = struct.unpack_from("H", request, 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def drop_namespaces(rundir: RunDir, names: Iterable[str]) -> None:
    """Take the names of namespaces away; the kernel frees each once its last process and socket is gone."""
    mounted = read_mounted(rundir)
    for name in names:
        path = rundir.namespace(name)
        if name in mounted:
            syscalls.umount(str(path))
        path.unlink(missing_ok=True)


def mount_home(rundir: RunDir) -> None:
    """Mount the tmpfs for the lab's namespace files, unless it is mounted."""
    if str(rundir.netns) in mount_points(rundir.netns):
        return
    syscalls.mount(_TMPFS_NAME, str(rundir.netns), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0700")
    # On machines where / is shared, what is mounted here would show up in every other mount namespace and pin the
    # lab's namespaces there.
    syscalls.mount("none", str(rundir.netns), None, syscalls.MS_PRIVATE)


def mount_points(under: Path) -> tuple[str, ...]:
    """Mount points at or below ``under`` in this mount namespace, in the order of mounting."""
    prefix = str(under)
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = line.split(" ", 5)[4].replace("\\040", " ")
            if point == prefix or point.startswith(prefix + "/"):
                points.append(point)
    return tuple(points)


def let_go_of_labs() -> None:
    """Unmount the namespace files of every lab in the calling thread's own mount namespace.

    A copied mount tree would pin the namespaces of all labs for as long as the process that has it lives.
    """
    mark = b" - tmpfs " + _TMPFS_NAME.encode() + b" "
    with open("/proc/thread-self/mountinfo", "rb") as table:
        points = [line.split(b" ", 5)[4] for line in table.read().split(b"\n") if mark in line]
    for point in points:
        syscalls.umount(os.fsdecode(point).replace("\\040", " "))


def read_mounted(rundir: RunDir) -> frozenset[str]:
    """Names of the lab's namespaces that exist."""
    start = len(str(rundir.netns)) + 1
    return frozenset(point[start:] for point in mount_points(rundir.netns) if len(point) > start)


def read_inodes(rundir: RunDir) -> dict[int, str]:
    """Inode number of each of the lab's namespaces (as in ``/proc/PID/ns/net``) to its name."""
    found = {}
    for name in read_mounted(rundir):
        try:
            found[rundir.namespace(name).stat().st_ino] = name
        except OSError:
            continue
    return found
