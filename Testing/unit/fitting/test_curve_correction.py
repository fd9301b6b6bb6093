from __future__ import annotations

import numpy as np
import pytest
from fitting.test_plane_residuals import BALL, POSE, circle, term

from dals.evaluation.metrics import self_intersection_percentage
from dals.fitting import curve_correction
from dals.fitting.curve_correction import FAR, corrected
from dals.fitting.plane_region import PlaneRegion
from dals.fitting.plane_residuals import PlaneResiduals
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.pose import Pose
from dals.observations import Contour


def test_a_surface_is_moved_onto_the_contours_and_stays_elsewhere() -> None:
    contours = term(circle(103, 0), circle(103, 2))
    vertices = corrected(BALL.vertices, BALL.faces, contours, POSE, far=FAR)
    residuals = contours(vertices, BALL.faces, POSE)
    assert np.abs(residuals.values).mean() < 0.004
    radii = np.linalg.norm(vertices, axis=1)
    from_planes = np.abs(BALL.vertices[:, [0, 2]]).min(axis=1)
    assert radii[from_planes < 0.03] == pytest.approx(1.03, abs=0.01)
    assert radii[from_planes > 0.3] == pytest.approx(1.0, abs=1e-3)


def test_what_is_far_off_is_left_to_the_prior() -> None:
    vertices = corrected(BALL.vertices, BALL.faces, term(circle(130, 0)), POSE, far=FAR)
    assert np.allclose(vertices, BALL.vertices, atol=1e-9)


def test_a_surface_on_the_contours_stays() -> None:
    vertices = corrected(BALL.vertices, BALL.faces, term(circle(100, 0), circle(100, 1)), POSE, far=FAR)
    assert np.abs(vertices - BALL.vertices).max() < 2e-3


def test_the_finished_surface_is_finer_and_follows_a_thin_tip() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = 100 + 12 * np.exp(-((angle - np.pi) ** 2) / (2 * 0.03**2))
    spike = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros_like(angle)], axis=1)
    contours = term(Contour(spike + POSE.translation))
    finished = contours.finished(BALL.vertices, 4, POSE)
    assert len(finished.vertices) == 4 * len(BALL.vertices) - 6
    coarse = corrected(BALL.vertices, BALL.faces, contours, POSE, far=FAR)

    def off(vertices: FloatArray, faces: IntArray) -> float:
        return float(surface_distances(spike, TriangleMesh(vertices * POSE.scale, faces)).max())

    assert off(finished.vertices, finished.faces) < 0.8 * off(coarse, BALL.faces)


def test_a_small_organ_is_not_followed_closer_than_a_hand_draws() -> None:
    small = Pose(15.0, POSE.translation)
    points = circle(100, 2).points - POSE.translation
    shaken = points * (0.15 + 0.003 * np.random.default_rng(3).normal(size=(len(points), 1)))
    contours = PlaneResiduals(
        [PlaneRegion.of_contours([Contour(shaken + POSE.translation)], spacing_mm=1)], weight=30.0, robust_scale=np.inf
    )
    finished = contours.finished(BALL.vertices, 4, small)
    coarse = corrected(BALL.vertices, BALL.faces, contours, small, far=FAR)
    assert len(finished.vertices) == 4 * len(BALL.vertices) - 6
    assert np.array_equal(finished.vertices[: len(coarse)], coarse)


def test_clicks_that_contradict_each_other_by_a_tremor_make_no_steps_in_a_small_organ() -> None:
    small = Pose(15.0, POSE.translation)
    points = {axis: circle(100, axis).points - POSE.translation for axis in (0, 2)}
    drawn = [Contour(points[axis] * radius / 100 + POSE.translation) for axis, radius in ((0, 15.0), (2, 15.5))]
    regions = [PlaneRegion.of_contours([contour], spacing_mm=1) for contour in drawn]

    def step(*, by_hand: bool) -> float:
        contours = PlaneResiduals(regions, weight=30.0, robust_scale=np.inf, by_hand=by_hand)
        finished = contours.finished(BALL.vertices, 4, small)
        radii = np.linalg.norm(finished.vertices, axis=1)
        return float(np.abs(np.diff(radii[finished.faces], axis=1)).max())

    assert step(by_hand=True) < 0.75 * step(by_hand=False)


def test_the_sheets_of_a_thin_part_seldom_pass_through_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("igl")
    plate, angle = BALL.vertices * [1.0, 1.0, 0.08], np.linspace(0, 2 * np.pi, 600, endpoint=False)

    def outline(axis: int, height: float) -> Contour:
        points = np.zeros((600, 3))
        points[:, axis], points[:, 2] = 100 * np.cos(angle), 8 * np.sin(angle) + height
        return Contour(points + POSE.translation)

    def folded() -> float:
        contours = term(outline(0, 8.0), outline(1, -8.0))  # they contradict each other
        return self_intersection_percentage(
            TriangleMesh(corrected(plate, BALL.faces, contours, POSE, far=FAR), BALL.faces)
        )

    in_steps = folded()
    monkeypatch.setattr(curve_correction, "_STEP", np.inf)
    assert in_steps < 0.5 * folded()
