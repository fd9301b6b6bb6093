"""Errors and warnings whose message is one sentence that a clinician can act on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


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

    def __init__(self, message: str = "The refinement was cancelled; nothing was changed.") -> None:
        super().__init__(message)


class DalsWarning(UserWarning):
    """Something doubtful that the clinician has to check; the computation goes on."""


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the messages of all `DalsWarning`s, each once; the list is complete when the context ends.

    Other warnings are issued as usual.
    """
    sentences: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DalsWarning)  # by default, Python shows a warning once per line of code
        yield sentences
    for warning in caught:
        if not issubclass(warning.category, DalsWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif str(warning.message) not in sentences:
            sentences.append(str(warning.message))
