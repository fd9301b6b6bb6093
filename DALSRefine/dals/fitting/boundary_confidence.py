"""Confidence of a segmentation's boundary, from the network's probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix

_SHARPEST = 0.5
"""Slope per voxel of a step from 0 to 1, by central differences."""
_LEAST = 0.02


def boundary_confidence(probabilities: NDArray[np.float32], grid: LabelMap, points: FloatArray) -> NDArray[np.float32]:
    """Slope of the probability at boundary points, relative to a step from 1 to 0 within a voxel.

    Where the probability p crosses one half with slope |grad p|, the log-odds at a distance d are about 4 |grad p| d.
    The log-likelihood of a boundary that is displaced by d is therefore proportional to |grad p| d^2, and |grad p| is
    the weight of the squared distance.

    Parameters
    ----------
    probabilities : (K, J, I)
        0 to 1.
    grid : LabelMap
        Grid of the probabilities.
    points : (N, 3)
        RAS mm.

    Returns
    -------
    (N,) float32
        Greater than 0, at most 1.
    """
    matrix = grid.ras_to_ijk
    ijk = apply_matrix(matrix, points)
    squared = np.zeros(len(points))
    for axis in range(3):
        slope = ndimage.convolve1d(probabilities, [0.5, 0.0, -0.5], axis=axis, mode="nearest")
        squared += ndimage.map_coordinates(slope, ijk[:, ::-1].T, order=1, mode="nearest") ** 2
    return np.clip(np.sqrt(squared) / _SHARPEST, _LEAST, 1.0).astype(np.float32)
