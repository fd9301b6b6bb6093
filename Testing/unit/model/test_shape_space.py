"""The linear space of a prior's training shapes: the ellipsoids of the test prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dals.model.prior import ShapePrior
from dals.model.shape_space import LEVEL, shape_space
from dals.model.template import icosphere


def test_training_shapes_lie_in_it(ellipsoid_prior: ShapePrior) -> None:
    space = shape_space(ellipsoid_prior)
    with torch.no_grad():
        shapes = ellipsoid_prior.decoder(ellipsoid_prior.latents[:, None], ellipsoid_prior.sphere(icosphere(LEVEL)))
    away = shapes.double().numpy() - space.mean
    modes = space.modes.reshape(-1, space.modes.shape[2]).astype(np.float64)
    scores = np.linalg.lstsq(modes, away.reshape(len(away), -1).T, rcond=None)[0]
    assert np.abs(modes @ scores - away.reshape(len(away), -1).T).max() < 5e-3
    np.testing.assert_allclose(scores.std(axis=1, ddof=1), 1.0, rtol=1e-3)


def test_coefficients_have_a_latent(ellipsoid_prior: ShapePrior) -> None:
    space = shape_space(ellipsoid_prior)
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


def test_it_is_made_once_also_for_priors_in_turn(ellipsoid_prior: ShapePrior) -> None:
    other = replace(ellipsoid_prior)
    first, second = shape_space(ellipsoid_prior), shape_space(other)
    assert first is not second
    assert shape_space(ellipsoid_prior) is first
    assert shape_space(other) is second


def test_the_one_used_last_is_kept(ellipsoid_prior: ShapePrior) -> None:
    others = [replace(ellipsoid_prior) for _ in range(5)]
    first = shape_space(ellipsoid_prior)
    for other in others:
        shape_space(other)
        assert shape_space(ellipsoid_prior) is first
