from __future__ import annotations

import numpy as np
import pytest
from fitting.test_plane_residuals import BALL, POSE, circle, term

from dals.fitting.curve_correction import corrected


def test_a_surface_is_moved_onto_the_contours_and_stays_elsewhere() -> None:
    contours = term(circle(103, 0), circle(103, 2))
    vertices = corrected(BALL.vertices, BALL.faces, contours, POSE)
    residuals = contours(vertices, BALL.faces, POSE)
    assert np.abs(residuals.values).mean() < 0.004
    radii = np.linalg.norm(vertices, axis=1)
    from_planes = np.abs(BALL.vertices[:, [0, 2]]).min(axis=1)
    assert radii[from_planes < 0.03] == pytest.approx(1.03, abs=0.01)
    assert radii[from_planes > 0.3] == pytest.approx(1.0, abs=1e-3)


def test_what_is_far_off_is_left_to_the_prior() -> None:
    vertices = corrected(BALL.vertices, BALL.faces, term(circle(130, 0)), POSE)
    assert np.allclose(vertices, BALL.vertices, atol=1e-9)


def test_a_surface_on_the_contours_stays() -> None:
    vertices = corrected(BALL.vertices, BALL.faces, term(circle(100, 0), circle(100, 1)), POSE)
    assert np.abs(vertices - BALL.vertices).max() < 2e-3
