"""Contours on planes: the slice Chamfer distance (appendix A)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.fitting.data_term import DataTerm, as_tensor, data_term, evidence
from dals.fitting.plane_region import PlaneRegion
from dals.fitting.plane_residuals import PlaneResiduals
from dals.fitting.residuals import residual_term
from dals.geometry.mesh import FloatArray
from dals.geometry.polylines import loop_length, resample_loop, resample_path
from dals.model.pose import Pose
from dals.observations import Contour, PlanarContours
from dals.ops.losses import squared_distance
from dals.ops.nearest import PointIndex, nearest
from dals.ops.plane_cuts import cut_mesh, planes_met, sample_cuts

REFERENCE_PLANES = 3
"""Number of independent planes for which the default weights were chosen."""
_SPACING_MM, _MOST_POINTS = 4.0, 600
"""Between points of contours, and how many of all contours together."""
_INDEPENDENT = 30.0
"""How many independent observations the points of one plane are together; neighbours err alike."""
_ALIKE = 0.1  # correlation length of parallel planes, in organ radii; at this distance two planes count as 1.25


class SliceLoss(DataTerm):
    """Slice Chamfer distance (appendix A): mean over planes of the Chamfer distance in each plane.

    If a plane misses the mesh, only the distance of the contour from the mesh's vertices counts. It pulls the mesh
    towards the plane.

    Parameters
    ----------
    origins, normals : (P, 3)
    targets : (P, M, 3)
        Points along the contours of each plane.
    count : int
        Points drawn along each cut.
    robust_scale : float
        Canonical distance of a cut from the contours beyond which it levels off.
    complete : (P,) bool, optional
        Whether the targets show all of the organ on a plane; on others only their distance from the cut counts.
    """

    def __init__(
        self,
        origins: Tensor,
        normals: Tensor,
        targets: Tensor,
        *,
        count: int,
        robust_scale: float = math.inf,
        complete: Tensor | None = None,
    ) -> None:
        self.origins, self.normals, self.targets = origins, normals, targets
        self.count, self.robust_scale = count, robust_scale
        self.complete = torch.ones(len(origins), dtype=torch.bool) if complete is None else complete
        self._index = PointIndex(targets)

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a mesh, from new samples of its cuts; the robust loss applies to these, not to the contours."""
        cuts = cut_mesh(vertices, faces, self.origins, self.normals)
        met = planes_met(cuts)
        samples = sample_cuts(vertices, faces, cuts, self.count, generator=generator)
        anywhere = vertices[torch.arange(self.count, device=vertices.device) % len(vertices)]
        samples = torch.where(met[:, None, None], samples, anywhere)
        to_contour = self._forgiving_distance(samples)
        to_mesh = squared_distance(self.targets, samples, nearest(self.targets, samples))
        return (to_mesh + torch.where(met & self.complete.to(met.device), to_contour, 0.0)).mean()

    def _forgiving_distance(self, samples: Tensor) -> Tensor:
        """Mean squared distance (P,) of samples (P, N, 3) from the contours, levelling off beyond `robust_scale`.

        A plane may cross two parts of an organ of which only one was outlined; the other part must not be pulled to it.
        """
        index = self._index.nearest(samples)
        picked = torch.gather(self.targets, -2, index[..., None].expand(*index.shape, 3))
        return _levelling_off((samples - picked).square().sum(dim=-1), self.robust_scale).mean(dim=-1)


def _resampled(contours: Sequence[Contour], pose: Pose, count: int) -> FloatArray:
    """`count` canonical points at equal arc length along contours, in proportion to their lengths, (count, 3)."""
    lengths = [contour.length for contour in contours]
    ends = np.round(np.cumsum(lengths) / sum(lengths) * count).astype(int)
    parts = []
    for contour, share in zip(contours, np.diff(ends, prepend=0), strict=True):
        points = pose.to_canonical(contour.points)
        parts.append(resample_loop(points, share) if contour.closed else resample_path(points, share))
    return np.concatenate(parts)


def resample_closed(loops: list[FloatArray], count: int) -> FloatArray:
    """`count` points at equal arc length along closed polylines, in proportion to their lengths, (count, 3)."""
    lengths = [loop_length(loop) for loop in loops]
    ends = np.round(np.cumsum(lengths) / sum(lengths) * count).astype(int)
    return np.concatenate([resample_loop(*part) for part in zip(loops, np.diff(ends, prepend=0), strict=True)])


@data_term.register
def _(observation: PlanarContours, pose: Pose, settings: FitSettings, device: torch.device) -> SliceLoss:
    origins, normals, targets, complete = [], [], [], []
    for group in observation.by_plane:
        plane = group[0].plane
        origins.append(pose.to_canonical(np.asarray(plane.origin)[None])[0])
        normals.append(np.asarray(plane.normal) @ pose.rotation)
        targets.append(_resampled(group, pose, settings.points_per_plane))
        complete.append(all(contour.closed and not contour.open_plane for contour in group))
    return SliceLoss(
        as_tensor(np.stack(origins), device),
        as_tensor(np.stack(normals), device),
        as_tensor(np.stack(targets), device),
        count=settings.points_per_plane,
        robust_scale=settings.robust_scale,
        complete=torch.tensor(complete),
    )


@residual_term.register
def _(observation: PlanarContours, settings: FitSettings) -> PlaneResiduals:
    length = sum(contour.length for contour in observation.contours)
    spacing = max(_SPACING_MM, length / _MOST_POINTS)
    low, high = observation.bounds
    middle = (low + high) / 2
    regions = [PlaneRegion.of_contours(group, spacing_mm=spacing, middle=middle) for group in observation.by_plane]
    weight = _INDEPENDENT * independent_planes(observation) / len(regions)
    by_hand = any(contour.control_points is not None for contour in observation.contours)
    return PlaneResiduals(regions, weight=weight, robust_scale=settings.robust_scale, by_hand=by_hand)


@evidence.register
def _(observation: PlanarContours) -> float:
    return independent_planes(observation) / REFERENCE_PLANES


def independent_planes(contours: PlanarContours) -> float:
    """Effective number of independent planes: 1^T K^-1 1, where K correlates planes by angle and distance.

    Perpendicular planes and planes far apart count in full; twenty adjacent slices count for less than twenty.
    """
    planes = [group[0].plane for group in contours.by_plane]
    normals = np.stack([plane.normal for plane in planes])
    points = contours.points
    low, high = points.min(axis=0), points.max(axis=0)
    reach = _ALIKE * float(np.linalg.norm(high - low)) / 2
    offsets = np.concatenate([plane.distances((low + high)[None] / 2) for plane in planes])
    cosines = normals @ normals.T
    # The sign of a normal, and with it that of the offset, is arbitrary: average both signs, weighted by the angle.
    same, opposite = (np.exp(-0.5 * ((offsets[:, None] - sign * offsets) / reach) ** 2) for sign in (1, -1))
    correlations = cosines**2 * ((1 + cosines) * same + (1 - cosines) * opposite) / 2
    return float(np.linalg.solve(correlations + 1e-6 * np.eye(len(planes)), np.ones(len(planes))).sum())


def _levelling_off(squared: Tensor, robust_scale: float) -> Tensor:
    """Squared distances that level off beyond `robust_scale` (Geman and McClure)."""
    return squared / (1 + squared / robust_scale**2) if math.isfinite(robust_scale) else squared
