"""What can go wrong with a request. Every message says what the user can do."""

from __future__ import annotations


class OperationError(Exception):
    """The lab did not do what was asked; ``str()`` is fit for the user (exit status 1)."""


class BadRequestError(OperationError):
    """What was asked for makes no sense for this lab (exit status 2)."""


class NotAppliedError(OperationError):
    """A controller or the kubelet did not take the new generation over; the text has the reasons, one a line."""
