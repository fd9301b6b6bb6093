"""Where a further contour helps most."""

from __future__ import annotations

import numpy as np
import pytest

from dals.errors import InputError
from dals.evaluation.next_plane import (
    DRAWING_MM,
    SAME_PLANE_MM,
    SPACING_MM,
    deviation_by_distance,
    suggested_plane,
)
from dals.geometry.mesh import TriangleMesh
from dals.model.template import icosphere
from dals.observations.contours import Plane

CENTRE = np.array([40.0, -30.0, 900.0])
RADII = np.array([90.0, 70.0, 60.0])


@pytest.fixture(scope="module")
def surface():
    template = icosphere(4)
    return np.asarray(template.vertices) * RADII + CENTRE, np.asarray(template.faces)


def plane(axis: int, position: float) -> Plane:
    origin = CENTRE.copy()
    origin[axis] = position
    return Plane(origin, np.eye(3)[axis])


def bump(vertices, place, *, width=25.0, height=8.0):
    return 0.2 + height * np.exp(-0.5 * (np.linalg.norm(vertices - place, axis=1) / width) ** 2)


def distance(found: Plane, place) -> float:
    return abs(float((np.asarray(place) - found.origin) @ found.normal))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_plane_goes_through_the_uncertain_place(surface, axis, side):
    vertices, faces = surface
    place = CENTRE + side * RADII * np.eye(3)[axis] * 0.95
    found = suggested_plane(vertices, faces, bump(vertices, place), [])
    assert distance(found, place) <= 15.0
    assert sorted(np.abs(found.normal)) == [0.0, 0.0, 1.0]
    inside = np.abs(found.origin - CENTRE) <= RADII
    assert inside.all(), "its origin is where the surface is"


def test_a_drawn_plane_is_not_suggested_again(surface):
    vertices, faces = surface
    deviation = np.full(len(vertices), 3.0)
    drawn: list[Plane] = []
    for _ in range(6):
        found = suggested_plane(vertices, faces, deviation, drawn)
        for other in drawn:
            if abs(float(found.normal @ other.normal)) > 0.9:
                assert abs(float((found.origin - other.origin) @ other.normal)) >= SAME_PLANE_MM
        drawn.append(found)


def test_where_everything_is_drawn_a_sentence_says_so(surface):
    vertices, faces = surface
    drawn = [
        plane(axis, position)
        for axis in range(3)
        for position in np.arange(CENTRE[axis] - RADII[axis], CENTRE[axis] + RADII[axis], SPACING_MM)
    ]
    with pytest.raises(InputError, match="drawn already"):
        suggested_plane(vertices, faces, np.ones(len(vertices)), drawn)


def test_the_gain_is_the_variance_that_observing_takes_away(surface):
    """Against the textbook formula, on all vertices, with the covariance written out."""
    from dals.evaluation import next_plane

    vertices, faces = surface
    vertices, faces = np.asarray(icosphere(3).vertices) * RADII + CENTRE, np.asarray(icosphere(3).faces)
    deviation = bump(vertices, CENTRE + np.array([60.0, 30.0, 0.0]))
    field = next_plane._ErrorField(vertices, faces, deviation, None, 30.0)
    edges, shares = next_plane._section(vertices, faces, vertices[:, 0] - (CENTRE[0] + 20.0))
    points = field.points_of(edges, shares)
    there = deviation[edges[:, 0]] + shares * (deviation[edges[:, 1]] - deviation[edges[:, 0]])

    def covariance(x, s, y, t):
        squared = ((x[:, None] - y[None]) ** 2).sum(axis=-1)
        return s[:, None] * t[None] * np.exp(-0.5 * squared / 30.0**2)

    across = covariance(vertices, deviation, points, there)
    noise = DRAWING_MM**2 * np.eye(len(points))
    inside = covariance(points, there, points, there) + noise
    left = covariance(vertices, deviation, vertices, deviation) - across @ np.linalg.inv(inside) @ across.T
    weights = TriangleMesh(vertices, faces).vertex_areas
    expected = (weights * (deviation**2 - np.diag(left))).sum() / weights.sum()
    assert field.gain(edges, shares) == pytest.approx(expected, rel=1e-9)
    assert (np.diag(left) > 0).all()
    assert weights.sum() == pytest.approx(0.5 * _double_areas(vertices, faces).sum())


def _double_areas(vertices, faces):
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    return np.linalg.norm(np.cross(b - a, c - a), axis=1)


def test_a_factor_of_the_covariance_takes_the_place_of_the_distance(surface):
    """Errors at opposite ends that are one error are observed at either, those of a bump in the middle are not."""
    vertices, faces = surface
    end = CENTRE + RADII * np.array([1.0, 0.0, 0.0])
    ends = bump(vertices, end, height=6.0) + bump(vertices, 2 * CENTRE - end, height=6.0)
    middle = bump(vertices, CENTRE + RADII * np.array([0.0, 0.0, 1.0]), height=7.0)
    factor = np.stack([ends, middle], axis=1)
    deviation = np.linalg.norm(factor, axis=1)
    near = suggested_plane(vertices, faces, deviation, [])
    far = suggested_plane(vertices, faces, deviation, [], factor=factor)
    assert distance(near, CENTRE + RADII * np.array([0.0, 0.0, 1.0])) < 15.0
    assert min(distance(far, end), distance(far, 2 * CENTRE - end)) < 30.0


def test_an_oblique_plane_is_no_worse(surface):
    from dals.evaluation import next_plane

    vertices, faces = surface
    deviation = bump(vertices, CENTRE + np.array([60.0, 45.0, 0.0]), width=18.0) + bump(
        vertices, CENTRE + np.array([-60.0, 0.0, 42.0])
    )
    straight = suggested_plane(vertices, faces, deviation, [])
    oblique = suggested_plane(vertices, faces, deviation, [], oblique=True)
    field = next_plane._ErrorField(vertices, faces, deviation, None, None)
    gains = [
        field.gain(*next_plane._section(vertices, faces, (vertices - found.origin) @ found.normal))
        for found in (straight, oblique)
    ]
    assert gains[1] > gains[0]


def test_far_from_everything_drawn_a_surface_is_a_guess(surface):
    vertices, _faces = surface
    drawn = CENTRE + np.array([[90.0, 0.0, 0.0], [88.0, 3.0, 0.0]])
    deviation = deviation_by_distance(vertices, drawn)
    assert deviation.argmax() == vertices[:, 0].argmin()
    assert deviation.min() < 5.0
