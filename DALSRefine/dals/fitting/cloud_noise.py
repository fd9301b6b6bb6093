"""How noisy points on a surface are, from the points alone."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dals.geometry.mesh import FloatArray

_FEWEST = 500
"""Of fewer points, the curvature of the organ between neighbours looks like noise."""
_NEIGHBOURS, _TERMS = 20, 6
_PATCHES = 400


def cloud_noise(points: FloatArray) -> float:
    """Standard deviation of points (N, 3) across the surface that they lie on, in their unit.

    Each point's neighbours are fitted by a quadratic height over their plane; what is left, over many patches, is
    noise. The median over patches passes over edges. 0 where points are too few to tell.
    """
    if len(points) < _FEWEST:
        return 0.0
    centres = points[np.linspace(0, len(points) - 1, _PATCHES).astype(int)]
    patches = points[cKDTree(points).query(centres, k=_NEIGHBOURS)[1]]
    patches = patches - patches.mean(axis=1, keepdims=True)
    axes = np.linalg.svd(patches, full_matrices=False)[2]
    u, v, height = np.moveaxis(np.einsum("pnd,pkd->pnk", patches, axes), 2, 0)
    scale = np.maximum(np.abs(u).max(axis=1, keepdims=True), 1e-12)
    u, v = u / scale, v / scale
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)
    fitted = terms @ np.linalg.pinv(terms) @ height[..., None]
    left = ((height - fitted[..., 0]) ** 2).sum(axis=1) / (_NEIGHBOURS - _TERMS)
    return float(np.sqrt(np.median(left)))
