"""The prior's surface at a dense boundary: ellipsoids, some of them with errors."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import ellipsoid
from scipy.spatial.transform import Rotation

from dals.evaluation.metrics import sample_points
from dals.fitting.surface_regression import STAGES, Boundary, SurfaceFit, regress
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.prior import ShapePrior

RADII, CENTRE = np.array([95.0, 75.0, 60.0]), np.array([20.0, -30.0, 40.0])


def boundary(count: int = 8_000) -> FloatArray:
    return sample_points(ellipsoid(tuple(RADII), tuple(CENTRE), rings=40), count, np.random.default_rng(0))


def fitted(prior: ShapePrior, points: FloatArray, weights: FloatArray | None = None, **options) -> SurfaceFit:
    known = np.ones(len(points)) if weights is None else weights
    bounds = (points.min(axis=0), points.max(axis=0))
    return regress(prior.shape_space, Boundary(points, known), bounds, **options)


def off(fit: SurfaceFit) -> FloatArray:
    """About the distance of the fitted vertices from the ellipsoid, mm."""
    away = fit.skeleton - CENTRE
    level = np.linalg.norm(away / RADII, axis=1)
    return np.abs(level * (level - 1) / np.linalg.norm(away / RADII**2, axis=1))


def test_a_shape_of_the_prior_is_found(ellipsoid_prior: ShapePrior) -> None:
    fit = fitted(ellipsoid_prior, boundary())
    assert off(fit).mean() < 0.5
    assert off(fit).max() < 2.0
    assert fit.steps == sum(stage.steps for stage in STAGES)
    assert 0.05 < fit.deviations.mean() < 3.0


def test_a_turned_organ_is_found(ellipsoid_prior: ShapePrior) -> None:
    turn = Rotation.from_euler("xyz", [8.0, -6.0, 10.0], degrees=True).as_matrix()
    fit = fitted(ellipsoid_prior, (boundary() - CENTRE) @ turn.T + CENTRE)
    away = ((fit.skeleton - CENTRE) @ turn) / RADII
    assert np.abs(np.linalg.norm(away, axis=1) - 1).mean() < 0.02


def test_a_dent_does_not_pull_the_surface_in(ellipsoid_prior: ShapePrior) -> None:
    points = boundary()
    top = CENTRE + np.array([0.0, 0.0, RADII[2]])
    near = np.linalg.norm(points - top, axis=1) < 20
    points[near, 2] -= 20 - 0.5 * np.linalg.norm(points[near] - top, axis=1)
    fit = fitted(ellipsoid_prior, points)
    there = np.linalg.norm(fit.skeleton - top, axis=1) < 15
    assert off(fit)[there].mean() < 4.0
    left_out = fitted(ellipsoid_prior, points, np.where(near, 0.0, 1.0), start=fit)
    assert off(left_out)[there].mean() < off(fit)[there].mean()
    assert left_out.deviations[there].mean() > fit.deviations[~there].mean()


def test_where_nothing_is_known_it_is_less_certain(ellipsoid_prior: ShapePrior) -> None:
    points = boundary()
    fit = fitted(ellipsoid_prior, points, (points[:, 2] > CENTRE[2] - 20).astype(float))
    unknown = fit.skeleton[:, 2] < CENTRE[2] - 40
    assert fit.deviations[unknown].mean() > 1.5 * fit.deviations[fit.skeleton[:, 2] > CENTRE[2]].mean()


def test_a_known_pose_is_kept(ellipsoid_prior: ShapePrior) -> None:
    pose = Pose(110.0, CENTRE + 3.0)
    fit = fitted(ellipsoid_prior, boundary(), known=pose)
    assert fit.pose.scale == pytest.approx(110.0, rel=1e-4)
    np.testing.assert_allclose(fit.pose.translation, pose.translation, atol=1e-2)


def test_the_same_boundary_gives_the_same_surface(ellipsoid_prior: ShapePrior) -> None:
    first, second = (fitted(ellipsoid_prior, boundary()) for _ in range(2))
    np.testing.assert_array_equal(first.skeleton, second.skeleton)
