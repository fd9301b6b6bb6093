"""Points and homogeneous matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dals.geometry.mesh import FloatArray


def apply_matrix(matrix: ArrayLike, points: ArrayLike) -> FloatArray:
    """Map points by an affine matrix.

    Parameters
    ----------
    matrix : (4, 4) array_like
    points : (..., 3) array_like

    Returns
    -------
    (..., 3) float64
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.asarray(np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3])
