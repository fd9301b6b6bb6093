"""Splines as Slicer draws them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dals.geometry.mesh import FloatArray

POINTS_PER_SEGMENT = 10
MAXIMUM_SAMPLES = 20_000
"""A curve of so many control points is drawn densely enough as it is."""


def sample_closed_spline(control_points: ArrayLike, *, points_per_segment: int | None = None) -> FloatArray:
    """Sample the closed cardinal spline through control points, as Slicer does by default.

    `vtkMRMLMarkupsClosedCurveNode` uses one closed `vtkCardinalSpline` per coordinate, parameterised by the
    index of the control point, not by length, with ten samples per segment. That is the periodic cubic spline with
    equal steps. Its second derivatives solve a circulant system, here by the Fourier transform.

    Parameters
    ----------
    control_points : (N, 3) array_like
        At least three points, in any unit and coordinate system.
    points_per_segment : int, optional
        Samples from one control point to the next; ten unless given, fewer where they would be more than
        `MAXIMUM_SAMPLES` in all.

    Returns
    -------
    (N * points_per_segment, 3) float64
        Starts at the first control point; the closing point is not repeated.

    Raises
    ------
    ValueError
        For fewer than three points or a wrong shape.
    """
    control, points_per_segment = _checked("a closed", control_points, points_per_segment)
    bend = _second_derivatives(control)
    following, next_bend = np.roll(control, -1, axis=0), np.roll(bend, -1, axis=0)
    after = (np.arange(points_per_segment) / points_per_segment)[:, None]
    before = 1 - after
    straight = before * control[:, None] + after * following[:, None]
    bent = ((before**3 - before) * bend[:, None] + (after**3 - after) * next_bend[:, None]) / 6
    return np.asarray((straight + bent).reshape(-1, 3))


def sample_open_spline(control_points: ArrayLike, *, points_per_segment: int | None = None) -> FloatArray:
    """Sample the open cardinal spline through control points, as Slicer does by default.

    As `sample_closed_spline`, but from the first control point to the last; like `vtkParametricSpline` it starts and
    ends with a derivative of zero.

    Parameters
    ----------
    control_points : (N, 3) array_like
        At least three points, in any unit and coordinate system.
    points_per_segment : int, optional
        Samples from one control point to the next; ten unless given, fewer where they would be more than
        `MAXIMUM_SAMPLES` in all.

    Returns
    -------
    ((N - 1) * points_per_segment + 1, 3) float64

    Raises
    ------
    ValueError
        For fewer than three points or a wrong shape.
    """
    from scipy.interpolate import CubicSpline  # slow to import, and few curves are open

    control, points_per_segment = _checked("an open", control_points, points_per_segment)
    count = (len(control) - 1) * points_per_segment + 1
    spline = CubicSpline(np.arange(len(control)), control, bc_type="clamped")
    return np.asarray(spline(np.linspace(0.0, len(control) - 1.0, count)))


def _checked(kind: str, control_points: ArrayLike, points_per_segment: int | None) -> tuple[FloatArray, int]:
    """Control points (N, 3), and how many samples a segment gets."""
    control = np.asarray(control_points, dtype=np.float64)
    if control.ndim != 2 or control.shape[1] != 3 or len(control) < 3:
        raise ValueError(f"{kind} spline needs (N >= 3, 3) control points, not {control.shape}")
    if points_per_segment is None:
        points_per_segment = max(1, min(POINTS_PER_SEGMENT, MAXIMUM_SAMPLES // len(control)))
    return control, points_per_segment


def _second_derivatives(control: FloatArray) -> FloatArray:
    """Of the periodic cubic spline at its control points (N, 3), by the index."""
    count = len(control)
    differences = np.roll(control, -1, axis=0) - 2 * control + np.roll(control, 1, axis=0)
    waves = 2 * np.pi * np.arange(count // 2 + 1) / count
    spectrum = np.fft.rfft(6 * differences, axis=0) / (4 + 2 * np.cos(waves))[:, None]
    return np.asarray(np.fft.irfft(spectrum, n=count, axis=0))
