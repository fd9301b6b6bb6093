"""The decoder in double precision, with derivatives, for numpy arrays."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from dals.geometry.mesh import FloatArray, IntArray
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.ops.device import widest_float


class PreciseDecoder:
    """Decodes whitened latents: standard deviations along the prior's principal directions.

    Double precision keeps what differs between processors and numbers of threads far below anything that the steps of a
    fit could blow up to a difference that matters. Apple's MPS has single precision only.
    """

    def __init__(self, prior: ShapePrior) -> None:
        self._prior, self._dtype = prior, widest_float(prior.latent_mean.device)
        self._decoder = deepcopy(prior.decoder).to(self._dtype)
        self._mean, self._basis = (part.to(self._dtype) for part in (prior.latent_mean, prior.latent_basis))

    @property
    def size(self) -> int:
        """Number of whitened coordinates k."""
        return self._basis.shape[1]

    @torch.no_grad()
    def vertices(self, field: FloatArray, level: int) -> FloatArray:
        """Canonical vertices (V, 3) of a template from one latent each, (V, k), or one for all, (1, k)."""
        decoded: Tensor = self._decoder(self._latents(field), self._sphere(level))
        return decoded.cpu().double().numpy()

    def derivatives(self, field: FloatArray, level: int, used: IntArray, normals: FloatArray) -> FloatArray:
        """Derivatives (U, k) of the positions of vertices along normals (U, 3) with respect to their latents (U, k).

        The decoder is pointwise: one backward pass gives the derivatives of all vertices.
        """
        latents = self._latents(field).requires_grad_(True)
        decoded = self._decoder(latents, self._sphere(level)[torch.as_tensor(used)])
        directions = torch.as_tensor(normals, dtype=self._dtype, device=decoded.device)
        (gradient,) = torch.autograd.grad((decoded * directions).sum(), latents)
        return np.asarray((gradient @ self._basis).cpu().double().numpy())

    def _latents(self, field: FloatArray) -> Tensor:
        coordinates = torch.as_tensor(field, dtype=self._dtype, device=self._basis.device)
        return self._mean + coordinates @ self._basis.T

    def _sphere(self, level: int) -> Tensor:
        return self._prior.sphere(icosphere(level)).to(self._dtype)
