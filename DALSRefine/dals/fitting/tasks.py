"""Task losses of Eq. 3: how far a mesh in the canonical frame is from what the user gave."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dals.fit_settings import FitSettings, Task
from dals.fitting.boundary_confidence import boundary_certainty
from dals.geometry.mesh import FloatArray
from dals.geometry.polylines import loop_length, resample_loop
from dals.model.pose import Pose
from dals.observations.observations import PlanarContours, PointCloud, Segmentation
from dals.ops.distance_field import DistanceField, distance_field
from dals.ops.losses import chamfer_to_fixed, squared_distance
from dals.ops.nearest import PointIndex, nearest
from dals.ops.plane_cuts import cut_mesh, planes_met, sample_cuts
from dals.ops.sampling import choose_on_surface, sample_surface

_BOUNDARY_POINTS = 20_000

Observation = PointCloud | PlanarContours | Segmentation


class TaskLoss(Protocol):
    """A loss of canonical vertices (V, 3) with faces (F, 3); scalar, canonical units squared."""

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh; what is drawn at random comes from `generator`."""
        ...


def task_of(observation: Observation) -> Task:
    """Which of the three tasks an observation poses."""
    if isinstance(observation, PointCloud):
        return "points"
    return "planes" if isinstance(observation, PlanarContours) else "segmentation"


def task_loss(observation: Observation, pose: Pose, settings: FitSettings, device: torch.device) -> TaskLoss:
    """The loss of an observation seen from the canonical frame of a pose."""
    if isinstance(observation, PointCloud):
        return PointsLoss(_tensor(pose.to_canonical(observation.points), device), count=settings.points)
    if isinstance(observation, PlanarContours):
        return _slice_loss(observation, pose, settings, device)
    return _segmentation_loss(observation, pose, settings, device)


class PointsLoss:
    """Chamfer distance between surface samples and points (N, 3)."""

    def __init__(self, points: Tensor, *, count: int) -> None:
        self.points, self.count = points, count
        self._index = PointIndex(points)

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh, on freshly drawn samples of it."""
        samples = sample_surface(vertices, faces, self.count, generator=generator)
        target = self.points
        if len(target) > self.count:
            chosen = torch.randint(len(target), (self.count,), generator=generator, device=target.device)
            target = target[chosen]
        return chamfer_to_fixed(samples, self._index, covered=target)


class SliceLoss:
    """Slice Chamfer distance (appendix A): mean over planes of the Chamfer distance in each plane.

    Where a plane misses the mesh, only the contour's distance to the mesh's vertices counts,
    which pulls the mesh towards the plane.

    Parameters
    ----------
    origins, normals : (P, 3)
    targets : (P, M, 3)
        Points along the contours of each plane.
    count : int
        Points drawn along each cut.
    reach : float
        Canonical distance of a cut from the contours beyond which it levels off.
    """

    def __init__(
        self, origins: Tensor, normals: Tensor, targets: Tensor, *, count: int, reach: float = math.inf
    ) -> None:
        self.origins, self.normals, self.targets = origins, normals, targets
        self.count, self.reach = count, reach
        self._index = PointIndex(targets)

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh, on freshly drawn samples of its cuts; only these, not the contours, are forgiven."""
        cuts = cut_mesh(vertices, faces, self.origins, self.normals)
        met = planes_met(cuts)
        samples = sample_cuts(vertices, faces, cuts, self.count, generator=generator)
        anywhere = vertices[torch.arange(self.count, device=vertices.device) % len(vertices)]
        samples = torch.where(met[:, None, None], samples, anywhere)
        to_contour = self._forgiving_distance(samples)
        to_mesh = squared_distance(self.targets, samples, nearest(self.targets, samples))
        return (to_mesh + torch.where(met, to_contour, 0.0)).mean()

    def _forgiving_distance(self, samples: Tensor) -> Tensor:
        """Mean squared distance (P,) of samples (P, N, 3) to the contours, levelling off beyond `reach`.

        A section through two parts of an organ of which only one was outlined must not drag
        the other part away.
        """
        index = self._index.nearest(samples)
        picked = torch.gather(self.targets, -2, index[..., None].expand(*index.shape, 3))
        return _levelling_off((samples - picked).square().sum(dim=-1), self.reach).mean(dim=-1)


