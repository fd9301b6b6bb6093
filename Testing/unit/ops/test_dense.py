from __future__ import annotations

import numpy as np

from dals.ops.dense import product, solve_positive


def test_products_and_solutions_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 7)), rng.normal(size=(7, 20))
    assert np.allclose(product(a, b), a @ b, rtol=1e-13)
    assert np.allclose(product(a, a.T), a @ a.T, rtol=1e-13)  # views, too
    matrix, values = a.T @ a + np.eye(7), rng.normal(size=7)
    assert np.allclose(matrix @ solve_positive(matrix, values), values, atol=1e-12)
    assert product(a, b).dtype == np.float64
