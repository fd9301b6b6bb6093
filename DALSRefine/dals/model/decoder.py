"""The decoder D_theta(z, x): an MLP that displaces each template vertex."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class DecoderSettings:
    """Layer sizes of a decoder, stored with its weights.

    Attributes
    ----------
    latent_size : int
        Dimension d of a latent vector.
    hidden_sizes : tuple of int
        Width of each hidden layer.
    """

    latent_size: int = 128
    hidden_sizes: tuple[int, ...] = (724, 724, 362)

    def __post_init__(self) -> None:
        if self.latent_size < 1 or not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ValueError("a decoder needs a positive latent size and positive hidden sizes")


class Decoder(nn.Module):
    """Displaces template vertices, given latents and positions.

    Each hidden layer is linear, followed by layer normalisation and ReLU; the output layer is linear. The first
    layer acts on latent and position together. Its two blocks are stored apart, so that a shared latent is
    multiplied once.
    """

    def __init__(self, settings: DecoderSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or DecoderSettings()
        sizes = self.settings.hidden_sizes
        self.latent_input = nn.Linear(self.settings.latent_size, sizes[0], bias=False)
        self.position_input = nn.Linear(3, sizes[0])
        self.hidden = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(n) for n in sizes)
        self.output = nn.Linear(sizes[-1], 3)
        bound = (self.settings.latent_size + 3) ** -0.5
        for parameter in (self.latent_input.weight, self.position_input.weight, self.position_input.bias):
            nn.init.uniform_(parameter, -bound, bound)  # as in one linear layer

    @torch.no_grad()
    def reflected(self) -> Decoder:
        """A decoder of the same shapes with the first axis reversed: M D(z, M x) for M = diag(-1, 1, 1).

        Template and shape are both reflected, so that faces keep pointing outwards.
        """
        other = deepcopy(self)
        other.position_input.weight[:, 0].neg_()
        other.output.weight[0].neg_()
        other.output.bias[0].neg_()
        return other

    def forward(self, latents: Tensor, positions: Tensor, *, compute_dtype: torch.dtype | None = None) -> Tensor:
        """Deform template vertices.

        Parameters
        ----------
        latents : (..., V, d) or (..., 1, d)
            One latent per vertex, or one shared by all vertices.
        positions : (..., V, 3)
            Template vertices, canonical units.
        compute_dtype
            Precision of the hidden layers, such as bfloat16 for fast training. The output layer and the sum
            keep the dtype of `positions`.

        Returns
        -------
        (..., V, 3)
            Vertices of the shape, canonical units.
        """
        dtype = compute_dtype or positions.dtype
        first = F.linear(latents.to(dtype), self.latent_input.weight.to(dtype))
        x = first + _linear(self.position_input, positions.to(dtype))
        x = F.relu(_norm(self.norms[0], x))
        for layer, norm in zip(self.hidden, self.norms[1:], strict=True):
            x = F.relu(_norm(norm, _linear(layer, x)))
        return positions + _linear(self.output, x.to(positions.dtype))


def _linear(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear)
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.linear(x, layer.weight.to(x.dtype), bias)


def _norm(norm: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(norm, nn.LayerNorm)
    return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)
