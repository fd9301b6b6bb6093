"""Keeping what ITK and the libraries below it print off the terminal: the user gets one sentence instead."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk  # noqa: N813

_one_at_a_time = threading.RLock()


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Drop ITK's warnings, and what is written to standard error below Python (libpng, MetaIO, NIfTI, VNL)."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with _without_standard_error():
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


@contextmanager
def _without_standard_error() -> Iterator[None]:
    with _one_at_a_time:
        try:
            kept = os.dup(2)
        except OSError:  # an application with windows may have none
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)
