"""Segmentations: distance from the mesh to the boundary (appendix B) and back."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.fitting.boundary_confidence import boundary_confidence
from dals.fitting.boundary_projection import project_to_boundary
from dals.fitting.data_term import DataTerm, as_tensor, data_term, organ_bounds
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.template import Template
from dals.observations import Segmentation
from dals.ops.distance_field import DistanceField, distance_field
from dals.ops.nearest import PointIndex, nearest
from dals.ops.sampling import choose_on_surface, sample_surface

_BOUNDARY_POINTS = 20_000


class SegmentationLoss(DataTerm):
    """Mean squared distance of the vertices from the segmentation's boundary (appendix B).

    This distance alone is small for a mesh that covers only a part of the boundary. `coverage` adds the mean squared
    distance of boundary points from the mesh. It is measured along the normal of the face with the nearest sample, so
    that gaps between samples do not count. Both distances grow linearly beyond the robust scale, so that leaks and
    missing parts do not dominate.

    Parameters
    ----------
    field : DistanceField
        Canonical.
    boundary : (N, 3)
        Points on the boundary.
    confidence : (N,), optional
        Weights of the squared distances there; uniform by default.
    count : int
        Points sampled on mesh and boundary.
    coverage : float
        0 in the paper.
    robust_scale : float
        Canonical; infinite in the paper.
    """

    def __init__(
        self,
        field: DistanceField,
        boundary: Tensor,
        *,
        count: int,
        confidence: Tensor | None = None,
        coverage: float = 0.0,
        robust_scale: float = math.inf,
    ) -> None:
        self.field, self.boundary, self.confidence = field, boundary, confidence
        self.count, self.coverage, self.robust_scale = count, coverage, robust_scale
        self._index = None if confidence is None else PointIndex(boundary)

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh, from new samples of it and of the boundary."""
        nearest_point = None if self._index is None else self._index.nearest(vertices)
        loss = self._mean(self.field(vertices).square(), nearest_point)
        if self.coverage == 0:
            return loss
        chosen = torch.randint(len(self.boundary), (self.count,), generator=generator, device=vertices.device)
        target = self.boundary[chosen]
        held_by, weights = choose_on_surface(vertices[None], faces, self.count, generator=generator)
        corners = vertices[faces[held_by[0]]]  # (count, 3 corners, 3 axes)
        samples = (corners * weights[0, ..., None]).sum(dim=-2)
        index = nearest(target, samples)
        squared = ((target - samples[index]) * _normals(corners.detach()[index])).sum(dim=-1).square()
        return loss + self.coverage * self._mean(squared, chosen)

    def project(self, vertices: Tensor, template: Template, distance: float) -> Tensor:
        """Project vertices onto the boundary where it is near."""
        return project_to_boundary(vertices, template, self.field, within=distance) if distance else vertices

    def _mean(self, squared: Tensor, boundary_point: Tensor | None) -> Tensor:
        """Mean of squared distances (N,), weighted by the confidence at a boundary point of each, (N,)."""
        costs = _growing_linearly(squared, self.robust_scale)
        if self.confidence is None or boundary_point is None:
            return costs.mean()
        confidence = self.confidence[boundary_point]
        return (confidence * costs).sum() / confidence.sum()


@data_term.register
def _(observation: Segmentation, pose: Pose, settings: FitSettings, device: torch.device) -> SegmentationLoss:
    label_map = observation.solid
    rotation, matrix = np.eye(4), label_map.ijk_to_ras
    if not np.allclose(pose.rotation, np.eye(3)):
        rotation[:3, :3] = pose.rotation.T
    shift = rotation[:3, :3] @ pose.translation
    field = distance_field(label_map.array, rotation @ matrix).scaled(1.0 / pose.scale, shift)
    surface = field.surface()
    generator = torch.Generator().manual_seed(settings.seed)
    vertices, faces = as_tensor(surface.vertices, torch.device("cpu")), torch.as_tensor(surface.faces.copy())
    boundary = sample_surface(vertices, faces, _BOUNDARY_POINTS, generator=generator)
    confidence = None
    if observation.probabilities is not None:
        points = pose.to_patient(boundary.double().numpy())
        weights = boundary_confidence(observation.probabilities, observation.label_map, points)
        confidence = torch.from_numpy(weights).to(device)
    return SegmentationLoss(
        field.to(device),
        boundary.to(device),
        count=settings.points,
        confidence=confidence,
        coverage=settings.coverage,
        robust_scale=settings.robust_scale,
    )


@organ_bounds.register
def _(observation: Segmentation) -> tuple[FloatArray, FloatArray]:
    """Bounds of the filled component. Voxels extend half a spacing beyond their centres along each RAS axis."""
    low, high = observation.solid.marked_bounds
    half = 0.5 * np.linalg.norm(observation.solid.ijk_to_ras[:3, :3], axis=1)
    return low - half, high + half


def _growing_linearly(squared: Tensor, robust_scale: float) -> Tensor:
    """Squared distances that grow linearly with the distance beyond `robust_scale` (pseudo-Huber)."""
    return 2 * squared / (1 + (1 + squared / robust_scale**2).sqrt())


def _normals(corners: Tensor) -> Tensor:
    """Unit normals (N, 3) of triangles (N, 3 corners, 3 axes)."""
    a, b, c = corners.unbind(dim=-2)
    return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a, dim=-1), dim=-1)
