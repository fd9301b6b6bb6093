"""SIREN (Sitzmann et al., NeurIPS 2020) in DeepSDF's place: sine layers of a position and a latent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.systems.auto_decoder import ImplicitDecoder
from benchmarks.systems.deepsdf import add_given


class Siren(ImplicitDecoder):
    """Layers sin(omega (W x + b)) with SIREN's initialisation; the latent enters with the position.

    The columns for the position start as in a SIREN of the position alone. Drawn for all the inputs
    together they would be so small that the network starts without any detail.

    Parameters
    ----------
    latent_size, width, layers : int
    omega : float
    first_omega : float, optional
        Of the first layer.
    """

    def __init__(
        self,
        *,
        latent_size: int = 256,
        width: int = 512,
        layers: int = 8,
        omega: float = 30.0,
        first_omega: float = 30.0,
    ) -> None:
        super().__init__()
        self.latent_shape = (latent_size,)
        self.omega, self.first_omega = omega, first_omega
        self.latent_input = nn.Linear(latent_size, width)
        self.position_input = nn.Linear(3, width, bias=False)
        hidden = [nn.Linear(width, width) for _ in range(layers - 1)]
        self.hidden = nn.ModuleList(hidden)
        self.output = nn.Linear(width, 1)
        with torch.no_grad():
            self.position_input.weight.uniform_(-1 / 3, 1 / 3)
            initialise_sines([*hidden, self.output], omega)

    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        of_latent = self.latent_input(latents)
        given = add_given(points[..., :0], points.new_zeros(0, 0), of_latent, points, self.position_input.weight)
        values = torch.sin(self.first_omega * given)
        for layer in self.hidden:
            values = torch.sin(scaled_linear(values, layer, self.omega))
        return self.output(values).float().squeeze(-1)


def scaled_linear(values: Tensor, layer: nn.Module, omega: float) -> Tensor:
    """Omega times a linear layer; multiplied into the weights, which are fewer than the values."""
    assert isinstance(layer, nn.Linear)
    return F.linear(values, omega * layer.weight, omega * layer.bias)


@torch.no_grad()
def initialise_sines(layers: list[nn.Linear], omega: float) -> None:
    """SIREN's initialisation of layers whose inputs are sines: all pre-activations have unit variance."""
    for layer in layers:
        bound = math.sqrt(6 / layer.in_features) / omega
        layer.weight.uniform_(-bound, bound)
