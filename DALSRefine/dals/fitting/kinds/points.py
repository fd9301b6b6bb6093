"""Points on the surface: the Chamfer distance."""

from __future__ import annotations

import torch
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.fitting.data_term import DataTerm, as_tensor, data_term, evidence
from dals.model.pose import Pose
from dals.observations import PointCloud
from dals.ops.losses import chamfer_to_fixed
from dals.ops.nearest import PointIndex
from dals.ops.sampling import sample_surface

REFERENCE_POINTS = 2_500
"""Number of points for which the default weights were chosen."""
MOST_POINTS = 10_000
"""Upper bound of the counted points: a step samples fewer, and weaker priors were not tested."""


class PointsLoss(DataTerm):
    """Chamfer distance between surface samples and points (N, 3)."""

    def __init__(self, points: Tensor, *, count: int) -> None:
        self.points, self.count = points, count
        self._index = PointIndex(points)

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh, from new samples of it."""
        samples = sample_surface(vertices, faces, self.count, generator=generator)
        target = self.points
        if len(target) > self.count:
            chosen = torch.randint(len(target), (self.count,), generator=generator, device=target.device)
            target = target[chosen]
        return chamfer_to_fixed(samples, self._index, covered=target)


@data_term.register
def _(observation: PointCloud, pose: Pose, settings: FitSettings, device: torch.device) -> PointsLoss:
    return PointsLoss(as_tensor(pose.to_canonical(observation.points), device), count=settings.points)


@evidence.register
def _(observation: PointCloud) -> float:
    return min(len(observation.points), MOST_POINTS) / REFERENCE_POINTS
