"""The linear space that a prior's training shapes span."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dals.geometry.mesh import FloatArray
from dals.model.prior import ShapePrior
from dals.model.template import icosphere

LEVEL = 3
_AT_ONCE = 8
_MOST_MODES = 100
_LEAST_DEVIATION = 1e-3  # of the first mode's


@dataclass(frozen=True, eq=False)
class ShapeSpace:
    """Mean and principal modes of the decoded training shapes, which share the template's connectivity.

    Attributes
    ----------
    mean : (V, 3) float64
        Canonical; the vertices of icosphere level `LEVEL`.
    modes : (V, 3, M) float32
        Each as long as one standard deviation: coefficients are standard normal over the training shapes.
    latent_mean : (d,) float32
    latent_modes : (d, M) float32
        Change of the latent with each coefficient, by least squares.
    """

    mean: FloatArray
    modes: NDArray[np.float32]
    latent_mean: NDArray[np.float32]
    latent_modes: NDArray[np.float32]

    def latent(self, coefficients: FloatArray) -> NDArray[np.float32]:
        """The latent (d,) whose decoded shape has these coefficients, to first order."""
        return np.asarray(self.latent_mean + self.latent_modes @ coefficients, dtype=np.float32)


_KEPT = 4
_latest: list[tuple[ShapePrior, ShapeSpace]] = []  # the one used last comes last


def shape_space(prior: ShapePrior) -> ShapeSpace:
    """The shape space of a prior. All training shapes are decoded for it; those of the latest priors are kept."""
    known = [space for other, space in _latest if other is prior]
    space = known[0] if known else _space(prior)
    _latest[:] = [*(pair for pair in _latest if pair[0] is not prior), (prior, space)][-_KEPT:]
    return space


@torch.no_grad()
def _space(prior: ShapePrior) -> ShapeSpace:
    sphere = prior.sphere(icosphere(LEVEL))
    parts = [prior.decoder(latents[:, None], sphere) for latents in prior.latents.split(_AT_ONCE)]
    shapes = torch.cat(parts).cpu().double().numpy()
    latents = prior.latents.cpu().double().numpy()
    count, mean, latent_mean = len(shapes), shapes.mean(axis=0), latents.mean(axis=0)
    scores, lengths, directions = np.linalg.svd((shapes - mean).reshape(count, -1), full_matrices=False)
    kept = min(int(np.count_nonzero(lengths > _LEAST_DEVIATION * lengths[0])), count - 1, _MOST_MODES)
    root = max(count - 1, 1) ** 0.5
    modes = (directions[:kept] * (lengths[:kept, None] / root)).reshape(kept, -1, 3)
    latent_modes = (latents - latent_mean).T @ scores[:, :kept] / root
    return ShapeSpace(
        mean,
        np.ascontiguousarray(modes.transpose(1, 2, 0), dtype=np.float32),
        latent_mean.astype(np.float32),
        latent_modes.astype(np.float32),
    )
