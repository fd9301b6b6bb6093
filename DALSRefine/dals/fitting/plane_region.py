"""What contours say of their whole plane: where the organ is, and where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray, IntArray
from dals.geometry.polylines import loop_length, path_length, resample_loop, resample_path
from dals.observations import Contour

_DENSE_MM = 1.0
_FEWEST = 8
_BESIDE_MM = 8.0
"""So far from an outline it shows that the organ ends there, also on a plane that may show more of it elsewhere."""
_NEAR_MM = 25.0
"""So far from an open curve a section of the surface may belong to the part that was not drawn."""
_NEARLY_ROUND = 0.5
"""Distance between the ends of an open curve, as a share of its length, below which it encloses most of a region."""
_NEARLY_ALL = 0.9
"""Share of a curve from which on it lies in what others enclose."""
_LOOP, _STRETCH, _END = 0, 1, 2


@dataclass(frozen=True, eq=False)
class PlaneRegion:
    """The region that the contours of one plane enclose, by the even-odd rule: a contour within another is a hole.

    Along an open curve only the two sides next to it are known: what lies nearest to one of its ends is not. What it
    encloses for the even-odd rule ends at the line between its ends.

    Attributes
    ----------
    origin, normal : (3,)
        The plane, RAS mm.
    axes : (3, 2)
        Orthonormal directions in the plane.
    loops : tuple of (N, 2)
        Closed polylines along `axes` from `origin`, mm.
    stretches : tuple of (N, 2)
        Open polylines, likewise.
    points : (N, 3)
        At equal steps along all of them, RAS mm.
    normals : (N, 3)
        Unit vectors in the plane that point out of the region there.
    complete : bool
        Whether the contours show all of the organ on the plane.
    """

    origin: FloatArray
    normal: FloatArray
    axes: FloatArray
    loops: tuple[FloatArray, ...]
    stretches: tuple[FloatArray, ...]
    points: FloatArray
    normals: FloatArray
    complete: bool = True

    @classmethod
    def of_contours(
        cls, contours: Sequence[Contour], *, spacing_mm: float, middle: FloatArray | None = None
    ) -> PlaneRegion:
        """The region of the contours of one plane, with points about `spacing_mm` apart.

        `middle` (3,), RAS mm, is inside of the organ, about; on its side of a short open curve is the region.
        """
        origin, normal = (np.asarray(value) for value in contours[0].plane)
        first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
        first /= np.linalg.norm(first)
        axes = np.stack([first, np.cross(normal, first)], axis=1)
        loops = tuple((contour.points - origin) @ axes for contour in contours if contour.closed)
        within = None if middle is None else (middle - origin) @ axes
        open_ones = [(contour.points - origin) @ axes for contour in contours if not contour.closed]
        # With the region on the left of each stretch, its normals point out of it.
        stretches = tuple(
            _with_region_on_left(stretch, within, [*loops, *open_ones[:index], *open_ones[index + 1 :]])
            for index, stretch in enumerate(open_ones)
        )
        flat, outwards = [], []
        for loop in loops:
            sampled = _resampled(loop, spacing_mm)
            sideways = _sideways(np.roll(sampled, -1, axis=0) - np.roll(sampled, 1, axis=0))
            inward = _is_inside(loops, sampled + 0.1 * spacing_mm * sideways) != _lies_within(loop, open_ones)
            flat.append(sampled)
            outwards.append(np.where(inward[:, None], -sideways, sideways))
        for stretch in stretches:
            sampled = resample_path(stretch, max(_FEWEST, round(path_length(stretch) / spacing_mm)))
            flat.append(sampled)
            outwards.append(_sideways(np.gradient(sampled, axis=0)))
        complete = not any(contour.open_plane for contour in contours)
        points, normals = np.concatenate(flat) @ axes.T + origin, np.concatenate(outwards) @ axes.T
        return cls(origin, normal, axes, loops, stretches, points, normals, complete)

    def signed_distances(self, points: FloatArray, facing: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far points are from the contours, and whether they are known to be there.

        Parameters
        ----------
        points : (N, 3)
            Of a surface's section, on the plane, RAS mm.
        facing : (N, 3)
            Normals of the surface there.

        Returns
        -------
        distances : (N,)
            Within the plane, mm; negative in the region.
        known : (N,)
            From 0 to 1. It is 0 where the section may well be: beyond the end of an open curve, on the other side of
            the organ than the curve or `_NEAR_MM` from it, and outside of all contours of a plane that may show more
            of the organ, `_BESIDE_MM` from them.
        """
        signed, kind, outwards = self._from_nearest(points)
        alike = np.clip((outwards * (facing @ self.axes)).sum(axis=1), 0.0, 1.0)
        beside = np.where(kind == _END, 0.0, alike * _fading(np.abs(signed), _NEAR_MM))
        return signed, self._known(signed, kind, beside)

    def sides(self, points: FloatArray, *, beyond_mm: float) -> tuple[FloatArray, FloatArray]:
        """The same for any points (N, 3) of the plane: the sides of an open curve are known everywhere beside it.

        Beyond its ends they are known less and less, up to `beyond_mm`.
        """
        signed, kind, _ = self._from_nearest(points)
        beside = np.where(kind == _END, np.clip(2 * (1 - np.abs(signed) / beyond_mm), 0.0, 1.0), 1.0)
        return signed, self._known(signed, kind, beside)

    def _known(self, signed: FloatArray, kind: IntArray, beside: FloatArray) -> FloatArray:
        """How well places (N,) are known if those beside open curves are known so well."""
        known = np.where(kind == _LOOP, 1.0, beside)
        return known if self.complete else known * _fading(np.maximum(signed, 0.0), _BESIDE_MM)

    def _from_nearest(self, points: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
        """Signed distances (N,) of points (N, 3), kinds of what is nearest, and its normals (N, 2) along the axes."""
        flat = (points - self.origin) @ self.axes
        tree, starts, ends, kinds, swapped = self._search
        nearest = tree.query(flat)[1]
        # The closest point lies on one of the two pieces that meet in the closest sample.
        before = _distances_from_segments(flat, starts[nearest], ends[nearest, 0])
        after = _distances_from_segments(flat, starts[nearest], ends[nearest, 1])
        distances = np.minimum(before, after)
        along = ends[nearest, 1] - ends[nearest, 0]
        offset = flat - starts[nearest]
        on_left = along[:, 0] * offset[:, 1] - along[:, 1] * offset[:, 0] > 0
        inside = np.where(kinds[nearest] == _LOOP, _is_inside(self.loops, flat) != swapped[nearest], on_left)
        outwards = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        return np.where(inside, -distances, distances), kinds[nearest], outwards

    @cached_property
    def _search(self) -> tuple[cKDTree, FloatArray, FloatArray, IntArray, BoolArray]:
        """Dense samples in a tree and as an array (M, 2), their neighbours along the contour (M, 2, 2), their kinds.

        And whether the sides of their contour are swapped, since it lies within open curves.
        """
        samples, neighbours, kinds, swapped = [], [], [], []
        for loop in self.loops:
            dense = _resampled(loop, _DENSE_MM)
            samples.append(dense)
            neighbours.append(np.stack([np.roll(dense, 1, axis=0), np.roll(dense, -1, axis=0)], axis=1))
            kinds.append(np.full(len(dense), _LOOP))
            swapped.append(np.full(len(dense), _lies_within(loop, self.stretches)))
        for stretch in self.stretches:
            dense = resample_path(stretch, max(_FEWEST, round(path_length(stretch) / _DENSE_MM)))
            samples.append(dense)
            neighbours.append(
                np.stack([np.concatenate([dense[:1], dense[:-1]]), np.concatenate([dense[1:], dense[-1:]])], axis=1)
            )
            kind = np.full(len(dense), _STRETCH)
            kind[[0, -1]] = _END
            kinds.append(kind)
            swapped.append(np.zeros(len(dense), dtype=np.bool_))
        together = np.concatenate(samples)
        tables = (np.concatenate(parts) for parts in (neighbours, kinds, swapped))
        return cKDTree(together), together, *tables


def _fading(distances: FloatArray, reach: float) -> FloatArray:
    """Smoothly from 1 at a distance of 0 to 0 at `reach`."""
    return np.asarray((1 - np.clip(distances / reach, 0.0, 1.0) ** 2) ** 2)


def _with_region_on_left(stretch: FloatArray, within: FloatArray | None, others: Sequence[FloatArray]) -> FloatArray:
    """An open polyline (N, 2), reversed if need be so that the region lies on its left.

    A curve that goes most of the way round tells by itself on which side: within it. One that lies in what the other
    curves of the plane enclose is of a hole or of a dent there: the region is not within it. Otherwise the region is
    where the middle is.
    """
    x, y = (stretch - stretch.mean(axis=0)).T
    turn = float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    ends_apart = float(np.linalg.norm(stretch[-1] - stretch[0]))
    if _lies_within(stretch, others):
        turn = -turn
    elif within is not None and ends_apart > _NEARLY_ROUND * path_length(stretch):
        along, towards = np.diff(stretch, axis=0), within - stretch[:-1]
        turn = float((along[:, 0] * towards[:, 1] - along[:, 1] * towards[:, 0]).sum())
    return stretch if turn > 0 else stretch[::-1]


def _lies_within(curve: FloatArray, others: Sequence[FloatArray]) -> bool:
    """Whether a curve (N, 2) lies in what others enclose, by the even-odd rule."""
    return bool(_is_inside(others, curve).mean() > _NEARLY_ALL)


def _resampled(loop: FloatArray, spacing: float) -> FloatArray:
    return resample_loop(loop, max(_FEWEST, round(loop_length(loop) / spacing)))


def _sideways(along: FloatArray) -> FloatArray:
    """Unit normals (N, 2) on the right of directions (N, 2)."""
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    return np.stack([along[:, 1], -along[:, 0]], axis=1)


def _is_inside(loops: Sequence[FloatArray], points: FloatArray) -> BoolArray:
    """Whether points (N, 2) are enclosed by an odd number of closed polylines."""
    if not loops:
        return np.zeros(len(points), dtype=np.bool_)
    starts = np.concatenate(loops)
    ends = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
    # In the order of their heights, the points that an edge passes stand side by side.
    order = np.argsort(points[:, 1])
    heights = points[order, 1]
    first = np.searchsorted(heights, np.minimum(starts[:, 1], ends[:, 1]), side="left")
    passed = np.searchsorted(heights, np.maximum(starts[:, 1], ends[:, 1]), side="left") - first
    edge = np.repeat(np.arange(len(starts)), passed)
    point = order[np.arange(len(edge)) + np.repeat(first - (np.cumsum(passed) - passed), passed)]
    rise = ends[:, 1] - starts[:, 1]
    slope = (ends[:, 0] - starts[:, 0]) / np.where(rise == 0, 1.0, rise)
    right = starts[edge, 0] + (points[point, 1] - starts[edge, 1]) * slope[edge] > points[point, 0]
    return np.asarray(np.bincount(point[right], minlength=len(points)) % 2 == 1)


def _distances_from_segments(points: FloatArray, starts: FloatArray, ends: FloatArray) -> FloatArray:
    """Distance (N,) of each point (N, 2) from a segment of its own."""
    edges, offsets = ends - starts, points - starts
    squared = (edges**2).sum(axis=1)
    fraction = np.clip((offsets * edges).sum(axis=1) / np.where(squared > 0, squared, 1.0), 0.0, 1.0)
    return np.asarray(np.linalg.norm(offsets - fraction[:, None] * edges, axis=1))
