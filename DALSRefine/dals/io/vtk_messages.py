"""Capturing VTK's messages instead of printing them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringOutputWindow


class VtkMessages:
    """Messages that VTK has issued since the capture began."""

    def __init__(self, window: vtkStringOutputWindow) -> None:
        self._window = window

    @property
    def text(self) -> str:
        """All messages, warnings included."""
        return str(self._window.GetOutput() or "")

    @property
    def has_errors(self) -> bool:
        """Whether any message is an error."""
        return "ERROR:" in self.text


@contextlib.contextmanager
def captured_vtk_messages() -> Iterator[VtkMessages]:
    """Collect VTK's errors and warnings instead of printing them.

    Yields
    ------
    VtkMessages
        Filled while the block runs.
    """
    previous = vtkOutputWindow.GetInstance()
    verbosity = vtkLogger.GetCurrentVerbosityCutoff()
    window = vtkStringOutputWindow()
    vtkOutputWindow.SetInstance(window)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield VtkMessages(window)
    finally:
        vtkLogger.SetStderrVerbosity(verbosity)
        vtkOutputWindow.SetInstance(previous)
