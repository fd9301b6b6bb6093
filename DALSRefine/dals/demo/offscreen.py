"""Helpers for off-screen rendering with VTK: a safe probe, silence, pixels, PNG."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkLogger
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

_PROBE = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
window = vtkRenderWindow()
window.SetOffScreenRendering(True)
window.AddRenderer(vtkRenderer())
window.Render()
"""
_PROBE_SECONDS = 60.0


@cache
def can_render() -> bool:
    """Whether this machine can render off screen, by a graphics driver, EGL or OSMesa.

    Notes
    -----
    Without any of them VTK crashes the process, which happens on Linux servers. There, a child process tries first;
    it takes about a second, once.
    """
    if sys.platform in ("win32", "darwin"):
        return True
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


@contextmanager
def quiet_vtk() -> Iterator[None]:
    """Silence VTK's log, which warns of a missing X server before it tries EGL."""
    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(before)


def grab_pixels(window: Any, *, supersampling: int = 1) -> NDArray[np.uint8]:
    """Pixels of a rendered window, averaged over square blocks.

    Parameters
    ----------
    window : vtkRenderWindow
        Rendered. Width and height are multiples of `supersampling`.
    supersampling : int, optional
        Side of the blocks, pixels.

    Returns
    -------
    (H, W, 3) uint8
        Bottom row first, as in VTK images.
    """
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    fine = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[..., :3]
    k = supersampling
    blocks = fine.reshape(height // k, k, width // k, k, 3)
    return np.asarray(blocks.mean(axis=(1, 3)).round().astype(np.uint8))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels (H, W, 3), bottom row first, as PNG."""
    height, width, channels = pixels.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, channels), deep=True))
    writer = vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return bytes(vtk_to_numpy(writer.GetResult()).tobytes())
