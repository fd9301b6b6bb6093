"""What an observation says about the signed distance: bounds at points of the canonical frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from benchmarks.systems.base import Observation, Section, canonical_points, canonical_sections
from benchmarks.systems.outlines import inside, plane_axes
from dals.mesh import FloatArray
from dals.observations import PointCloud
from dals.pose import Pose

BoolArray = NDArray[np.bool_]

_CELL = 0.04
_REACHES = (1.1, 1.35, 1.6, 2.0)
_NEIGHBOURS = 12
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
    spacing = float(np.median(tree.query(points, k=_NEIGHBOURS // 2)[0][:, -1]))
    outside, inside = max(
        (_certain_cells(points, tree, reach=reach * spacing) for reach in _REACHES), key=lambda found: len(found[1])
    )
    normals = _normals(points, tree, outside, inside)
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


def _certain_cells(points: FloatArray, tree: cKDTree, *, reach: float) -> tuple[FloatArray, FloatArray]:
    """The centres of the cells of a grid that are certainly outside and certainly inside.

    Cells farther than `reach` from all points are outside if a path of such cells leads to the border of the box.
    Too small a reach leaves holes through which the outside flows in, too large a one little inside: the best is the
    one with the most inside.
    """
    half = int(np.ceil((np.abs(points).max() + 2 * reach) / _CELL))
    axis = _CELL * np.arange(-half, half + 1)
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    free = (tree.query(centres.reshape(-1, 3), distance_upper_bound=reach)[0] > reach).reshape(centres.shape[:3])
    regions, _ = ndimage.label(free)
    outside = regions == regions[0, 0, 0]
    near = np.linalg.norm(centres, axis=-1) < 1.2
    return centres[outside & near], centres[free & ~outside]


def _is_among(points: FloatArray, centres: FloatArray) -> BoolArray:
    if not len(centres):
        return np.zeros(len(points), dtype=np.bool_)
    return np.asarray(cKDTree(centres).query(points)[0] < 0.1 * _CELL)


def _normals(points: FloatArray, tree: cKDTree, outside: FloatArray, inside: FloatArray) -> FloatArray:
    """Normals of the planes through the neighbours, turned to where outside is nearer than inside."""
    neighbours = points[tree.query(points, k=min(_NEIGHBOURS, len(points)))[1]]
    centred = neighbours - neighbours.mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))[1][:, :, 0]
    towards = np.zeros(len(points))
    for step in (0.05, 0.1, 0.15, 0.2):
        for sign in (1.0, -1.0):
            probes = points + sign * step * normals
            towards += sign * (_nearness(probes, outside) - _nearness(probes, inside))
    # Neighbours agree on a side: this mends the few that were undecided.
    index = tree.query(points, k=min(_NEIGHBOURS, len(points)))[1]
    towards = np.tanh(4 * towards)
    for _ in range(10):
        alike = np.einsum("ni,nki->nk", normals, normals[index])
        towards = np.tanh(2 * towards + (alike * towards[index]).mean(axis=1))
    return np.asarray(normals * np.where(towards < 0, -1.0, 1.0)[:, None])


def _nearness(points: FloatArray, centres: FloatArray) -> FloatArray:
    if not len(centres):
        return np.zeros(len(points))
    return np.asarray(np.exp(-((cKDTree(centres).query(points)[0] / 0.05) ** 2)))


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
