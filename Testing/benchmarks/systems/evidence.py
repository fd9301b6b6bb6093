"""What an observation says about the signed distance: bounds at points of the canonical frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from benchmarks.systems.base import Observation, Section, canonical_points, canonical_sections
from benchmarks.systems.normals import CELL, certain_cells, spacing_of, turned_outwards
from benchmarks.systems.outlines import inside, plane_axes
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations import PointCloud

BoolArray = NDArray[np.bool_]

_SPREADS = (0.05, 0.0158)
_PER_POINT = 6
_IN_PLANE = 4_000
_ON_CURVES = 3_000


@dataclass(frozen=True)
class Bounds:
    """The signed distance (negative inside) at `points` (N, 3) lies between `lower` and `upper`, both (N,)."""

    points: Tensor
    lower: Tensor
    upper: Tensor

    @classmethod
    def of(cls, points: FloatArray, lower: FloatArray, upper: FloatArray) -> Bounds:
        """From arrays."""
        return cls(*(torch.as_tensor(array, dtype=torch.float32) for array in (points, lower, upper)))

    def draw(self, count: int, generator: torch.Generator) -> Bounds:
        """Random ones of them."""
        chosen = torch.randint(len(self.points), (count,), generator=generator)
        return Bounds(self.points[chosen], self.lower[chosen], self.upper[chosen])


def evidence_of(observation: Observation, pose: Pose, rng: np.random.Generator) -> tuple[Bounds, Bounds]:
    """Bounds on the surface, which are zero, and off it."""
    if isinstance(observation, PointCloud):
        points = canonical_points(observation, pose)
        return _on_surface(points), _around_points(points, rng)
    sections = canonical_sections(observation, pose)
    loops = [loop for section in sections for loop in section.loops]
    total = sum(_length(loop) for loop in loops)
    curves = np.concatenate([_along(loop, max(3, round(_ON_CURVES * _length(loop) / total))) for loop in loops])
    parts = [_within(section, _IN_PLANE // len(sections), rng) for section in sections]
    points, lower, upper = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _on_surface(curves), Bounds.of(points, lower, upper)


def _on_surface(points: FloatArray) -> Bounds:
    return Bounds.of(points, np.zeros(len(points)), np.zeros(len(points)))


# --- points


def _around_points(points: FloatArray, rng: np.random.Generator) -> Bounds:
    """Pseudo-samples along the normals, as DeepSDF makes them, and places whose side is certain.

    A sample that is much nearer to the points than its offset belongs to another part of the surface and is left
    out.
    """
    tree = cKDTree(points)
    spacing = spacing_of(points, tree)
    outside, inside = certain_cells(points, tree)
    normals = turned_outwards(points, tree, outside, inside)
    offsets = np.concatenate([s * rng.standard_normal((_PER_POINT // 2, len(points))) for s in _SPREADS])
    samples = (points + offsets[..., None] * normals).reshape(-1, 3)
    offset = offsets.ravel()
    kept = tree.query(samples)[0] >= 0.8 * np.abs(offset)
    certain = np.concatenate([outside, inside])
    certain = certain[rng.permutation(len(certain))[: 2 * len(points)]] if len(certain) else certain
    distance = tree.query(certain)[0]
    # A point of the surface that was not sampled may be nearer than all that were.
    nearest = np.sqrt(np.maximum(distance**2 - spacing**2, 0))
    side = np.where(_is_among(certain, inside), -1.0, 1.0)
    low, high = np.minimum(side * nearest, side * distance), np.maximum(side * nearest, side * distance)
    return Bounds.of(
        np.concatenate([samples[kept], certain]),
        np.concatenate([offset[kept], low]),
        np.concatenate([offset[kept], high]),
    )


def _is_among(points: FloatArray, centres: FloatArray) -> BoolArray:
    if not len(centres):
        return np.zeros(len(points), dtype=np.bool_)
    return np.asarray(cKDTree(centres).query(points)[0] < 0.1 * CELL)


# --- planes


def _within(section: Section, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points of a plane with the bounds that the outlines in it give.

    The side is known; the distance to the outline within the plane is the most that the distance can be.
    """
    curve = np.concatenate([_along(loop, max(3, round(_length(loop) / 0.005))) for loop in section.loops])
    axes = plane_axes(section.normal)
    near = curve[rng.integers(len(curve), size=count - count // 3)]
    spread = np.where(np.arange(len(near)) % 2, *_SPREADS)[:, None] * rng.standard_normal((len(near), 2))
    near = near + spread @ axes
    anywhere = section.origin + rng.uniform(-1, 1, (count // 3, 2)) @ axes * 1.2
    points = np.concatenate([near, anywhere])
    points = points[np.linalg.norm(points, axis=1) < 1.2]
    within = inside(section, points)
    distance = cKDTree(curve).query(points)[0]
    return points, np.where(within, -distance, 0.0), np.where(within, 0.0, distance)


def _along(loop: FloatArray, count: int) -> FloatArray:
    """Points at equal steps along a closed polyline, (count, 3)."""
    closed = np.concatenate([loop, loop[:1]])
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    wanted = np.arange(count) / count * at[-1]
    return np.stack([np.interp(wanted, at, axis) for axis in closed.T], axis=1)


def _length(loop: FloatArray) -> float:
    return float(np.linalg.norm(loop - np.roll(loop, -1, axis=0), axis=1).sum())
