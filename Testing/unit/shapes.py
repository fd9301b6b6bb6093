"""Surfaces, grids and priors of known geometry that several test modules use."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dals.model.decoder import Decoder, DecoderSettings
from dals.model.prior import ShapePrior, frozen, latent_distribution
from dals.model.template import icosphere

Array = NDArray[np.float64]

OBLIQUE = np.array([[0.8, -0.6, 0.0], [0.48, 0.64, -0.6], [0.36, 0.48, 0.8]])
"""A rotation about no coordinate axis."""


def sphere(
    level: int = 3,
    *,
    radius: float = 1.0,
    centre: tuple[float, float, float] = (0, 0, 0),
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """Vertices and faces of an icosphere."""
    template = icosphere(level)
    vertices = radius * torch.as_tensor(template.vertices) + torch.tensor(centre, dtype=torch.float64)
    return vertices.to(dtype), torch.as_tensor(template.faces)


def generator(seed: int = 0) -> torch.Generator:
    """A source of randomness on the processor."""
    return torch.Generator().manual_seed(seed)


def random_points(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normally distributed points (..., 3)."""
    return torch.randn(*shape, 3, generator=generator(seed), dtype=torch.float64).to(dtype)


def affine(directions: Array, spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> Array:
    """Matrix from IJK to RAS for unit axis directions in columns."""
    matrix = np.eye(4)
    matrix[:3, :3] = directions * np.array(spacing)
    matrix[:3, 3] = origin
    return matrix


def voxel_centres(shape: tuple[int, int, int], ijk_to_ras: Array) -> Array:
    """RAS positions (K, J, I, 3) of the voxel centres of a (K, J, I) array."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return np.asarray(np.stack([i, j, k], axis=-1) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3])


def tiny_prior(*, seed: int = 0, name: str = "blob") -> ShapePrior:
    """An untrained prior with a small decoder and ten training latents."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = frozen(Decoder(DecoderSettings(latent_size=6, hidden_sizes=(16, 8))))
    latents = torch.randn(10, 6, generator=generator(seed))
    mean, basis = latent_distribution(latents)
    scales = torch.linspace(90, 130, 10)
    card = {"organ": "none", "licence": "Apache-2.0", "shapes": 10, "note": "naïve"}
    return ShapePrior(name, decoder, latents, mean, basis, scales, 0.1, card)
