"""A prior that takes no training, for tests that fit something and are not about livers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dals.model.decoder import Decoder, DecoderSettings
from dals.model.prior import ShapePrior, frozen, latent_distribution, save_prior
from dals.model.template import icosphere

SEMI_AXES = np.array([0.95, 0.75, 0.6])
"""Of the mean shape, canonical units."""
SPREAD = 0.15
"""Of the logarithm of each semi-axis over the training shapes."""
MEAN_RADIUS_MM = 100.0
_FEATURES = 384


def semi_axes(latents: torch.Tensor) -> torch.Tensor:
    """Semi-axes (..., 3) of the ellipsoids that latents (..., 3) stand for, canonical units."""
    return torch.as_tensor(SEMI_AXES, dtype=latents.dtype) * (SPREAD * latents).exp()


@pytest.fixture(scope="session")
def ellipsoid_prior() -> ShapePrior:
    """Ellipsoids in patient axes; the latent holds the logarithms of their semi-axes.

    Random features with a least-squares output layer: made in a moment, the same each time.
    """
    generator = torch.Generator().manual_seed(5)
    decoder = Decoder(DecoderSettings(latent_size=3, hidden_sizes=(_FEATURES,)))
    with torch.no_grad():
        decoder.latent_input.weight.copy_(0.25 * torch.randn(_FEATURES, 3, generator=generator))
        decoder.position_input.weight.copy_(torch.randn(_FEATURES, 3, generator=generator))
        decoder.position_input.bias.copy_(torch.randn(_FEATURES, generator=generator))
        positions = torch.as_tensor(icosphere(2).vertices, dtype=torch.float32)
        latents = 1.5 * torch.randn(120, 3, generator=generator)
        wanted = positions * (semi_axes(latents)[:, None] - 1)
        first = decoder.latent_input(latents)[:, None] + decoder.position_input(positions)
        features = torch.relu(decoder.norms[0](first))
        matrix = torch.nn.functional.pad(features.reshape(-1, _FEATURES).double(), (0, 1), value=1.0)
        gram = matrix.T @ matrix + 1e-6 * torch.eye(_FEATURES + 1, dtype=torch.float64)
        solution = torch.linalg.solve(gram, matrix.T @ wanted.reshape(-1, 3).double())
        decoder.output.weight.copy_(solution[:-1].T)
        decoder.output.bias.copy_(solution[-1])
    training = torch.randn(40, 3, generator=generator)
    mean, basis = latent_distribution(training)
    scales = MEAN_RADIUS_MM * (0.1 * torch.randn(40, generator=generator)).exp()
    card = {"organ": "ellipsoid", "licence": "Apache-2.0"}
    return ShapePrior("ellipsoid", frozen(decoder), training, mean, basis, scales, 1.0, card)


@pytest.fixture(scope="session")
def ellipsoid_prior_file(ellipsoid_prior: ShapePrior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("priors") / "ellipsoid.safetensors"
    save_prior(path, ellipsoid_prior)
    return path
