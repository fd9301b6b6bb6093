"""The linear space of a prior's training shapes: the ellipsoids of the test prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dals.geometry.mesh import FloatArray
from dals.model.prior import ShapePrior
from dals.model.shape_space import LEVEL, PREFIX, ShapeSpace
from dals.model.template import icosphere


def _decoded(prior: ShapePrior) -> FloatArray:
    with torch.no_grad():
        return prior.decoder(prior.latents[:, None], prior.sphere(icosphere(LEVEL))).double().numpy()


def test_training_shapes_lie_in_it(ellipsoid_prior: ShapePrior) -> None:
    space = ellipsoid_prior.shape_space
    away = _decoded(ellipsoid_prior) - space.mean
    modes = space.modes.reshape(-1, space.modes.shape[2]).astype(np.float64)
    scores = np.linalg.lstsq(modes, away.reshape(len(away), -1).T, rcond=None)[0]
    assert np.abs(modes @ scores - away.reshape(len(away), -1).T).max() < 5e-3
    np.testing.assert_allclose(scores.std(axis=1, ddof=1), 1.0, rtol=1e-2)


def test_coefficients_have_a_latent(ellipsoid_prior: ShapePrior) -> None:
    space = ellipsoid_prior.shape_space
    coefficients = np.zeros(space.modes.shape[2])
    np.testing.assert_allclose(space.latent(coefficients), ellipsoid_prior.latents.mean(dim=0).numpy(), atol=1e-5)
    coefficients[0] = 1.0
    with torch.no_grad():
        decoded = ellipsoid_prior.decoder(
            torch.from_numpy(space.latent(coefficients))[None], ellipsoid_prior.sphere(icosphere(LEVEL))
        )
    linear = space.mean + space.modes[:, :, 0]
    assert (
        np.linalg.norm(decoded.numpy() - linear, axis=1).mean()
        < 0.3 * np.linalg.norm(space.modes[:, :, 0], axis=1).mean()
    )


def test_it_is_made_once(ellipsoid_prior: ShapePrior) -> None:
    prior = replace(ellipsoid_prior)
    assert prior.shape_space is prior.shape_space


def test_a_packed_one_is_the_same(ellipsoid_prior: ShapePrior) -> None:
    space = ellipsoid_prior.shape_space
    packed = space.packed()
    again = ShapeSpace.unpacked(packed)
    for name in ("mean", "modes", "latent_mean", "latent_modes"):
        np.testing.assert_allclose(getattr(again, name), getattr(space, name), rtol=1e-6, atol=0)
    assert packed[f"{PREFIX}modes"].dtype == torch.int8
    assert all(
        torch.equal(packed[name], tensor) or tensor.is_floating_point() for name, tensor in again.packed().items()
    )


def test_rounding_is_finer_than_voxels(ellipsoid_prior: ShapePrior) -> None:
    shapes, latents = _decoded(ellipsoid_prior), ellipsoid_prior.latents.double().numpy()
    space = ShapeSpace.spanned_by(shapes, latents)
    modes = space.modes.reshape(-1, space.modes.shape[2]).astype(np.float64)
    away = (shapes - space.mean).reshape(len(shapes), -1).T
    left = away - modes @ np.linalg.lstsq(modes, away, rcond=None)[0]
    assert np.sqrt((left**2).mean()) < 1e-3  # canonical; in a liver 0.14 mm


def test_mirror_images_are_those_of_the_decoder(ellipsoid_prior: ShapePrior) -> None:
    ellipsoid_prior = replace(ellipsoid_prior, card={"side": "left"})
    known = replace(ellipsoid_prior, known_space=ellipsoid_prior.shape_space)
    other = known.of_other_side()
    assert other.known_space is not None
    np.testing.assert_allclose(other.shape_space.mean, _decoded(other).mean(axis=0), atol=1e-5)
    made_anew = replace(other, known_space=None).shape_space
    spreads = [np.linalg.norm(space.modes, axis=2) for space in (other.shape_space, made_anew)]
    np.testing.assert_allclose(spreads[0], spreads[1], atol=1e-2 * spreads[1].max())


def test_a_single_shape_has_no_modes(ellipsoid_prior: ShapePrior) -> None:
    space = ShapeSpace.spanned_by(_decoded(ellipsoid_prior)[:1], ellipsoid_prior.latents[:1].double().numpy())
    assert space.modes.shape == (len(space.mean), 3, 0)
    assert space.latent(np.zeros(0)) == pytest.approx(ellipsoid_prior.latents[0].numpy(), abs=1e-6)
