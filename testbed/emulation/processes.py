"""Programs of the lab: started in a namespace with the lab's mark, found again by it, stopped only by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation import syscalls
from testbed.emulation.errors import EmulationError
from testbed.emulation.mounts import own_mounts
from testbed.emulation.netns import Enter, enter, let_go_of_labs, visiting
from testbed.emulation.ownership import find_processes, is_zombie, mark
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import until

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_launched: set[int] = set()
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start: its role in the lab, its arguments, additions to the environment, its log's name.

    Output goes to ``logs/<log>.log``; without a log it is dropped (the program keeps its own).
    """

    role: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    log: str | None = None


def launch(rundir: RunDir, program: Program) -> int:
    """Start a program in the namespaces of the calling thread, in a session of its own; its pid.

    posix_spawn: no copy of this process's memory, and the child inherits the thread's network namespace.
    """
    environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8", **dict(program.environment), **mark(rundir, program.role)}
    target = str(rundir.logs / f"{program.log}.log") if program.log else os.devnull
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, target, flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    path, arguments = program.arguments[0], list(program.arguments)
    reset = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE]
    try:
        pid = os.posix_spawn(path, arguments, environment, file_actions=actions, setsid=True, setsigdef=reset)
    except OSError as error:
        raise EmulationError(f"{program.role}: can't start {program.arguments[0]}: {error.strerror}") from None
    _launched.add(pid)
    return pid


def launch_in(rundir: RunDir, namespace: str, program: Program) -> int:
    """Start a program in a namespace of the lab, with its own /etc/resolv.conf and /sys; its pid."""

    def start(enter: Enter) -> int:
        enter(rundir.namespace(namespace))
        private_mounts(rundir, namespace)
        return launch(rundir, program)

    return visiting(start)


def run_in(
    rundir: RunDir, namespace: str, arguments: Sequence[str], limit: float = 30.0, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program in a namespace to its end and return its status and output (like ``ip netns exec``).

    ``text`` is its standard input. Raises ``EmulationError`` when the program is missing or outlives ``limit``.
    """

    def run(enter: Enter) -> subprocess.CompletedProcess[str]:
        enter(rundir.namespace(namespace))
        private_mounts(rundir, namespace)
        environment = {**os.environ, **mark(rundir, f"run@{namespace}")}
        try:
            return subprocess.run(
                list(arguments), check=False, input=text, capture_output=True, text=True, timeout=limit, env=environment
            )
        except FileNotFoundError:
            raise EmulationError(f"{arguments[0]} is not installed") from None
        except subprocess.TimeoutExpired:
            raise EmulationError(f"{arguments[0]} in {namespace} did not end within {limit:g} s") from None

    return visiting(run)


def exec_in(rundir: RunDir, namespace: str, arguments: Sequence[str]) -> None:
    """Become a program in a namespace (``lab exec``): the terminal and the exit status are the program's own."""
    enter(rundir.namespace(namespace))
    private_mounts(rundir, namespace)
    environment = {**os.environ, **mark(rundir, f"exec@{namespace}")}
    try:
        os.execvpe(arguments[0], list(arguments), environment)  # noqa: S606 - a shell is what we avoid
    except OSError as error:
        raise EmulationError(f"can't run {arguments[0]}: {error.strerror}") from None


def private_mounts(rundir: RunDir, namespace: str) -> None:
    """Give the calling thread mounts of its own: /sys of its network namespace, and resolv.conf where one is set."""
    own_mounts()
    let_go_of_labs()
    syscalls.mount("sysfs", "/sys", "sysfs", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    resolver = rundir.resolver(namespace)
    if resolver.exists() and os.path.exists("/etc/resolv.conf"):
        syscalls.mount(str(resolver), os.path.realpath("/etc/resolv.conf"), None, syscalls.MS_BIND)


def python_program(rundir: RunDir, role: str, module: str, *arguments: str, log: str) -> Program:
    """A module of this project as a program of the lab, with the interpreter that runs us."""
    environment = (("PYTHONPATH", str(_PROJECT)), ("PYTHONUNBUFFERED", "1"))
    return Program(role, (sys.executable, "-P", "-m", module, *arguments), environment, log)


def start_controller(rundir: RunDir, name: str) -> int:
    """Start controller ``fabric`` or ``cluster`` unless it runs; its pid. It listens on ``control/<name>.sock``."""
    role = f"controller@{name}"
    if running := find_role(rundir, role):
        return running[0]
    (rundir.control / f"{name}.sock").unlink(missing_ok=True)
    arguments = (name, "--run-dir", str(rundir.path))
    return launch(rundir, python_program(rundir, role, "controllers.app", *arguments, log=f"controller-{name}"))


def wait_listening(rundir: RunDir, name: str, pid: int, limit: float = 20.0) -> None:
    """Wait until controller ``name`` listens. Raises ``EmulationError`` with the end of its log when it died."""
    path = rundir.control / f"{name}.sock"

    def listens() -> bool:
        if not is_alive(pid):
            raise EmulationError(f"controller {name} died: {read_log_end(rundir, f'controller-{name}', lines=1)}")
        return path.exists()

    until(listens, limit, f"controller {name} to listen on {path}")


def read_log_end(rundir: RunDir, log: str, lines: int = 5) -> str:
    try:
        text = (rundir.logs / f"{log}.log").read_text(errors="replace")
    except OSError:
        return "no log"
    return " | ".join(text.strip().split("\n")[-lines:])


def find_role(rundir: RunDir, role: str) -> tuple[int, ...]:
    """Pids of the lab's processes that were started as ``role``."""
    return tuple(owned.pid for owned in find_processes(rundir) if owned.role == role)


def stop(pids: Iterable[int], limit: float = 2.0) -> None:
    """SIGTERM, wait at most ``limit`` seconds, SIGKILL, wait again. The caller has made sure that they are ours.

    Through pidfds taken at the start, so that a number reused in between is not hit.
    """
    handles = {}
    for pid in pids:
        try:
            handles[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
    try:
        _signal_all(handles, signal.SIGTERM, limit)
        _signal_all(handles, signal.SIGKILL, 5.0)
        if left := [pid for pid in handles if is_alive(pid)]:
            raise EmulationError(f"processes {left} survive SIGKILL")
    finally:
        for handle in handles.values():
            os.close(handle)


def kill(pids: Iterable[int]) -> None:
    """SIGKILL without waiting, for what holds nothing worth keeping."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _signal_all(handles: dict[int, int], number: signal.Signals, limit: float) -> None:
    alive = {pid: handle for pid, handle in handles.items() if is_alive(pid)}
    for handle in alive.values():
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            continue
    try:
        until(lambda: not any(map(is_alive, alive)), limit, f"the end of {len(alive)} processes")
    except EmulationError:
        return


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that we launched and that has ended is reaped."""
    try:
        if not is_zombie(pid):
            return True
        if pid in _launched and os.waitpid(pid, os.WNOHANG)[0] == pid:
            _launched.discard(pid)
    except OSError:
        pass
    return False
