import numpy as np

from dals.geometry.transforms import apply_matrix

MATRIX = np.array([[0.0, -2, 0, 10], [1, 0, 0, -5], [0, 0, 3, 7], [0, 0, 0, 1]])


def test_points_are_turned_scaled_and_shifted() -> None:
    np.testing.assert_array_equal(apply_matrix(MATRIX, [[1, 2, 3], [0, 0, 0]]), [[6, -4, 16], [10, -5, 7]])
    np.testing.assert_array_equal(apply_matrix(MATRIX, [1, 2, 3]), [6, -4, 16])


def test_the_inverse_leads_back() -> None:
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(apply_matrix(np.linalg.inv(MATRIX), apply_matrix(MATRIX, points)), points, atol=1e-12)
