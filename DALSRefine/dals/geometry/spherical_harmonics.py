"""Real spherical harmonics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, lpmv

from dals.geometry.mesh import FloatArray


def spherical_harmonics(directions: FloatArray, degree: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """All real spherical harmonics up to a degree, each with mean square 1 over the sphere.

    Parameters
    ----------
    directions : (N, 3)
        Unit vectors.
    degree : int
        The highest.

    Returns
    -------
    (N, (degree + 1)^2) float64
        Their values.
    ((degree + 1)^2,) int64
        Their degrees, ascending.
    """
    cosine, azimuth = np.clip(directions[:, 2], -1, 1), np.arctan2(directions[:, 1], directions[:, 0])
    columns, degrees = [], []
    for n in range(degree + 1):
        for m in range(-n, n + 1):
            k = abs(m)
            norm = np.sqrt((2 * n + 1) * np.exp(gammaln(n - k + 1) - gammaln(n + k + 1)) * (1 if m == 0 else 2))
            wave = np.cos(k * azimuth) if m >= 0 else np.sin(k * azimuth)
            columns.append(norm * lpmv(k, n, cosine) * wave)
            degrees.append(n)
    return np.stack(columns, axis=1), np.array(degrees, dtype=np.int64)
