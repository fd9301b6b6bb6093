"""Training shapes that agree with an observation, as initialisations of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.fitting.data_term import data_term
from dals.fitting.first_guess import first_guess
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Observation

_LEVEL = 2
_POINTS, _POINTS_PER_PLANE = 500, 250


@dataclass(frozen=True, eq=False)
class Initialisation:
    """An initialisation of a fit.

    Attributes
    ----------
    pose : Pose
        Canonical frame to RAS mm.
    latent : (d,)
        Half-way between the mean latent and that of a training shape.
    """

    pose: Pose
    latent: Tensor


@torch.no_grad()
def retrieve(
    prior: ShapePrior, observation: Observation, settings: FitSettings, count: int, *, generator: torch.Generator
) -> list[Initialisation]:
    """Initialisations from the training shapes with the smallest task loss, best first.

    Each shape is moved half-way to the mean shape and evaluated at its own initial pose.

    Parameters
    ----------
    prior : ShapePrior
    observation : Observation
    settings : FitSettings
    count : int
        Number of initialisations.
    generator : torch.Generator
        On the prior's device.
    """
    if count == 0:
        return []
    template, device = icosphere(_LEVEL), prior.latent_mean.device
    faces = torch.as_tensor(template.faces, device=device)
    halfway = 0.5 * (prior.latents + prior.latent_mean)
    shapes = prior.decoder(halfway[:, None], prior.sphere(template)).cpu().double().numpy()
    frame = first_guess(observation, shapes.mean(axis=0))
    rough = settings.changed(points=_POINTS, points_per_plane=_POINTS_PER_PLANE)
    task = data_term(observation, frame, rough, device)  # one frame, so that losses are comparable
    ranked = []
    for index, shape in enumerate(shapes):
        pose = first_guess(observation, shape)
        vertices = torch.as_tensor(frame.to_canonical(pose.to_patient(shape)), dtype=torch.float32, device=device)
        ranked.append((float(task(vertices, faces, generator)), index, pose))
    return [Initialisation(pose, halfway[index]) for _, index, pose in sorted(ranked, key=lambda item: item[0])[:count]]
