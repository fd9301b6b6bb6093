"""Laplace's approximation of a fitted surface, against what can be computed without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dals.fit_settings import FitSettings
from dals.fitting import FitState
from dals.fitting.plane_region import PlaneRegion
from dals.fitting.plane_residuals import PlaneResiduals
from dals.fitting.precise_decoder import PreciseDecoder
from dals.fitting.residuals import Residuals
from dals.fitting.surface_posterior import surface_posterior
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours

LEVEL = 3
POSE = Pose(100.0, np.array([5.0, 6.0, 7.0]))
STIFF = PlanarContours.defaults.changed(lambda_dir=1e9)
"""No local latents to speak of."""


def fitted(prior: ShapePrior) -> tuple[FitState, FloatArray]:
    """The mean shape, as if it had been fitted."""
    template = icosphere(LEVEL)
    vertices = prior.mean_shape(template).cpu().double().numpy()
    return FitState(POSE, prior.latent_mean.cpu().numpy(), None, LEVEL), vertices


def residuals_on_planes(vertices: FloatArray, count: int) -> Residuals:
    faces = icosphere(LEVEL).faces
    mesh = TriangleMesh(POSE.to_patient(vertices), faces)
    regions = []
    for axis in range(count):
        loop = max(section_loops(mesh, mesh.vertices.mean(axis=0), np.eye(3)[axis]), key=len)
        regions.append(PlaneRegion.of_contours([Contour(loop)], spacing_mm=4))
    return PlaneResiduals(regions, weight=30.0, robust_scale=0.1)(vertices, faces, POSE)


def deviations(prior: ShapePrior, residuals: Residuals, settings: FitSettings, *, known: bool = True) -> FloatArray:
    state, vertices = fitted(prior)
    covariance = surface_posterior(prior, state, vertices, residuals, settings, known=known, level=LEVEL)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
    return np.sqrt(np.diag(covariance))


def test_without_evidence_it_is_the_spread_of_the_prior(ellipsoid_prior: ShapePrior) -> None:
    _, vertices = fitted(ellipsoid_prior)
    observed = residuals_on_planes(vertices, 1)
    unheard = replace(observed, weights=np.full(len(observed.weights), 1e-9))
    found = deviations(ellipsoid_prior, unheard, STIFF)
    decoder, rng = PreciseDecoder(ellipsoid_prior), np.random.default_rng(0)
    small = 1e-2  # the decoder is linear there
    moved = [decoder.vertices(small * rng.normal(size=(1, decoder.size)), LEVEL) - vertices for _ in range(2_000)]
    along = np.einsum("nvd,vd->nv", np.array(moved), observed.vertex_normals) / small
    np.testing.assert_allclose(found, along.std(axis=0), rtol=0.12, atol=1e-4)


def test_more_planes_leave_less_open(ellipsoid_prior: ShapePrior) -> None:
    _, vertices = fitted(ellipsoid_prior)
    settings = PlanarContours.defaults
    one, three = (deviations(ellipsoid_prior, residuals_on_planes(vertices, n), settings, known=False) for n in (1, 3))
    assert (three < one + 1e-9).all()
    assert three.mean() < 0.7 * one.mean()


def test_it_is_least_where_something_was_drawn(ellipsoid_prior: ShapePrior) -> None:
    _, vertices = fitted(ellipsoid_prior)
    found = deviations(ellipsoid_prior, residuals_on_planes(vertices, 3), PlanarContours.defaults)
    planes_away = np.abs(vertices - vertices.mean(axis=0)).min(axis=1)
    near, far = planes_away < 0.05, planes_away > np.quantile(planes_away, 0.9)
    assert found[far].mean() > 1.5 * found[near].mean()


def test_an_unknown_pose_adds_to_it(ellipsoid_prior: ShapePrior) -> None:
    _, vertices = fitted(ellipsoid_prior)
    observed = residuals_on_planes(vertices, 2)
    known, unknown = (
        deviations(ellipsoid_prior, observed, PlanarContours.defaults, known=known) for known in (True, False)
    )
    assert unknown.mean() > known.mean()


def test_thinned_residuals_count_as_much_as_all_of_them(ellipsoid_prior: ShapePrior) -> None:
    _, vertices = fitted(ellipsoid_prior)
    few = residuals_on_planes(vertices, 2)
    many = replace(
        few,
        **{name: np.repeat(getattr(few, name), 8, axis=0) for name in ("faces", "barycentric", "values")},
        weights=np.repeat(few.weights / 8, 8),
    )
    assert len(many.values) > 2_000
    once, thinned = (deviations(ellipsoid_prior, one, PlanarContours.defaults) for one in (few, many))
    assert thinned.mean() == pytest.approx(once.mean(), rel=0.05)
