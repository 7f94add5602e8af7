"""A forked container, from the fork to its program. Nothing here returns to the runtime."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
from typing import Any, NoReturn

from testbed.emulation import syscalls
from testbed.workloads import privileges
from testbed.workloads.echo.answers import Identity
from testbed.workloads.echo.server import Server
from testbed.workloads.sandbox import Sandbox, drop_privileges, enter_sandbox, prefer_as_victim, reset_signals

CANNOT_START, NOT_EXECUTABLE, NOT_FOUND = 128, 126, 127
_PIPE, _NAMESPACE = 3, 4


class StartError(Exception):
    """Why a container did not get as far as its program; ``code`` is the exit code that Kubernetes shows."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def run_child(message: dict[str, Any], fds: list[int], pipe: int, own_processes: bool) -> NoReturn:
    """Become the container. What goes wrong is written to ``pipe`` as ``CODE TEXT``; its silent end means running.

    ``fds`` are the network namespace and the log.
    """
    code = CANNOT_START
    try:
        code = _run(message, fds, pipe, own_processes)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except StartError as error:
        code = error.code
        os.write(_PIPE, f"{error.code} {error}".encode())
    except (OSError, ValueError) as error:
        os.write(_PIPE, f"{CANNOT_START} {getattr(error, 'strerror', None) or error}".encode())
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _run(message: dict[str, Any], fds: list[int], pipe: int, own_processes: bool) -> int:
    program = message["program"]
    reset_signals()
    os.setsid()
    namespace, log = fds
    _arrange_descriptors(namespace, log, pipe)
    syscalls.setns(_NAMESPACE, syscalls.CLONE_NEWNET)
    os.close(_NAMESPACE)
    prefer_as_victim()
    if own_processes:
        wanted = message["sandbox"]
        enter_sandbox(Sandbox(wanted["hostname"], tuple((to, what) for to, what in wanted["files"])), True)
    if not message.get("privileged"):
        drop_privileges()
    privileges.die_with_parent(signal.SIGKILL)
    os.chdir("/")
    if own_processes:
        # Whose process it is, for the lab's "down"; labs of one name in other run directories are others.
        mark = {name: os.environ.get(name, "") for name in ("CNLAB", "CNLAB_RUN")}
        _execute(program["argv"], dict(program["env"]) | mark)
    return _serve_echo(program)


def _arrange_descriptors(namespace: int, log: int, pipe: int) -> None:
    """0 is nothing, 1 and 2 the log, 3 the pipe, 4 the namespace; everything else of the runtime's is closed."""
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (nothing, log, log, pipe, namespace)]
    for target, source in enumerate(sources):
        os.dup2(source, target, inheritable=target < _PIPE)
    os.closerange(_NAMESPACE + 1, 1 << 20)


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606  (no shell is the point)
    except FileNotFoundError:
        raise StartError(NOT_FOUND, f'exec: "{argv[0]}": executable file not found in $PATH') from None
    except OSError as error:
        number = NOT_EXECUTABLE if error.errno in (errno.EACCES, errno.ENOEXEC) else CANNOT_START
        raise StartError(number, f'exec: "{argv[0]}": {error.strerror}') from None


def _serve_echo(program: dict[str, Any]) -> int:
    who = program["identity"]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    privileges.set_name(f"echo:{who['name']}")
    os.environ.update(program["env"])
    server = Server(Identity(who["name"], who["namespace"], who["node"]), [(p, n) for p, n in program["ports"]])
    os.close(_PIPE)
    gc.enable()
    server.serve()
    return 0
