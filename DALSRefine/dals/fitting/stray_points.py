"""Points of a cloud that are at odds with their neighbours, and therefore hardly on the organ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.geometry.mesh import FloatArray

_NEIGHBOURS = 8
_AT_ODDS, _LEAST = 5.0, 0.01
"""A point is at odds with its neighbours from so many standard deviations, and this canonical distance, on."""


def agreeing(points: FloatArray, distances: FloatArray) -> NDArray[np.bool_]:
    """Which points (N, 3) have signed distances (N,) from a surface near it, canonical, like their neighbours'."""
    if len(points) <= _NEIGHBOURS:
        return np.ones(len(points), dtype=np.bool_)
    nearest = cKDTree(points).query(points, k=range(2, _NEIGHBOURS + 2))[1]
    off = np.abs(distances - np.median(distances[nearest], axis=1))
    return np.asarray(off < _AT_ODDS * 1.4826 * np.median(off) + _LEAST)
