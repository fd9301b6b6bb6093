"""Points of a cloud that are far from all others, and therefore hardly on the organ."""

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


def sociability(points: FloatArray) -> FloatArray:
    """Weights from 0 to 1 of points (N, 3), the lower the further their neighbours are than is usual."""
    places = np.unique(points, axis=0)  # a point that is there several times is no neighbour of its own
    if len(places) <= _NEXT:
        return np.ones(len(points))
    distances = cKDTree(places).query(points, k=[_NEXT + 1])[0][:, 0]
    usual = float(np.median(distances))
    return np.asarray(1 / (1 + (distances / (_ISOLATED * usual)) ** 4))


def sociable(weights: FloatArray) -> NDArray[np.bool_]:
    """Which points, by their sociability (N,), have neighbours about as near as is usual; all, if few have."""
    found = weights > _SOCIABLE
    return found if 2 * found.sum() > len(weights) else np.ones(len(weights), dtype=np.bool_)
