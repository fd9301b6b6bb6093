"""Signed distances from a surface."""

from __future__ import annotations

import numpy as np
from known_shapes import ellipsoid

from dals.appearance.nearness import Nearness
from dals.geometry.surface_distance import signed_distances


def test_distances_and_normals_are_those_of_the_surface() -> None:
    mesh = ellipsoid()
    rng = np.random.default_rng(0)
    points = mesh.vertices[rng.integers(len(mesh.vertices), size=400)] + rng.normal(0, 6, (400, 3))
    distances, normals = Nearness(mesh)(points)
    assert np.abs(distances - signed_distances(points, mesh)).max() < 1.0
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    outwards = ((points - (20.0, -30.0, 40.0)) / np.square((60.0, 45.0, 35.0)) * normals).sum(axis=1)
    assert (outwards > 0).all()
