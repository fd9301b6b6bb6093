"""A prior from what was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dals.dataset.normalisation import NormalisedShape
from dals.model.decoder import Decoder
from dals.model.prior import ShapePrior, frozen, latent_distribution, prior_digest, right_side_out


def assembled_prior(
    name: str,
    shapes: Sequence[NormalisedShape],
    decoder: Decoder,
    latents: Tensor,
    *,
    template_radius: float,
    card: Mapping[str, Any] | None = None,
) -> ShapePrior:
    """Put a decoder and the latents (N, d) of N training shapes together; the faces of its surfaces point outwards."""
    mean, basis = latent_distribution(latents)
    trained = ShapePrior(
        name=name,
        decoder=frozen(decoder),
        latents=latents,
        latent_mean=mean,
        latent_basis=basis,
        scales_mm=torch.tensor([shape.scale_mm for shape in shapes], dtype=torch.float32),
        template_radius=template_radius,
        card=card or {},
    )
    prior = right_side_out(trained)
    return prior.with_digest(prior_digest(prior))
