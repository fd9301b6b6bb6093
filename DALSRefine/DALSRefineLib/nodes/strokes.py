"""Closed curves of few control points through a line of many: a stroke of the mouse, a section of a surface."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from dals.geometry.mesh import FloatArray
from dals.geometry.splines import sample_closed_spline

TOLERANCE_MM = 0.8
COUNTS = (8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48)
"""Numbers of control points that are tried."""
_STEP_MM = 1.0
_TREMOR_MM = 1.5
_OVERSHOOT = 0.2  # part of a stroke, at its end, in which it may pass its beginning again
_CLOSE = 0.05  # of its length


def control_points_of(line: FloatArray, *, tolerance_mm: float = TOLERANCE_MM, tremor_mm: float = 0.0) -> FloatArray:
    """Control points, evenly spaced, whose closed curve follows a closed line.

    Parameters
    ----------
    line : (N >= 3, 3)
        In order, millimetres; closed implicitly.
    tolerance_mm : float
        The fewest points of `COUNTS` are taken that keep the curve this close to the line, else the most.
    tremor_mm : float
        Standard deviation, along the line, with which it is smoothed first.

    Returns
    -------
    (M, 3) float64

    Raises
    ------
    ValueError
        If the line has no length.
    """
    length = _length(line)
    if not length > 0:
        raise ValueError("a line without length has no control points")
    dense = _evenly(line, max(3 * COUNTS[-1], int(length / _STEP_MM)))
    if tremor_mm > 0:
        dense = gaussian_filter1d(dense, tremor_mm * len(dense) / length, axis=0, mode="wrap")
    for count in COUNTS:
        control = _evenly(dense, count)
        curve = sample_closed_spline(control, points_per_segment=30)
        if cKDTree(curve).query(dense)[0].max() <= tolerance_mm:
            break
    return control


def outline_of_stroke(stroke: FloatArray) -> FloatArray:
    """Control points (M, 3) of the outline that a hand has traced with the mouse.

    A stroke that passes its beginning again is cut off there; the tremor of the hand is smoothed.
    """
    line = np.asarray(stroke, dtype=np.float64)
    distances = np.linalg.norm(line - line[0], axis=1)
    tail = int(len(line) * (1 - _OVERSHOOT))
    nearest = tail + int(distances[tail:].argmin())
    if distances[nearest] < _CLOSE * _length(line):
        line = line[: nearest + 1]
    return control_points_of(line, tremor_mm=_TREMOR_MM)


def _length(line: FloatArray) -> float:
    return float(np.linalg.norm(line - np.roll(line, -1, axis=0), axis=1).sum())


def _evenly(line: FloatArray, count: int) -> FloatArray:
    """Points (count, 3) at equal distances along a closed line, from its first point on."""
    closed = np.concatenate([line, line[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    wanted = np.linspace(0.0, along[-1], count, endpoint=False)
    return np.stack([np.interp(wanted, along, closed[:, axis]) for axis in range(3)], axis=1)
