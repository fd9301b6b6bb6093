"""Latents that vary over the template as a smooth random field."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from dals.geometry.mesh import FloatArray
from dals.model.template import icosphere

_SCALES = ((1, 0.5, 0.7), (2, 0.25, 0.3))
"""Levels of the anchors, distances on the unit sphere over which latents are alike, and shares of the variance.

The long one alone missed tips of lobes, a short one alone made the surface between the planes worse, on livers.
"""
_JITTER = 1e-6
_LEAST = 1e-6
"""Singular value, as a part of the largest one, from which a combination of the functions counts."""


@lru_cache(maxsize=16)
def local_basis(level: int) -> FloatArray:
    """Functions (V, m) on a template, of which a combination with standard normal weights is a field of variance 1.

    The field's covariance is a sum of two Gaussians of the distance on the unit sphere, each exact between the vertices
    of a coarse template and interpolated between them (Nystrom's method). The functions are the same on every level.
    """
    parts = []
    for anchor_level, length, variance in _SCALES:
        anchors, vertices = icosphere(anchor_level).vertices, icosphere(level).vertices
        factor = np.linalg.cholesky(_covariance(anchors, anchors, length) + _JITTER * np.eye(len(anchors)))
        parts.append(math.sqrt(variance) * np.linalg.solve(factor, _covariance(anchors, vertices, length)).T)
    return np.concatenate(parts, axis=1)


@lru_cache(maxsize=4)
def local_weights(level: int) -> FloatArray:
    """The pseudo-inverse (m, V) of `local_basis`: weights of the functions that come closest to a field."""
    return np.asarray(np.linalg.pinv(local_basis(level), rcond=_LEAST))


def _covariance(a: FloatArray, b: FloatArray, length: float) -> FloatArray:
    """Gaussian of the distance between unit vectors (N, 3) and (M, 3), (N, M)."""
    return np.asarray(np.exp(-np.maximum(1 - a @ b.T, 0.0) / length**2))
