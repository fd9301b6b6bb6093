"""Closed and open polylines."""

from __future__ import annotations

import numpy as np

from dals.geometry.mesh import FloatArray


def loop_length(loop: FloatArray) -> float:
    """Length of a closed polyline (N, 3) whose first point is not repeated."""
    return float(np.linalg.norm(loop - np.roll(loop, 1, axis=0), axis=1).sum())


def enclosed_area(loop: FloatArray) -> float:
    """Area that a closed polyline (N, 2) in a plane encloses, in the square of its unit."""
    x, y = loop.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def resample_loop(loop: FloatArray, count: int, *, phase: float = 0.5) -> FloatArray:
    """Points at equal arc length along a closed polyline.

    Parameters
    ----------
    loop : (N, 3)
        The first point is not repeated.
    count : int
    phase : float
        Steps from the loop's first point to the first point of the result.

    Returns
    -------
    (count, 3) float64
    """
    closed = np.concatenate([loop, loop[:1]])
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    stops = (np.arange(count) + phase) / max(count, 1) * travelled[-1]
    return np.stack([np.interp(stops, travelled, axis) for axis in closed.T], axis=1)


def path_length(path: FloatArray) -> float:
    """Length of an open polyline (N, 3)."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def resample_path(path: FloatArray, count: int) -> FloatArray:
    """Points (count, 3) at equal arc length along an open polyline (N, 3), half a step from its ends."""
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    stops = (np.arange(count) + 0.5) / max(count, 1) * travelled[-1]
    return np.stack([np.interp(stops, travelled, axis) for axis in path.T], axis=1)
