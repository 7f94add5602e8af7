"""What can go wrong while the machine is changed. Every message names the object and the next step."""

from __future__ import annotations

import signal


class EmulationError(Exception):
    """The machine did not do what was asked; ``str()`` is fit for the user."""


class LabBusyError(EmulationError):
    """Another command works on the same lab; the message says which process."""


class NoSuchLabError(EmulationError):
    """The lab has no run directory."""


class NotOursError(EmulationError):
    """Something of that name exists that this lab did not make, so it is not touched."""


class BadNameError(EmulationError):
    """A name that can't be one component of a path."""


class MachineLacksError(EmulationError):
    """A program, module or privilege is missing (exit status 3 of the command line)."""


class InterruptedByUserError(EmulationError):
    """SIGINT, SIGTERM or SIGHUP arrived; what was begun has been recorded or rolled back."""

    exit_status = 130

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


class KernelRefusedError(EmulationError):
    """The kernel answered a netlink message with an error.

    ``failures`` has one (what it was about, errno, the kernel's own text) for each message refused.
    """

    def __init__(self, failures: tuple[tuple[str, int, str], ...]) -> None:
        self.failures = failures
        shown = "; ".join(f"{about}: {text}" for about, _, text in failures[:5])
        more = f" (and {len(failures) - 5} more)" if len(failures) > 5 else ""
        super().__init__(f"the kernel refused {len(failures)} change(s): {shown}{more}")
