"""Exceptions whose message is one sentence that a clinician can act on."""

from __future__ import annotations


class DalsError(Exception):
    """Base of every error that a user can cause or cure.

    The command line prints the message and exits with status 2; the Slicer module
    shows it in a message box. Anything else that escapes is a bug.
    """


class InputError(DalsError):
    """The observation cannot be used: missing, unreadable, empty or contradictory."""


class OutputError(DalsError):
    """The result cannot be written where it was asked for."""


class PriorError(DalsError):
    """The prior is unknown, damaged or of a format that this version cannot read."""


class DeviceError(DalsError):
    """The compute device asked for is not there or cannot do the work."""


class DatasetError(DalsError):
    """A training data set is missing, empty or inconsistent."""


class FitCancelledError(DalsError):
    """The fit was stopped by the caller before it had a result."""


class DalsWarning(UserWarning):
    """Something a clinician should look at, though the work goes on."""
