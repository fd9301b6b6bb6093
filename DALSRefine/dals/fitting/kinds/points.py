"""Points on the surface: the Chamfer distance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.fitting.cloud_noise import cloud_noise
from dals.fitting.data_term import DataTerm, as_tensor, data_term, evidence, organ_bounds
from dals.fitting.point_residuals import PointResiduals
from dals.fitting.residuals import residual_term
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations import PointCloud
from dals.observations.lonely_points import sociable
from dals.ops.losses import chamfer_to_fixed
from dals.ops.nearest import PointIndex
from dals.ops.sampling import sample_surface

REFERENCE_POINTS = 2_500
"""Number of points for which the default weights were chosen."""
MOST_POINTS = 10_000
"""Upper bound of the counted points: a step samples fewer, and weaker priors were not tested."""
_INDEPENDENT = 10.0
"""Times the square root of N: how many independent observations N points are together. Neighbours err alike."""
_PRECISE = 0.012
"""Noise of points, in organ radii, above which they count for less."""


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


@residual_term.register
def _(observation: PointCloud, settings: FitSettings) -> PointResiduals:
    low, high = organ_bounds(observation)
    noise = cloud_noise(observation.points) / (0.5 * float(np.linalg.norm(high - low)))
    weight = _INDEPENDENT * min(len(observation.points), MOST_POINTS) ** 0.5 / (1 + (noise / _PRECISE) ** 2)
    return PointResiduals(
        observation.points, weight=weight, robust_scale=settings.robust_scale, sociability=observation.sociability
    )


@organ_bounds.register
def _(observation: PointCloud) -> tuple[FloatArray, FloatArray]:
    """Of the points that have others near them: a single stray would make any organ large."""
    points = observation.points[sociable(observation.sociability)]
    return points.min(axis=0), points.max(axis=0)


@evidence.register
def _(observation: PointCloud) -> float:
    return min(len(observation.points), MOST_POINTS) / REFERENCE_POINTS
