"""PointWOLF: smooth, locally weighted random deformations of a shape (Kim et al., ICCV 2021).

A few anchors across the shape each have a random rotation, scaling and shift. Each point follows the anchors nearby. A
warp is stored as its parameters, so that it applies to any points of the shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class PointWolfSettings:
    """Strength of the deformations. The defaults are the published ones.

    Attributes
    ----------
    anchors : int
        Number of local transformations.
    bandwidth : float
        Width sigma of the Gaussian weight of an anchor, canonical units.
    max_rotation_deg, max_scale, max_shift : float
        Limits of the rotation about each axis, of the scaling (from 1; normalisation afterwards turns growth
        in one place into shrinkage elsewhere) and of the shift along each axis, canonical units. Each anchor
        has each of the three with probability one half. Scalings and shifts act on a random subset of axes.
    """

    anchors: int = 4
    bandwidth: float = 0.5
    max_rotation_deg: float = 10.0
    max_scale: float = 2.0
    max_shift: float = 0.25


@dataclass(frozen=True)
class PointWolfWarps:
    """Parameters of N warps with A anchors each, canonical units.

    Attributes
    ----------
    anchors : (N, A, 3)
    matrices : (N, A, 3, 3)
        Rotation times scaling about the anchor.
    shifts : (N, A, 3)
    axes : (N, 1, 3)
        0 or 1: which coordinates count in the distance to an anchor.
    bandwidth : float
    centres : (N, 3), scales : (N,)
        Normalise the warped shape to zero mean and the unit sphere.
    """

    anchors: Tensor
    matrices: Tensor
    shifts: Tensor
    axes: Tensor
    bandwidth: float
    centres: Tensor
    scales: Tensor

    def __len__(self) -> int:
        return len(self.anchors)

    def __getitem__(self, index: Tensor) -> PointWolfWarps:
        """The warps at index (B,)."""
        return self._with_each(lambda value: value[index])

    def to(self, device: torch.device | str) -> PointWolfWarps:
        """A copy on a device."""
        return self._with_each(lambda value: value.to(device))

    def apply(self, points: Tensor) -> Tensor:
        """Warp point sets (N, M, 3), one per warp, and normalise the result."""
        return (self._warp(points) - self.centres[:, None]) / self.scales[:, None, None]

    def _with_each(self, change: Callable[[Tensor], Tensor]) -> PointWolfWarps:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {name: change(v) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **changed)

    def _warp(self, points: Tensor) -> Tensor:
        offset = points[:, None] - self.anchors[:, :, None]  # (N, A, M, 3)
        squared = (offset.square() * self.axes[:, :, None]).sum(dim=-1)
        weight = torch.softmax(-squared / (2 * self.bandwidth**2), dim=1)[..., None]  # over anchors
        moved = offset @ self.matrices.transpose(-1, -2) + (self.anchors + self.shifts)[:, :, None]
        return (weight * moved).sum(dim=1)


def draw_warps(points: Tensor, settings: PointWolfSettings, *, generator: torch.Generator) -> PointWolfWarps:
    """Draw one random warp for each of N shapes, given as surface samples (N, M, 3) on the CPU."""
    count, anchors = len(points), settings.anchors
    chosen = _farthest_points(points, anchors, generator)

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator) - 1

    def coin() -> Tensor:
        return torch.randint(2, (count, anchors, 1), generator=generator).float()

    rotation = _euler_rotation(uniform(count, anchors, 3) * coin() * settings.max_rotation_deg * torch.pi / 180)
    moving = _random_axes(count, anchors, generator)
    growth = 0.5 * (uniform(count, anchors, 3) + 1) * (settings.max_scale - 1)
    scale = 1 + growth * coin() * moving
    shifts = uniform(count, anchors, 3) * settings.max_shift * coin() * moving
    axes = _random_axes(count, 1, generator)
    warps = PointWolfWarps(
        anchors=chosen,
        matrices=rotation * scale[..., None, :],
        shifts=shifts,
        axes=axes,
        bandwidth=settings.bandwidth,
        centres=torch.zeros(count, 3),
        scales=torch.ones(count),
    )
    warped = warps._warp(points)
    centres = warped.mean(dim=1)
    scales = torch.linalg.vector_norm(warped - centres[:, None], dim=-1).amax(dim=1)
    return replace(warps, centres=centres, scales=scales)


def _farthest_points(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Farthest-point sampling of each set from a random first point, (N, count, 3)."""
    rows = torch.arange(len(points))
    chosen = torch.randint(points.shape[1], (len(points),), generator=generator)
    picked = [points[rows, chosen]]
    distance = torch.full(points.shape[:2], torch.inf)
    for _ in range(count - 1):
        distance = torch.minimum(distance, (points - picked[-1][:, None]).square().sum(dim=-1))
        picked.append(points[rows, distance.argmax(dim=1)])
    return torch.stack(picked, dim=1)


def _random_axes(count: int, anchors: int, generator: torch.Generator) -> Tensor:
    """A random non-empty subset of the three axes for each anchor, (count, anchors, 3) of 0 and 1."""
    code = torch.randint(1, 8, (count, anchors), generator=generator)
    return ((code[..., None] >> torch.arange(3)) & 1).float()


def _euler_rotation(angles: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) from angles (..., 3) about x, y and z, in radians."""
    cos, sin = angles.cos(), angles.sin()
    one, zero = torch.ones_like(cos[..., 0]), torch.zeros_like(cos[..., 0])

    def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    x = matrix((one, zero, zero), (zero, cos[..., 0], -sin[..., 0]), (zero, sin[..., 0], cos[..., 0]))
    y = matrix((cos[..., 1], zero, sin[..., 1]), (zero, one, zero), (-sin[..., 1], zero, cos[..., 1]))
    z = matrix((cos[..., 2], -sin[..., 2], zero), (sin[..., 2], cos[..., 2], zero), (zero, zero, one))
    return z @ y @ x
