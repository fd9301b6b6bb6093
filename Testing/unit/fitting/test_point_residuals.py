"""Points as residuals along normals, and the last correction onto them."""

from __future__ import annotations

import numpy as np
import pytest

from dals.fitting.cloud_noise import cloud_noise
from dals.fitting.data_term import organ_bounds
from dals.fitting.point_correction import onto_points
from dals.fitting.point_residuals import PointResiduals, spread_out
from dals.fitting.surface_places import Surface
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.template import icosphere
from dals.observations import PointCloud
from dals.observations.lonely_points import sociability, sociable

POSE = Pose(100.0, np.array([5.0, 6.0, 7.0]))
BALL = icosphere(4)


def directions(count: int, seed: int = 0) -> FloatArray:
    drawn = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def ellipsoid(unit: FloatArray) -> FloatArray:
    return unit * [1.06, 1.0, 0.95]


def off_the_ellipsoid(points: FloatArray) -> FloatArray:
    """Distance from the ellipsoid, to first order."""
    squared = (points / [1.06, 1.0, 0.95]) ** 2
    gradient = np.linalg.norm(2 * points / np.array([1.06, 1.0, 0.95]) ** 2, axis=1)
    return np.asarray((squared.sum(axis=1) - 1) / gradient)


def test_closest_places_are_those_of_all_faces() -> None:
    ball = icosphere(2)
    surface = Surface.of(ellipsoid(ball.vertices), ball.faces)
    points = directions(60, seed=1) * np.linspace(0.7, 1.4, 60)[:, None]
    met, barycentric, distances = surface.closest(points)
    found = np.linalg.norm(np.einsum("nk,nkd->nd", barycentric, surface.corners[met]) - points, axis=1)
    weights = np.random.default_rng(2).dirichlet(np.ones(3), size=400)
    dense = np.einsum("wk,fkd->wfd", weights, surface.corners).reshape(-1, 3)
    least = np.linalg.norm(points[:, None] - dense, axis=2).min(axis=1)
    assert (found <= least + 1e-12).all()
    assert (np.sign(distances) == np.sign(np.linspace(0.7, 1.4, 60) - 1))[[0, 1, 2, -3, -2, -1]].all()


@pytest.mark.parametrize("radius", [103.0, 98.0])
def test_a_ball_has_to_grow_or_shrink_to_the_points(radius: float) -> None:
    term = PointResiduals(POSE.translation + radius * directions(3_000), weight=40.0, robust_scale=np.inf)
    residuals = term(BALL.vertices, BALL.faces, POSE)
    value = radius / 100 - 1
    assert np.allclose(residuals.values, value, atol=4e-3)
    assert residuals.weights.sum() == pytest.approx(40.0, rel=0.1)
    assert residuals.loss == pytest.approx(40 * value**2, rel=0.25)


def test_strays_hardly_count() -> None:
    """Points far from the surface, alone or among others that lie on it, and in the first steps, too."""
    strays = directions(60, seed=9) * np.linspace(1.3, 1.8, 60)[:, None]
    points = POSE.translation + 100 * np.concatenate([directions(740), strays])
    term = PointResiduals(points, weight=40.0, robust_scale=np.inf, sociability=sociability(points))
    for one, most in ((term, 0.01), (term.of_trials(), 0.25)):
        weights = one(BALL.vertices, BALL.faces, POSE).weights[:800]
        assert weights[-60:].mean() < most * weights[:740].mean()


def test_points_that_are_there_several_times_make_no_others_lonely() -> None:
    points = directions(400)
    several = np.concatenate([points, np.repeat(points[:100], 6, axis=0)])
    assert sociable(sociability(several)).all()
    assert not sociable(sociability(np.concatenate([several, [[3.0, 0.0, 0.0]]])))[-1]


def test_a_lobe_of_the_points_counts() -> None:
    """Points that agree with each other are shape, however far the surface is."""
    unit = directions(800)
    lobe = unit[:, 0] > 0.8
    points = unit * np.where(lobe, 1.1, 1.0)[:, None]
    weights = PointResiduals(100 * points, weight=40.0, robust_scale=np.inf)(
        BALL.vertices, BALL.faces, Pose(100.0, np.zeros(3))
    ).weights[:800]
    assert np.median(weights[lobe]) > 0.4 * np.median(weights[~lobe])


def test_a_stray_a_metre_away_does_not_size_the_organ() -> None:
    cloud = PointCloud(np.concatenate([100 * directions(300), [[1_000.0, 0.0, 0.0]]]))
    low, high = organ_bounds(cloud)
    assert np.abs(low + 100).max() < 5
    assert np.abs(high - 100).max() < 5


def test_a_part_without_points_is_forgiven() -> None:
    shown = directions(3_000)
    shown = shown[shown[:, 2] > 0]
    term = PointResiduals(POSE.translation + 100 * shown, weight=40.0, robust_scale=0.1)
    residuals = term(BALL.vertices, BALL.faces, POSE)
    hidden = residuals.at_places(BALL.vertices, BALL.faces)[:, 2] < -0.5
    assert residuals.weights[hidden].sum() < 0.001 * residuals.weights.sum()
    assert residuals.loss < 0.02


def test_many_points_are_thinned_out_reproducibly_and_evenly() -> None:
    chosen = spread_out(10_000, 800)
    assert len(np.unique(chosen)) == 800
    assert np.array_equal(chosen, spread_out(10_000, 800))
    assert np.abs(np.histogram(chosen, bins=8)[0] - 100).max() < 40
    assert np.array_equal(spread_out(5, 800), np.arange(5))


def test_a_surface_ends_on_exact_points() -> None:
    moved = onto_points(BALL.vertices, BALL.level, ellipsoid(directions(2_000))).vertices
    assert len(moved) == 4 * len(BALL.vertices) - 6
    assert np.abs(off_the_ellipsoid(BALL.vertices)).mean() > 0.02
    assert np.abs(off_the_ellipsoid(moved)).mean() < 1e-3


def test_noise_is_not_followed() -> None:
    noisy = ellipsoid(directions(2_000)) + np.random.default_rng(5).normal(scale=0.03, size=(2_000, 3))
    moved = onto_points(BALL.vertices, BALL.level, noisy).vertices
    left = np.sqrt((off_the_ellipsoid(moved) ** 2).mean())
    assert left < 0.01
    assert left < 0.5 * np.sqrt((off_the_ellipsoid(BALL.vertices) ** 2).mean())


def test_points_far_away_are_left_alone() -> None:
    outlier = np.concatenate([directions(500), [[0.0, 0.0, 1.5]]])
    moved = onto_points(BALL.vertices, BALL.level, outlier).vertices
    assert np.linalg.norm(moved, axis=1).max() < 1.01


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.06])
def test_noise_is_estimated_from_the_points(noise: float) -> None:
    points = ellipsoid(directions(2_500)) + np.random.default_rng(6).normal(scale=noise, size=(2_500, 3))
    assert cloud_noise(points) == pytest.approx(noise, rel=0.2)


def test_exact_points_have_hardly_any_noise_and_few_points_none() -> None:
    assert cloud_noise(ellipsoid(directions(2_500))) < 0.002
    assert cloud_noise(directions(400) * np.random.default_rng(7).uniform(0.5, 1.5, (400, 1))) == 0.0
