"""Exceptions whose message is one sentence that a clinician can act on."""

from __future__ import annotations


class DalsError(Exception):
    """Base of all errors that a user can cause or cure.

    The command line prints the message and exits with status 2; the Slicer module
    shows it in a message box. Anything else that escapes is a bug.
    """


class InputError(DalsError):
    """The input is missing, unreadable, empty or contradictory."""


class OutputError(DalsError):
    """The result cannot be written."""


class PriorError(DalsError):
    """The prior is unknown, damaged or of a newer format."""


class DeviceError(DalsError):
    """The requested device does not exist or cannot do the computation."""


class DatasetError(DalsError):
    """The training data set is missing, empty or inconsistent."""


class FitCancelledError(DalsError):
    """The caller stopped the fit."""


class DalsWarning(UserWarning):
    """A doubt that a clinician should know of; the computation goes on."""
