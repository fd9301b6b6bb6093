"""Dense linear algebra on numpy arrays by torch.

numpy and torch bring threads of their own, and those that wait for work spin: side by side on two cores, a fit took
three times as long as on one. What is large goes through torch's threads only.
"""

from __future__ import annotations

import numpy as np
import torch

from dals.geometry.mesh import FloatArray


def product(a: FloatArray, b: FloatArray) -> FloatArray:
    """Product of matrices (N, K) and (K, M)."""
    return np.asarray((torch.from_numpy(a) @ torch.from_numpy(b)).numpy())


def solve_positive(matrix: FloatArray, values: FloatArray) -> FloatArray:
    """Solution (N,) of a symmetric positive definite system (N, N) with right-hand side (N,)."""
    factor = torch.linalg.cholesky(torch.from_numpy(matrix))
    return np.asarray(torch.cholesky_solve(torch.from_numpy(values)[:, None], factor)[:, 0].numpy())