class SegmentationLoss:
    """Mean squared distance of the vertices to the segmentation's boundary (appendix B).

    Distances alone are content with a mesh that covers a part of the boundary; `coverage`
    adds the mean squared distance from boundary points to the mesh, taken along the normal of
    the face that holds the nearest sample: the gaps between samples do not count. Either grows
    linearly beyond a reach, so that leaks and missing parts do not outweigh all else.

    Parameters
    ----------
    field : DistanceField
        Canonical.
    boundary : (N, 3)
        Points on the boundary.
    certainty : (N,), optional
        Weights of the squared distances there; all alike unless given.
    count : int
        Points drawn from mesh and boundary.
    coverage : float
        0 in the paper.
    reach : float
        Canonical; infinite in the paper.
    """

    def __init__(
        self,
        field: DistanceField,
        boundary: Tensor,
        *,
        count: int,
        certainty: Tensor | None = None,
        coverage: float = 0.0,
        reach: float = math.inf,
    ) -> None:
        self.field, self.boundary, self.certainty = field, boundary, certainty
        self.count, self.coverage, self.reach = count, coverage, reach
        self._index = None if certainty is None else PointIndex(boundary)

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh, on freshly drawn samples of it and of the boundary."""
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

    def _mean(self, squared: Tensor, boundary_point: Tensor | None) -> Tensor:
        """Mean of squared distances (N,), weighted by the certainty at a boundary point of each, (N,)."""
        costs = _growing_linearly(squared, self.reach)
        if self.certainty is None or boundary_point is None:
            return costs.mean()
        certainty = self.certainty[boundary_point]
        return (certainty * costs).sum() / certainty.sum()


def resample_closed(loops: list[FloatArray], count: int) -> FloatArray:
    """`count` points at equal arc length along closed polylines, shared out by length, (count, 3)."""
    lengths = [loop_length(loop) for loop in loops]
    ends = np.round(np.cumsum(lengths) / sum(lengths) * count).astype(int)
    return np.concatenate([resample_loop(*part) for part in zip(loops, np.diff(ends, prepend=0), strict=True)])


def _slice_loss(observation: PlanarContours, pose: Pose, settings: FitSettings, device: torch.device) -> SliceLoss:
    origins, normals, targets = [], [], []
    for group in observation.by_plane:
        plane = group[0].plane
        origins.append(pose.to_canonical(np.asarray(plane.origin)[None])[0])
        normals.append(np.asarray(plane.normal) @ pose.rotation)
        loops = [pose.to_canonical(contour.points) for contour in group]
        targets.append(resample_closed(loops, settings.points_per_plane))
    return SliceLoss(
        _tensor(np.stack(origins), device),
        _tensor(np.stack(normals), device),
        _tensor(np.stack(targets), device),
        count=settings.points_per_plane,
        reach=settings.reach,
    )


def _segmentation_loss(
    observation: Segmentation, pose: Pose, settings: FitSettings, device: torch.device
) -> SegmentationLoss:
    label_map = observation.solid
    rotation, matrix = np.eye(4), label_map.ijk_to_ras
    if not np.allclose(pose.rotation, np.eye(3)):
        rotation[:3, :3] = pose.rotation.T
    shift = rotation[:3, :3] @ pose.translation
    field = distance_field(label_map.array, rotation @ matrix).scaled(1.0 / pose.scale, shift)
    surface = field.surface()
    generator = torch.Generator().manual_seed(settings.seed)
    vertices, faces = _tensor(surface.vertices, torch.device("cpu")), torch.as_tensor(surface.faces.copy())
    boundary = sample_surface(vertices, faces, _BOUNDARY_POINTS, generator=generator)
    certainty = None
    if observation.probabilities is not None:
        points = pose.to_patient(boundary.double().numpy())
        weights = boundary_certainty(observation.probabilities, observation.label_map, points)
        certainty = torch.from_numpy(weights).to(device)
    return SegmentationLoss(
        field.to(device),
        boundary.to(device),
        count=settings.points,
        certainty=certainty,
        coverage=settings.coverage,
        reach=settings.reach,
    )


def _levelling_off(squared: Tensor, reach: float) -> Tensor:
    """Squared distances that level off beyond `reach` (Geman and McClure)."""
    return squared / (1 + squared / reach**2) if math.isfinite(reach) else squared


def _growing_linearly(squared: Tensor, reach: float) -> Tensor:
    """Squared distances that grow linearly with the distance beyond `reach` (pseudo-Huber)."""
    return 2 * squared / (1 + (1 + squared / reach**2).sqrt())


def _normals(corners: Tensor) -> Tensor:
    """Unit normals (N, 3) of triangles (N, 3 corners, 3 axes)."""
    a, b, c = corners.unbind(dim=-2)
    return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a, dim=-1), dim=-1)


def _tensor(array: FloatArray, device: torch.device) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)
