"""What a training starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from dals.geometry.mesh import TriangleMesh
from dals.model.decoder import Decoder
from dals.training.reports import OnSetUp
from dals.training.settings import TrainingSettings
from dals.training.shapes import ShapeBank, descriptor_latents


def starting_decoder(settings: TrainingSettings) -> Decoder:
    """A decoder whose surfaces are nearly the template."""
    decoder = Decoder(settings.decoder)
    with torch.no_grad():
        decoder.output.weight.mul_(settings.displacement_start)
        decoder.output.bias.mul_(settings.displacement_start)
    return decoder


def starting_latents(bank: ShapeBank, settings: TrainingSettings, *, on_set_up: OnSetUp | None = None) -> Tensor:
    """Latents (len(bank), d) of the shapes and their warps."""
    size = settings.decoder.latent_size
    if settings.latent_start == "descriptor":
        return descriptor_latents(bank, size, scale=settings.latent_scale, seed=settings.seed, on_set_up=on_set_up)
    generator = torch.Generator().manual_seed(settings.seed)
    latents = torch.randn(len(bank), size, generator=generator)
    return (latents * settings.latent_scale).to(bank.points.device)


def run_key(meshes: Sequence[TriangleMesh], settings: TrainingSettings) -> str:
    """Identifies data and settings, except the number of epochs, so that a run resumes only its own checkpoint."""
    digest = hashlib.sha256(json.dumps({**asdict(settings), "epochs": 0}, sort_keys=True).encode())
    for mesh in meshes:
        digest.update(mesh.vertices.tobytes())
    return digest.hexdigest()[:16]
