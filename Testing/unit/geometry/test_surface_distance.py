"""Distances of points from a surface, against shapes whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import ellipsoid

from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import signed_distances, surface_distances

CENTRE = np.array([20.0, -30.0, 40.0])


@pytest.fixture(scope="module")
def mesh() -> TriangleMesh:
    return ellipsoid()


def test_distances_from_a_surface(mesh: TriangleMesh) -> None:
    points = CENTRE + np.array([[70.0, 0, 0], [0, 40.0, 0], [0, 0, -35.0], [0, 0, 0]])
    np.testing.assert_allclose(surface_distances(points, mesh), [10, 5, 0, 35], atol=0.1)


def test_distances_are_negative_inside(mesh: TriangleMesh) -> None:
    points = CENTRE + np.array([[70.0, 0, 0], [50.0, 0, 0]])
    np.testing.assert_allclose(signed_distances(points, mesh), [10, -10], atol=0.1)


def test_the_sign_does_not_depend_on_the_faces_orientation(mesh: TriangleMesh) -> None:
    inverted = TriangleMesh(mesh.vertices, mesh.faces[:, ::-1])
    points = CENTRE + np.array([[70.0, 0, 0], [50.0, 0, 0]])
    np.testing.assert_allclose(signed_distances(points, inverted), signed_distances(points, mesh))
