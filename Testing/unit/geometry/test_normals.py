"""Normals of a known ellipsoid."""

from __future__ import annotations

import numpy as np
from known_shapes import ellipsoid

from dals.geometry.normals import Normals

RADII = np.array([50.0, 40.0, 30.0])


def test_normals_point_outwards_at_right_angles() -> None:
    mesh = ellipsoid(tuple(RADII), (0.0, 0.0, 0.0), rings=40)
    found = Normals.of(mesh.vertices, mesh.faces)
    expected = mesh.vertices / RADII**2
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (found.vertices * expected).sum(axis=1).min() > 0.98
    np.testing.assert_allclose(np.linalg.norm(found.vertices, axis=1), 1.0)
    np.testing.assert_allclose(found.areas, mesh.face_areas)


def test_a_face_without_area_has_no_direction_and_does_no_harm() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]])
    found = Normals.of(vertices, np.array([[0, 1, 2], [0, 1, 3]]))
    np.testing.assert_allclose(found.vertices[:2], [[0, 0, 1], [0, 0, 1]])
    assert np.isfinite(found.faces).all()
    assert found.areas[1] == 0
