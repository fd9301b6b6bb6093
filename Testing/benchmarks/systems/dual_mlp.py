"""Modulated periodic activations (Mehta et al., ICCV 2021): a sine network modulated by a ReLU network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.systems.auto_decoder import ImplicitDecoder
from benchmarks.systems.siren import initialise_sines, scaled_linear


class DualMlp(ImplicitDecoder):
    """The synthesiser's sines of a position are multiplied by the modulator's activations of a latent.

    The modulator sees the latent again in each layer. With one latent for a shape (`grid` 1) this is the paper's
    global model. Its local model has a latent for each tile of the domain; here the latents sit at the nodes of a
    grid over the cube around the unit sphere and are interpolated trilinearly at each position, so that nothing
    tears where tiles meet, and the synthesiser sees the position in the whole domain, which lets it know what is
    usual at each place of the organ.

    Parameters
    ----------
    latent_size, width, layers : int
    grid : int
        Nodes along each axis.
    omega, first_omega : float
    """

    def __init__(
        self,
        *,
        latent_size: int = 256,
        width: int = 256,
        layers: int = 5,
        grid: int = 1,
        omega: float = 30.0,
        first_omega: float = 30.0,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.latent_shape = (latent_size,) if grid == 1 else (latent_size, grid, grid, grid)
        self.omega, self.first_omega = omega, first_omega
        self.position_input = nn.Linear(3, width)
        hidden = [nn.Linear(width, width) for _ in range(layers - 1)]
        self.hidden = nn.ModuleList(hidden)
        self.output = nn.Linear(width, 1)
        modulator = [nn.Linear(latent_size + (width if index else 0), width) for index in range(layers)]
        self.modulator = nn.ModuleList(modulator)
        with torch.no_grad():
            self.position_input.weight.uniform_(-1 / 3, 1 / 3)
            initialise_sines([*hidden, self.output], omega)
            for layer in modulator:
                layer.bias.add_(1.0)  # the synthesiser starts as a SIREN, not as nearly nothing

    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            values = torch.sin(self.first_omega * self.position_input(points))
        at_points = latents[:, None] if self.grid == 1 else interpolated(latents, points)
        modulation = F.relu(self.modulator[0](at_points))
        values = values.to(modulation.dtype) * modulation
        for layer, modulator in zip(self.hidden, self.modulator[1:], strict=True):
            modulation = F.relu(modulator(torch.cat([modulation, at_points.to(modulation.dtype)], dim=-1)))
            values = modulation * torch.sin(scaled_linear(values, layer, self.omega))
        return self.output(values).float().squeeze(-1)

    def roughness(self, latents: Tensor) -> Tensor:
        """Mean squared difference of neighbouring latents, summed over the latent's entries."""
        if self.grid == 1:
            return super().roughness(latents)
        steps = [latents.diff(dim=axis).square().sum(dim=1).mean() for axis in (2, 3, 4)]
        return torch.stack(steps).sum()


def interpolated(latents: Tensor, points: Tensor) -> Tensor:
    """Latents (B, N, C) at points (B, N, 3) from those on a grid (B, C, G, G, G) over [-1, 1]^3, axes x, y, z."""
    with torch.autocast("cpu", enabled=False):
        places = points.flip(-1)[:, :, None, None]  # grid_sample's last axis comes first
        found = F.grid_sample(latents.float(), places, mode="bilinear", padding_mode="border", align_corners=True)
    return found[..., 0, 0].transpose(1, 2)
