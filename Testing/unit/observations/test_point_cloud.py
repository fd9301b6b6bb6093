from __future__ import annotations

import numpy as np
import pytest

from dals.errors import InputError
from dals.observations.point_cloud import PointCloud


def _slab(thickness: float, *, count: int = 300) -> np.ndarray:
    """Points (N, 3) within 100 x 60 mm and some thickness, lying askew far from the origin."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (count, 3)) * [100, 60, thickness]
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    return points @ axes.T + [200, -300, 900]


@pytest.mark.parametrize("points", [_slab(0.0), _slab(0.8), _slab(0.0, count=3), _slab(0.0) / 1000])
def test_points_on_one_plane_are_refused(points: np.ndarray) -> None:
    with pytest.raises(InputError, match="on one plane"):
        PointCloud(points)


def test_points_on_one_line_are_refused() -> None:
    with pytest.raises(InputError, match="on one plane"):
        PointCloud(np.outer(np.arange(20.0), [1, 2, 3]))


@pytest.mark.parametrize("points", [_slab(3.0), _slab(60.0, count=4), _slab(3.0) / 1000])
def test_points_off_the_plane_are_taken(points: np.ndarray) -> None:
    np.testing.assert_array_equal(PointCloud(points).points, points)
