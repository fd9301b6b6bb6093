"""Covariance of a smooth field of displacements."""

from __future__ import annotations

import numpy as np

from dals.geometry.mesh import FloatArray
from dals.ops.dense import product


def likeness(a: FloatArray, b: FloatArray, *, spread: float, length: float) -> FloatArray:
    """Covariance (N, M) of each component of the displacement at points (N, 3) and (M, 3): a Gaussian of the distance.

    Parameters
    ----------
    a, b : (N, 3), (M, 3)
    spread : float
        Standard deviation of a component.
    length : float
        Standard deviation of the Gaussian, in the unit of the points.
    """
    values = product(a, -2 * b.T)  # then in place: the arrays are large
    values += (a**2).sum(axis=1)[:, None]
    values += (b**2).sum(axis=1)
    values *= -1 / (2 * length**2)
    np.exp(np.minimum(values, 0.0, out=values), out=values)
    values *= spread**2
    return values
