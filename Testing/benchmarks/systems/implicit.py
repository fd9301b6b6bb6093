"""A trained implicit auto-decoder as a system: latent optimisation, and the surface by flying edges."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.systems.auto_decoder import ImplicitDecoder, autocast, clamped
from benchmarks.systems.base import Observation, in_patient
from benchmarks.systems.evidence import evidence_of
from benchmarks.systems.isosurface import surface_of
from dals.geometry.mesh import TriangleMesh
from dals.model.pose import Pose
from dals.observations import PointCloud


@dataclass(frozen=True)
class ImplicitFitSettings:
    """How a latent is found for an observation.

    Attributes
    ----------
    steps : int
        Of Adam, with cosine decay of the learning rate.
    learning_rate : float
        As a share of the root mean square deviation of the training latents' entries.
    on_surface, off_surface : int
        Samples in a step.
    clamp : float
        As in training.
    prior : float
        Weight of the latent's squared distance from the mean of the training latents, as a share of what it is on
        average for these.
    roughness : float
        Weight of the decoder's `roughness`, as a share of what it is on average for the training latents.
    """

    steps: int = 200
    learning_rate: float = 0.1
    on_surface: int = 512
    off_surface: int = 512
    clamp: float = 0.1
    prior: float = 1e-3
    roughness: float = 0.0


class ImplicitSystem:
    """A decoder with frozen weights that is fitted through its latent.

    Parameters
    ----------
    name : str
    decoder : ImplicitDecoder
        Trained.
    latents : (N, *latent_shape)
        Of the training shapes; a fit starts at their mean.
    for_points, for_planes : ImplicitFitSettings
    grid : int
        Cells along each axis for the surface.
    bfloat16 : bool
        Whether the latent is optimised in this precision; the surface never is.
    """

    def __init__(
        self,
        name: str,
        decoder: ImplicitDecoder,
        latents: Tensor,
        *,
        for_points: ImplicitFitSettings,
        for_planes: ImplicitFitSettings,
        grid: int = 96,
        bfloat16: bool = True,
    ) -> None:
        self.name = name
        self.decoder = decoder.eval().requires_grad_(False)
        self.mean = latents.mean(dim=0)
        deviations = latents - self.mean
        self.spread = float(deviations.square().flatten(1).sum(dim=1).mean())
        self.roughness = float(decoder.roughness(deviations))
        self.for_points, self.for_planes = for_points, for_planes
        self.grid, self.bfloat16 = grid, bfloat16

    def fit(self, observation: Observation, *, pose: Pose) -> TriangleMesh:
        """Make the surface, RAS mm; see `System`."""
        return in_patient(self.surface(self.latent(observation, pose=pose)), pose)

    def latent(self, observation: Observation, *, pose: Pose) -> Tensor:
        """The latent that explains an observation, (*latent_shape)."""
        settings = self.for_points if isinstance(observation, PointCloud) else self.for_planes
        seed = zlib.crc32(np.asarray(observation.points).tobytes())
        surface, off_surface = evidence_of(observation, pose, np.random.default_rng(seed))
        generator = torch.Generator().manual_seed(seed)
        latent = self.mean.clone().requires_grad_()
        highest = settings.learning_rate * math.sqrt(self.spread / latent.numel())
        optimiser = torch.optim.Adam([latent])
        for step in range(settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = highest * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
            drawn = [
                surface.draw(settings.on_surface, generator),
                off_surface.draw(settings.off_surface, generator),
            ]
            with autocast(self.bfloat16):
                found = self.decoder(latent[None], torch.cat([part.points for part in drawn])[None])[0]
            found = clamped(found, settings.clamp)
            lower = clamped(torch.cat([part.lower for part in drawn]), settings.clamp)
            upper = clamped(torch.cat([part.upper for part in drawn]), settings.clamp)
            loss = ((lower - found).relu() + (found - upper).relu()).mean()
            loss = loss + settings.prior * (latent - self.mean).square().sum() / self.spread
            if settings.roughness:
                rough = self.decoder.roughness((latent - self.mean)[None])
                loss = loss + settings.roughness * rough / self.roughness
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return latent.detach()

    def surface(self, latent: Tensor) -> TriangleMesh:
        """The zero level of a latent's field, canonical units; that of the mean latent if it has none."""
        mesh = surface_of(self._field(latent), cells=self.grid)
        return mesh if len(mesh.faces) else surface_of(self._field(self.mean), cells=self.grid)

    def _field(self, latent: Tensor) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        @torch.no_grad()
        def field(points: NDArray[np.float32]) -> NDArray[np.float32]:
            parts = [self.decoder(latent[None], part[None])[0] for part in torch.from_numpy(points).split(4096)]
            return np.asarray(torch.cat(parts).numpy())

        return field
