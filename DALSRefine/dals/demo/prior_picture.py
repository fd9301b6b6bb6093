"""A picture of what a prior knows: its mean shape and its first modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dals.demo.rendering import Panel, Surface, render_meshes
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.prior import ShapePrior
from dals.model.template import icosphere

_MODES = 3
_DEVIATIONS = 2.0
_LEVEL = 4
_SIZE = (300, 300)
_MEAN, _LESS, _MORE = (0.80, 0.36, 0.30), (0.35, 0.55, 0.80), (0.90, 0.65, 0.25)


def draw_prior(path: Path, prior: ShapePrior) -> None:
    """Write a PNG: the mean shape, and each of the first three modes at minus and plus two standard deviations.

    Raises
    ------
    OutputError
        If this machine cannot render off screen, or the file cannot be written.
    """
    panels = [_panel("mean", prior, np.zeros(0), _MEAN)]
    for mode in range(min(_MODES, prior.latent_basis.shape[1])):
        for sign, colour in ((-1, _LESS), (1, _MORE)):
            weights = np.zeros(mode + 1)
            weights[mode] = sign * _DEVIATIONS
            panels.append(_panel(f"mode {mode + 1}, {sign * _DEVIATIONS:+.0f} SD", prior, weights, colour))
    render_meshes(path, panels, size=_SIZE)


@torch.no_grad()
def _panel(title: str, prior: ShapePrior, weights: FloatArray, colour: tuple[float, float, float]) -> Panel:
    template = icosphere(_LEVEL)
    modes = prior.latent_basis[:, : len(weights)]
    latent = prior.latent_mean + modes @ torch.as_tensor(weights, dtype=modes.dtype, device=modes.device)
    vertices = prior.decoder(latent[None], prior.sphere(template)).cpu().double().numpy()
    return Panel(title=title, surfaces=[Surface(mesh=TriangleMesh(vertices, template.faces), colour=colour)])
