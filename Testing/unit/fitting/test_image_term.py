"""Edges along the normals."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import ellipse_contour, grid, inside_ellipsoid

from dals.fit_settings import FitSettings
from dals.fitting.image_term import ImageTerm
from dals.fitting.residuals import residual_term
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.template import icosphere
from dals.observations import PlanarContours

RADIUS, CENTRE = 60.0, np.array([20.0, -30.0, 40.0])
POSE = Pose(RADIUS, CENTRE)


def term(*, known: float = 1.0, trust: float = 1.0) -> ImageTerm:
    """Of a ball of which the image shows, by log-odds of 3 times `known`, that it is 3 mm larger than outlined."""
    where = grid((70, 70, 70), (2.0, 2.0, 2.0))
    inside = inside_ellipsoid(where, (RADIUS + 3,) * 3)
    odds = LogOdds(known * np.where(inside, 3.0, -3.0).astype(np.float32), where.ijk_to_ras)
    radii = (RADIUS,) * 3
    contours = PlanarContours(tuple(ellipse_contour(axis, radii=radii) for axis in range(3)))
    drawn = residual_term(contours, FitSettings())
    assert drawn is not None
    return ImageTerm(drawn, odds, trust=trust)


def residuals(image: ImageTerm, vertices: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Values and weights of the image's residuals, and the positions that they belong to."""
    faces = icosphere(3).faces
    found = image(vertices, faces, POSE)
    count = len(icosphere(3).vertices)
    return found.values[-count:], found.weights[-count:], found.at_places(vertices, faces)[-count:]


def test_vertices_are_drawn_to_the_edge() -> None:
    vertices = icosphere(3).vertices
    values, weights, places = residuals(term(), vertices)
    assert values * RADIUS == pytest.approx(3.0, abs=1.5)
    assert values.mean() * RADIUS == pytest.approx(3.0, abs=0.5)
    assert np.allclose(places, vertices)
    assert (weights > 0).all()
    values, _, _ = residuals(term(), 1.08 * vertices)
    assert values * RADIUS == pytest.approx(-1.8, abs=1.5)


def test_what_is_not_known_does_not_count() -> None:
    clear, vague = (residuals(term(known=known), icosphere(3).vertices) for known in (1.0, 0.02))
    values, weights, _ = residuals(term(known=0.0), icosphere(3).vertices)
    assert np.abs(values).max() * RADIUS < 0.2
    assert weights.max() < 0.02 * clear[1].min()
    assert vague[1].max() < clear[1].min()


def test_trust_weighs_the_image_and_not_the_curves() -> None:
    vertices, faces = icosphere(3).vertices, icosphere(3).faces
    whole, half = (term(trust=trust)(vertices, faces, POSE).weights for trust in (1.0, 0.5))
    count = len(vertices)
    assert np.allclose(half[-count:], 0.5 * whole[-count:])
    assert np.array_equal(half[:-count], whole[:-count])
    drawn = term().drawn
    assert len(drawn(vertices, faces, POSE).values) == len(whole) - count
    finished = [one.finished(vertices, 3, POSE).vertices for one in (term(), drawn)]
    assert np.array_equal(*finished)
