"""Eq. 1 for a batch of shapes, and two terms of this project's."""

from __future__ import annotations

import torch
from torch import Tensor

from dals.model.decoder import Decoder
from dals.ops.losses import chamfer, latent_norm, quality_loss
from dals.ops.sampling import sample_surface
from dals.training.settings import TrainingSettings

TERMS = ("loss", "chamfer", "reg", "norm")


def batch_energy(
    decoder: Decoder,
    latents: Tensor,
    positions: Tensor,
    faces: Tensor,
    target: Tensor,
    *,
    settings: TrainingSettings,
    least_volume: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The energy of a batch, and its parts.

    Parameters
    ----------
    decoder : Decoder
    latents : (B, d)
    positions : (B, V, 3)
        The template, turned at random.
    faces : (F, 3)
    target : (B, N, 3)
        Points of the shapes, canonical units.
    settings : TrainingSettings
    least_volume : float
        What every shape's surface encloses at least, canonical.
    generator

    Returns
    -------
    energy : ()
    parts : (4,)
        `TERMS`, without gradients.
    """
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    vertices = decoder(latents[:, None], positions, compute_dtype=dtype)
    points = sample_surface(vertices, faces, settings.points, generator=generator)
    fit = chamfer(points, target).mean()
    reg = quality_loss(vertices, faces).mean()
    norm = latent_norm(latents)
    energy = fit + settings.lambda_reg * reg + settings.lambda_norm * norm
    if settings.lambda_volume:
        energy = energy + settings.lambda_volume * lacking_volume(vertices, faces, least_volume)
    if settings.lambda_blend:
        energy = energy + settings.lambda_blend * _bend(decoder, latents, positions, vertices, dtype, generator)
    return energy, torch.stack([energy.detach(), fit.detach(), reg.detach(), norm.detach()])


def lacking_volume(vertices: Tensor, faces: Tensor, least: float) -> Tensor:
    """Mean square of the share of `least` that surfaces (B, V, 3) do not enclose; above 1 if they are inside out.

    The Chamfer distance ignores orientation; this term does not.
    """
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    volumes = (a * torch.linalg.cross(b, c, dim=-1)).sum(dim=(1, 2)) / 6
    return torch.relu(1 - volumes / least).square().mean()


def _bend(
    decoder: Decoder,
    latents: Tensor,
    positions: Tensor,
    vertices: Tensor,
    dtype: torch.dtype,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared distance between the surface of a blend of two latents and the blend of their surfaces.

    A decoder that is nearly linear between training shapes has plausible shapes between them, and corresponding
    places stay in correspondence.
    """
    others = latents.roll(1, dims=0)
    share = torch.rand(len(latents), 1, generator=generator, device=latents.device)
    middle = decoder((share * latents + (1 - share) * others)[:, None], positions, compute_dtype=dtype)
    ends = share[..., None] * vertices + (1 - share[..., None]) * decoder(
        others[:, None], positions, compute_dtype=dtype
    )
    return (middle - ends).square().sum(dim=-1).mean()
