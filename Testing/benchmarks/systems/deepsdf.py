"""DeepSDF (Park et al., CVPR 2019): a ReLU network of a position and a latent for the whole shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from benchmarks.systems.auto_decoder import ImplicitDecoder

_LEVELS = 256


class DeepSdf(ImplicitDecoder):
    """As published: hidden layers with weight normalisation, ReLU and dropout, a tanh at the end.

    Latent and position enter the first layer and, again, the one in the middle (the fifth of eight), to which
    the layer before it leaves room.

    Parameters
    ----------
    latent_size, width, layers : int
    dropout : float
        Share of the hidden activations that are dropped while training, rounded to a multiple of 1/256.
    sphere_start : bool
        Whether the network starts as the distance to a sphere (Atzmon and Lipman, CVPR 2020) instead of with Torch's
        initialisation as published. Not to be combined with dropout, whose noise then grows from layer to layer.
    """

    def __init__(
        self,
        *,
        latent_size: int = 256,
        width: int = 512,
        layers: int = 8,
        dropout: float = 0.2,
        sphere_start: bool = False,
    ) -> None:
        super().__init__()
        self.latent_shape = (latent_size,)
        self.skip = layers // 2
        self.dropout = dropout
        given = latent_size + 3
        hidden = []
        for index in range(layers):
            inputs = given if index == 0 else width
            outputs = width - given if index + 1 == self.skip else width
            hidden.append(nn.Linear(inputs, outputs))
        self.output = nn.Linear(width, 1)
        if sphere_start:
            start_as_sphere([*hidden, self.output])
            with torch.no_grad():
                hidden[self.skip].weight[:, -3:] = 0.0
        self.hidden = nn.ModuleList(weight_norm(layer) for layer in hidden)

    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        batch, count = points.shape[:2]
        latent_size = latents.shape[1]
        values = points.new_zeros(batch, count, 0)
        for index, layer in enumerate(self.hidden):
            assert isinstance(layer, nn.Linear)
            weight, bias = layer.weight, layer.bias
            if index in (0, self.skip):
                # What the latent adds is the same for all points of a shape: it is computed once.
                width = weight.shape[1] - latent_size - 3
                of_values, of_latent, of_points = weight.split([width, latent_size, 3], dim=1)
                values = add_given(values, of_values, latents @ of_latent.T + bias, points, of_points)
            else:
                values = F.linear(values, weight, bias)
            values = quick_dropout(F.relu(values), self.dropout if self.training else 0.0)
        return torch.tanh(self.output(values).float()).squeeze(-1)


@torch.no_grad()
def start_as_sphere(layers: list[nn.Linear], *, radius: float = 0.5) -> None:
    """Make a ReLU network of positions start as their distance to a sphere."""
    for layer in layers[:-1]:
        layer.weight.normal_(0.0, math.sqrt(2 / layer.out_features))
        layer.bias.zero_()
    layers[-1].weight.normal_(math.sqrt(math.pi / layers[-1].in_features), 1e-4)
    layers[-1].bias.fill_(-radius)


def add_given(values: Tensor, of_values: Tensor, of_latent: Tensor, points: Tensor, of_points: Tensor) -> Tensor:
    """A layer's product with values (B, N, H or 0), plus its terms of a latent (B, W) and of positions (B, N, 3).

    Positions are multiplied in float32: bfloat16 would round them to two per mille.
    """
    with torch.autocast("cpu", enabled=False):
        given = torch.baddbmm(of_latent.float()[:, None], points, of_points.float().T.expand(len(points), -1, -1))
    return given + F.linear(values, of_values) if of_values.numel() else given


def quick_dropout(values: Tensor, probability: float) -> Tensor:
    """Dropout with one random byte an element, which on a processor takes a tenth of the time of torch's."""
    level = round(probability * _LEVELS)
    if level == 0:
        return values
    words = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    dropped = (words.view(torch.uint8)[: values.numel()] < level).view(values.shape)
    mask = dropped.logical_not_().to(values.dtype).mul_(_LEVELS / (_LEVELS - level))
    return values * mask
