"""Collecting what a clinician should look at."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from dals.errors import DalsWarning


@contextmanager
def noticed() -> Iterator[list[str]]:
    """The sentences of all `DalsWarning`s until the context ends, each once; they are there after it.

    Python tells a warning once for each place in the code; here it is told each time. Other warnings go to the log.
    """
    sentences: dict[str, None] = {}
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DalsWarning)
        yield found
    for warning in caught:
        if issubclass(warning.category, DalsWarning):
            sentences[str(warning.message)] = None
        else:
            logging.warning("%s: %s", warning.category.__name__, warning.message)
    found += sentences
