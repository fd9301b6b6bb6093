"""Covariance of a smooth field of displacements."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dals.geometry.mesh import FloatArray

_ROWS = 256
"""Points at which a field is read at once: the kernel's matrix stays in the processor's cache."""
_REACH = 6.0
"""Lengths of a kernel; beyond, it is below 2e-8."""


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
    left, right = _factors(a, b, length)
    return np.asarray(_gaussian(left, right).mul_(spread**2).numpy())


def field_of(forces: FloatArray, places: FloatArray, at: FloatArray, *, spread: float, length: float) -> FloatArray:
    """Displacements (N, 3) at points (N, 3) by forces (M, 3) at places (M, 3): `likeness(at, places) @ forces`.

    Forces further than `_REACH` lengths away do not count.
    """
    field = np.zeros(at.shape)
    weighted = forces * spread**2
    order = cKDTree(at).indices  # neighbours side by side
    for first in range(0, len(order), _ROWS):
        rows = order[first : first + _ROWS]
        points = at[rows]
        beside = places - np.clip(places, points.min(axis=0), points.max(axis=0))
        near = (beside**2).sum(axis=1) < (_REACH * length) ** 2
        left, right = _factors(points, places[near], length)
        field[rows] = (_gaussian(left, right) @ torch.from_numpy(weighted[near])).numpy()
    return field


def _factors(a: FloatArray, b: FloatArray, length: float) -> tuple[Tensor, Tensor]:
    """Matrices (N, 5) and (5, M) whose product is the exponent: squared distances over -2 `length` squared."""
    scale = -1 / (2 * length**2)
    left = np.concatenate([a, np.ones((len(a), 1)), (a**2).sum(axis=1, keepdims=True)], axis=1) * scale
    right = np.concatenate([-2 * b, (b**2).sum(axis=1, keepdims=True), np.ones((len(b), 1))], axis=1)
    return torch.from_numpy(left), torch.from_numpy(right).T


def _gaussian(left: Tensor, right: Tensor) -> Tensor:
    return (left @ right).clamp_(max=0.0).exp_()  # rounding can make a squared distance negative
