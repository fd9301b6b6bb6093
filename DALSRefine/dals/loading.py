"""Imports that take seconds, for processes that are ours: the command line and Slicer's worker."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Let the garbage collector rest, and afterwards pass over all that there is by then.

    torch and its like are millions of objects that live to the end. Going through them again and again, up to the
    process's last moment, is a fifth of a cold start.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
