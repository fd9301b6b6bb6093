"""The project's own method as one of the compared systems: one latent for all vertices, or one for each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.systems.base import Observation
from dals.fitting import FitSettings, fit, task_of
from dals.mesh import TriangleMesh
from dals.pose import Pose
from dals.prior import ShapePrior
from dals.remeshing import remesh

GLOBAL_STEPS = 150
"""With one latent there is no second stage; further steps change nothing."""


@dataclass(frozen=True)
class DalsSystem:
    """`dals.fitting.fit` with the defaults of the task.

    Attributes
    ----------
    prior : ShapePrior
    single : bool
        One latent for all vertices (lambda_dir infinite) instead of one for each.
    estimates_pose : bool
        Whether the pose handed over is ignored and estimated with the shape.
    remeshed : bool
        Whether the result gets even triangles.
    changes : mapping
        `FitSettings` to use instead of the defaults.
    name : str
    """

    prior: ShapePrior
    single: bool = False
    estimates_pose: bool = False
    remeshed: bool = False
    changes: tuple[tuple[str, Any], ...] = ()
    name: str = "DALS"

    def settings(self, observation: Observation) -> FitSettings:
        """What a fit of the observation uses."""
        settings = FitSettings.for_task(task_of(observation))
        if self.single:
            settings = replace(settings, lambda_dir=math.inf, shared_steps=GLOBAL_STEPS)
        return settings.changed(**dict(self.changes))

    def fit(self, observation: Observation, *, pose: Pose) -> TriangleMesh:
        """Fit the prior, RAS mm."""
        known = None if self.estimates_pose else pose
        mesh = fit(self.prior, observation, settings=self.settings(observation), pose=known).mesh
        return remesh(mesh) if self.remeshed else mesh
