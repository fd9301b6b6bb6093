from __future__ import annotations

import numpy as np
import pytest

from dals.geometry.closest_points import closest_on_triangles


def test_no_point_of_a_triangle_is_closer() -> None:
    rng = np.random.default_rng(3)
    triangles, points = rng.normal(size=(200, 3, 3)), 2 * rng.normal(size=(200, 3))
    weights = closest_on_triangles(points, triangles)
    assert weights.min() >= 0
    assert np.allclose(weights.sum(axis=1), 1)
    found = np.linalg.norm(np.einsum("nk,nkd->nd", weights, triangles) - points, axis=1)
    grid = [(i / 60, j / 60, 1 - i / 60 - j / 60) for i in range(61) for j in range(61 - i)]
    sampled = np.einsum("gk,nkd->gnd", np.array(grid), triangles)
    least = np.linalg.norm(sampled - points, axis=2).min(axis=0)
    assert (found <= least + 1e-12).all()
    assert (found >= least - 0.15).all()


@pytest.mark.parametrize(
    ("point", "weights"),
    [
        ((0.2, 0.3, 5.0), (0.5, 0.2, 0.3)),  # above the inside
        ((-1.0, -1.0, 0.0), (1.0, 0.0, 0.0)),  # beyond a corner
        ((0.4, -2.0, 1.0), (0.6, 0.4, 0.0)),  # beyond an edge
    ],
)
def test_inside_corner_and_edge(point: tuple[float, ...], weights: tuple[float, ...]) -> None:
    triangle = np.array([[(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]])
    assert np.allclose(closest_on_triangles(np.array([point]), triangle), [weights])


def test_a_triangle_without_area_is_its_longest_edge() -> None:
    triangle = np.array([[(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (4.0, 0.0, 0.0)]])
    weights = closest_on_triangles(np.array([[3.0, 1.0, 0.0]]), triangle)
    assert np.allclose(np.einsum("nk,nkd->nd", weights, triangle), [[3.0, 0.0, 0.0]])
