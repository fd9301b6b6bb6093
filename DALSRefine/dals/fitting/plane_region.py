"""What contours say of their whole plane: where the organ is, and where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.geometry.mesh import FloatArray
from dals.geometry.polylines import loop_length, resample_loop
from dals.observations import Contour

_DENSE_MM = 1.0
_FEWEST = 8


@dataclass(frozen=True, eq=False)
class PlaneRegion:
    """The region that the contours of one plane enclose, by the even-odd rule: a contour within another is a hole.

    Attributes
    ----------
    origin, normal : (3,)
        The plane, RAS mm.
    axes : (3, 2)
        Orthonormal directions in the plane.
    loops : tuple of (N, 2)
        Closed polylines along `axes` from `origin`, mm.
    points : (N, 3)
        At equal steps along the contours, RAS mm.
    normals : (N, 3)
        Unit vectors in the plane that point out of the region there.
    complete : bool
        Whether the contours show all of the organ on the plane.
    """

    origin: FloatArray
    normal: FloatArray
    axes: FloatArray
    loops: tuple[FloatArray, ...]
    points: FloatArray
    normals: FloatArray
    complete: bool = True

    @classmethod
    def of_contours(cls, contours: Sequence[Contour], *, spacing_mm: float) -> PlaneRegion:
        """The region of the contours of one plane, with points about `spacing_mm` apart."""
        origin, normal = (np.asarray(value) for value in contours[0].plane)
        first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
        first /= np.linalg.norm(first)
        axes = np.stack([first, np.cross(normal, first)], axis=1)
        loops = tuple((contour.points - origin) @ axes for contour in contours)
        sampled = [_resampled(loop, spacing_mm) for loop in loops]
        flat = np.concatenate(sampled)
        sideways = np.concatenate([_sideways(loop) for loop in sampled])
        probe = 0.1 * spacing_mm
        outwards = np.where(_is_inside(loops, flat + probe * sideways)[:, None], -sideways, sideways)
        return cls(origin, normal, axes, loops, flat @ axes.T + origin, outwards @ axes.T)

    def signed_distances(self, points: FloatArray) -> FloatArray:
        """Distances (N,) within the plane of points (N, 3), RAS mm, from the contours; negative in the region."""
        flat = (points - self.origin) @ self.axes
        tree, starts, ends = self._search
        nearest = tree.query(flat)[1]
        # The closest point lies on one of the two pieces that meet in the closest sample.
        before = _distances_from_segments(flat, starts[nearest], ends[nearest, 0])
        after = _distances_from_segments(flat, starts[nearest], ends[nearest, 1])
        distances = np.minimum(before, after)
        return np.where(_is_inside(self.loops, flat), -distances, distances)

    @cached_property
    def _search(self) -> tuple[cKDTree, FloatArray, FloatArray]:
        """Dense samples (M, 2) in a tree and as an array, and their two neighbours along the contour, (M, 2, 2)."""
        dense = [_resampled(loop, _DENSE_MM) for loop in self.loops]
        neighbours = [np.stack([np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0)], axis=1) for loop in dense]
        samples = np.concatenate(dense)
        return cKDTree(samples), samples, np.concatenate(neighbours)


def _resampled(loop: FloatArray, spacing: float) -> FloatArray:
    return resample_loop(loop, max(_FEWEST, round(loop_length(loop) / spacing)))


def _sideways(loop: FloatArray) -> FloatArray:
    """Unit normals (N, 2) of a closed polyline (N, 2), all on the same side of it."""
    along = np.roll(loop, -1, axis=0) - np.roll(loop, 1, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    return np.stack([along[:, 1], -along[:, 0]], axis=1)


def _is_inside(loops: Sequence[FloatArray], points: FloatArray) -> NDArray[np.bool_]:
    """Whether points (N, 2) are enclosed by an odd number of closed polylines."""
    starts = np.concatenate(loops)
    ends = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
    height = points[:, 1, None]
    crossing = (starts[:, 1] <= height) != (ends[:, 1] <= height)
    rise = ends[:, 1] - starts[:, 1]
    slope = (ends[:, 0] - starts[:, 0]) / np.where(rise == 0, 1.0, rise)
    right = starts[:, 0] + (height - starts[:, 1]) * slope > points[:, 0, None]
    return np.asarray((crossing & right).sum(axis=1) % 2 == 1)


def _distances_from_segments(points: FloatArray, starts: FloatArray, ends: FloatArray) -> FloatArray:
    """Distance (N,) of each point (N, 2) from a segment of its own."""
    edges, offsets = ends - starts, points - starts
    squared = (edges**2).sum(axis=1)
    fraction = np.clip((offsets * edges).sum(axis=1) / np.where(squared > 0, squared, 1.0), 0.0, 1.0)
    return np.asarray(np.linalg.norm(offsets - fraction[:, None] * edges, axis=1))
