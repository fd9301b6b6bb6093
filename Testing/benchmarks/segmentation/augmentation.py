"""Random deformations and intensities for sparsely labelled images.

No flips: all images show the same side of the body.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = math.radians(15.0)
SCALING = 0.15
SHIFT = 0.1  # of half the canvas
ELASTIC = 0.08  # of half the canvas, at the control points
ELASTIC_POINTS = 5


def augment(
    images: Tensor, organ: Tensor, labelled: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Deform images with their labels, and change the images' intensities.

    Parameters
    ----------
    images : (N, 1, K, J, I) float32
        Zero mean, unit variance.
    organ, labelled : (N, 1, K, J, I) bool
        What is organ, and what is labelled at all; one voxel thick planes stay (nearly) closed, as
        every voxel takes the label of the nearest voxel it comes from.
    generator : torch.Generator

    Returns
    -------
    tuple of Tensor
        As given.
    """
    grid = _affine(images, generator) + _elastic(images, generator)
    warped = F.grid_sample(images, grid, align_corners=False)
    labels = torch.cat([organ, labelled], dim=1).to(images.dtype)
    labels = F.grid_sample(labels, grid, mode="nearest", align_corners=False) > 0.5
    return _intensities(warped, generator), labels[:, :1], labels[:, 1:]


def _affine(images: Tensor, generator: torch.Generator) -> Tensor:
    count, size = len(images), torch.tensor(images.shape[:1:-1], dtype=images.dtype)
    angles = ROTATION * _uniform(count, 3, generator=generator)
    skew = torch.zeros(count, 3, 3)
    for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        skew[:, i, j], skew[:, j, i] = -angles[:, k], angles[:, k]
    scale = torch.exp(
        SCALING * (0.7 * _uniform(count, 1, generator=generator) + 0.3 * _uniform(count, 3, generator=generator))
    )
    matrix = torch.linalg.matrix_exp(skew) * scale[:, None]
    # grid_sample's coordinates run from -1 to 1 along every axis: a rotation has to be one in voxels.
    matrix = matrix * size / size[:, None]
    shift = SHIFT * _uniform(count, 3, 1, generator=generator)
    return F.affine_grid(torch.cat([matrix, shift], dim=2), list(images.shape), align_corners=False)


def _elastic(images: Tensor, generator: torch.Generator) -> Tensor:
    amount = ELASTIC * torch.rand(len(images), 1, 1, 1, 1, generator=generator)
    coarse = amount * torch.randn(len(images), 3, *[ELASTIC_POINTS] * 3, generator=generator)
    return F.interpolate(coarse, images.shape[2:], mode="trilinear", align_corners=True).movedim(1, -1)


def _intensities(images: Tensor, generator: torch.Generator) -> Tensor:
    per_image = (len(images), 1, 1, 1, 1)
    field = 0.2 * torch.randn(len(images), 1, 3, 3, 3, generator=generator)
    images = images * torch.exp(F.interpolate(field, images.shape[2:], mode="trilinear", align_corners=True))
    power = torch.exp(0.3 * _uniform(*per_image, generator=generator))
    images = torch.sign(images) * images.abs().clamp_min(1e-6) ** power
    gain = torch.exp(0.2 * _uniform(*per_image, generator=generator))
    offset = 0.2 * _uniform(*per_image, generator=generator)
    noise = 0.25 * torch.rand(per_image, generator=generator) * torch.randn(images.shape, generator=generator)
    return gain * images + offset + noise


def _uniform(*shape: int, generator: torch.Generator) -> Tensor:
    """Between -1 and 1."""
    return 2 * torch.rand(shape, generator=generator) - 1
