"""Points of a cloud that are probably not on the organ: far from all others, or at odds with their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.geometry.mesh import FloatArray

_NEXT = 3
"""Which of a point's neighbours counts: two strays may lie together."""
_ISOLATED = 4.0
"""Times the usual distance of that neighbour, from which a point counts for less."""
_SOCIABLE = 0.5
"""Weight below which a point is taken for lonely."""
_NEIGHBOURS = 8
_AT_ODDS, _LEAST = 5.0, 0.01
"""A point is at odds with its neighbours from so many standard deviations, and this canonical distance, on."""


def sociability(points: FloatArray) -> FloatArray:
    """Weights from 0 to 1 of points (N, 3), the lower the further their neighbours are than is usual."""
    places = np.unique(points, axis=0)  # a point that is there several times is no neighbour of its own
    if len(places) <= _NEXT:
        return np.ones(len(points))
    distances = cKDTree(places).query(points, k=[_NEXT + 1])[0][:, 0]
    usual = float(np.median(distances))
    return np.asarray(1 / (1 + (distances / (_ISOLATED * usual)) ** 4))


def sociable(points: FloatArray) -> NDArray[np.bool_]:
    """Which points (N, 3) have their neighbours about as near as is usual; all, if few have."""
    found = sociability(points) > _SOCIABLE
    return found if 2 * found.sum() > len(points) else np.ones(len(points), dtype=np.bool_)


def agreeing(points: FloatArray, distances: FloatArray) -> NDArray[np.bool_]:
    """Which points (N, 3) have signed distances (N,) from a surface near it, canonical, like their neighbours'."""
    if len(points) <= _NEIGHBOURS:
        return np.ones(len(points), dtype=np.bool_)
    nearest = cKDTree(points).query(points, k=range(2, _NEIGHBOURS + 2))[1]
    off = np.abs(distances - np.median(distances[nearest], axis=1))
    return np.asarray(off < _AT_ODDS * 1.4826 * np.median(off) + _LEAST)
