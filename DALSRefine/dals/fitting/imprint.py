"""What was drawn has the last word over a fitted surface.

A fit moves a surface along its normals. It does not reach a small outline that no known shape meets, nor does it open a
narrow fissure that a contour goes around; pulled there, it overlaps itself. Here the surface becomes a field of signed
distances. What overlaps is united, and what is inside out goes. Pieces of a drawn plane that are still on the wrong
side of the surface are imprinted on the field, with a smooth transition to both sides of the plane: those at a missed
contour, pockets within outlines, and slivers beside them. Elsewhere the surface stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from dals.fitting.drawn_planes import DrawnPlane, largest_miss, planes_of
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.places import place_text
from dals.geometry.signed_lattice import Field, SignedLattice, in_one_piece, mesh_distance
from dals.geometry.smoothing import without_steps
from dals.geometry.winding import winding_numbers
from dals.observations import PlanarContours

_MISSED, _LEAST_MM = 0.025, 2.0
"""Canonical distance, and millimetres at least, from which a contour is missed."""
_OVERLAP = 1e-3
"""Share of the volume that overlaps or is inside out, from which the surface is made anew."""
_STEP, _MOST_POINTS = 1 / 80, 1_500_000
"""Canonical spacing of the lattice, and how many points it has at most, about."""
_FINER = 2
"""Pixels of a plane along a side of the lattice's voxels."""
_MARGIN = 0.1
_LENGTH, _GAP = 0.04, 0.6
"""Standard deviation of the transition across a plane, canonical, and as a share of the gap that is to be bridged."""
_REACH = 2.5
"""Standard deviations at which it ends."""
_FADING = 0.04
"""Canonical distance around a piece, within its plane, over which its change fades."""
_SOFT = 0.016
"""Canonical distance that an outline counts for at most where the surface is near."""
_ROUND_ENDS = 0.04
"""Canonical distance beyond the ends of an open curve up to which its sides are known."""
_FAR = 2.0
"""Up to so many times as far from an open curve as the surface is from it, its sides are imprinted."""
_STRAYS = 1.2
"""Times as far from all contours, a section of the surface strays."""
_SLIVER = 0.15
"""Canonical side of a square. Sections that nobody outlined are cut off up to its area. Larger ones are there more
often than not; a note asks for them."""


@dataclass(frozen=True, eq=False)
class Imprint:
    """A surface made anew.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm.
    pieces : int
        Of planes, that were imprinted; shallow ones do not count.
    depth_mm : float
        How far the deepest of them was from the surface; 0 without any.
    place : (3,) or None
        Where that is, RAS mm.
    overlap : float
        Share of the volume that overlapped or was inside out.
    """

    mesh: TriangleMesh
    pieces: int
    depth_mm: float
    place: FloatArray | None
    overlap: float

    @property
    def note(self) -> str | None:
        """What a person should know."""
        if self.place is None:
            return None
        where = "In 1 place" if self.pieces == 1 else f"In {self.pieces} places"
        return (
            f"{where} no shape that the prior knows meets what was drawn, by up to {self.depth_mm:.0f} mm at "
            f"{place_text(self.place)}; the surface follows the drawing there."
        )

    def entry(self) -> dict[str, Any]:
        """For the report."""
        figures: dict[str, Any] = {"pieces": self.pieces, "overlap_percent": round(100 * self.overlap, 2)}
        if self.place is not None:
            figures |= {"depth_mm": self.depth_mm, "deepest_at_ras_mm": [float(value) for value in self.place]}
        return figures


@dataclass(frozen=True, eq=False)
class _Piece:
    """A connected part of a plane that is on the wrong side of the surface.

    Attributes
    ----------
    missed : bool
        Whether a contour shows it that the surface misses.
    region : PlaneRegion
    low : (2,)
        Of the plane's pixels, mm along its axes.
    change : (M, N) float32
        What the field lacks there, mm.
    length : float
        Standard deviation of the transition across the plane, mm.
    depth : float
        Largest distance from the surface, mm.
    place : (3,)
    """

    missed: bool
    region: PlaneRegion
    low: FloatArray
    change: NDArray[np.float32]
    length: float
    depth: float
    place: FloatArray


def imprinted(
    mesh: TriangleMesh, contours: PlanarContours, regions: Sequence[PlaneRegion], *, unit: float
) -> Imprint | None:
    """Make a surface anew that misses what was drawn, strays from it or overlaps itself; None if it is to stay.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed, RAS mm.
    contours : PlanarContours
    regions : sequence of PlaneRegion
        Of the planes of the contours, in their order.
    unit : float
        Millimetres in one canonical unit.
    """
    tolerance = max(_MISSED * unit, _LEAST_MM)
    stray = _STRAYS * tolerance
    planes = planes_of(mesh, contours, regions)
    empty = _lattice_around(mesh, contours, unit)
    numbers = winding_numbers(mesh, empty)
    inside = int(np.count_nonzero(numbers > 0))
    overlap = int(np.count_nonzero((numbers > 1) | (numbers < 0))) / max(inside, 1)
    missed = largest_miss(mesh, planes)
    needed = overlap > _OVERLAP or missed > tolerance
    if not needed and max(max(plane.pocket_mm, plane.stray_mm) for plane in planes) <= stray:
        return None
    field = mesh_distance(mesh, empty.array.shape, empty.ijk_to_ras, inside=numbers > 0)
    nowhere = np.full(field.shape, -np.inf, dtype=np.float32)
    lattice = SignedLattice(field, empty.ijk_to_ras, nowhere, np.eye(4))
    pieces = [piece for plane in planes for piece in _pieces(lattice, plane, tolerance, stray, unit)]
    surface = _surface(lattice, pieces)
    still_missed = largest_miss(surface, planes)
    if still_missed > tolerance and not all(piece.missed for piece in pieces):
        # What is filled or cut off on one plane may contradict what was drawn on another.
        fewer = [piece for piece in pieces if piece.missed]
        without = _surface(lattice, fewer)
        missed_without = largest_miss(without, planes)
        if missed_without < still_missed:
            pieces, surface, still_missed = fewer, without, missed_without
    if not needed and not pieces and _pocket(planes) - _pocket(planes_of(surface, contours, regions)) < tolerance:
        return None  # nothing is gained
    if overlap <= _OVERLAP and still_missed > max(missed, tolerance):
        return None  # a cleft that was drawn is thinner than the lattice
    deep = [piece for piece in pieces if piece.depth >= tolerance / 2]
    deepest = max(deep, key=lambda piece: piece.depth, default=None)
    if deepest is None:
        return Imprint(surface, 0, 0.0, None, overlap)
    return Imprint(surface, len(deep), deepest.depth, deepest.place, overlap)


def _pocket(planes: Sequence[DrawnPlane]) -> float:
    return max(plane.pocket_mm for plane in planes)


def _surface(lattice: SignedLattice, pieces: Sequence[_Piece]) -> TriangleMesh:
    changed, where = _changed(lattice, pieces)
    return without_steps(lattice.surface(in_one_piece(changed, where)))


def _lattice_around(mesh: TriangleMesh, contours: PlanarContours, unit: float) -> LabelMap:
    """An empty grid with cubic voxels around surface and contours."""
    ends = np.concatenate([mesh.vertices, contours.points])
    low, high = ends.min(axis=0) - _MARGIN * unit, ends.max(axis=0) + _MARGIN * unit
    step = max(_STEP * unit, float(((high - low).prod() / _MOST_POINTS) ** (1 / 3)))
    size = np.ceil((high - low) / step).astype(int) + 1
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = (low + high - (size - 1) * step) / 2  # so that a mirrored surface has the mirrored lattice
    return LabelMap(np.zeros(size[::-1], dtype=np.bool_), matrix, "around the surface")


def _pieces(lattice: SignedLattice, plane: DrawnPlane, tolerance: float, stray: float, unit: float) -> list[_Piece]:
    """Those parts of a plane that miss points of its contours, or are far from them."""
    region, step = plane.region, float(lattice.spacing[0]) / _FINER
    misses = np.abs(lattice.at(lattice.values, plane.points))
    missed, misses = plane.points[misses > tolerance], misses[misses > tolerance]
    strays = max(plane.pocket_mm, plane.stray_mm) > stray
    if len(missed) == 0 and not strays:
        return []
    flat = (np.concatenate([plane.points, plane.section]) - region.origin) @ region.axes
    low = flat.min(axis=0) - _MARGIN * unit
    size = np.ceil((flat.max(axis=0) + _MARGIN * unit - low) / step).astype(int) + 1
    pixels = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 2) * step + low
    places = pixels @ region.axes.T + region.origin
    outside, known = (part.reshape(size) for part in region.sides(places, beyond_mm=_ROUND_ENDS * unit))
    if region.stretches:
        # What an open curve says of places far from it depends on what was not drawn.
        away, nearest = cKDTree(missed).query(places)
        known = known * np.clip(_FAR - away / misses[nearest], 0, 1).reshape(size)
    before = lattice.at(lattice.values, places).reshape(size)
    wrong = ((outside < 0) != (before < 0)) & (known > 0)
    labels, _ = ndimage.label(wrong, structure=np.ones((3, 3)))
    shown = _labels_at(labels, ((missed - region.origin) @ region.axes - low) / step)
    straying = _straying(labels, outside, stray, most=(_SLIVER * unit / step) ** 2) if strays else set()
    found = []
    for label in sorted(shown | straying):
        piece = labels == label
        depths = np.where(piece, np.abs(before), 0)
        depth = float(depths.max())
        away = ndimage.distance_transform_edt(~piece) * step
        share = np.clip(1 - away / (_FADING * unit), 0, 1)
        wanted = np.sign(outside) * np.minimum(np.abs(outside), np.maximum(np.abs(before), _SOFT * unit))
        change = share**2 * (3 - 2 * share) * known * (wanted - before)
        # A part that is added has to reach the rest of the organ.
        added = float(before[piece].mean()) > 0
        length = max(_LENGTH * unit, _GAP * depth if added else 0.0)
        place = np.array(np.unravel_index(depths.argmax(), depths.shape)) * step + low
        place = region.axes @ place + region.origin
        found.append(_Piece(label in shown, region, low, change.astype(np.float32), length, depth, place))
    return found


def _straying(labels: NDArray[np.int32], outside: FloatArray, stray: float, *, most: float) -> set[int]:
    """Labels of pockets within what was drawn, and of slivers beside it, which have `most` pixels."""
    far = np.unique(labels[np.abs(outside) > stray])
    sizes = np.bincount(labels.ravel())
    pockets = np.unique(labels[outside < 0])
    return {int(label) for label in far if label and (label in pockets or sizes[label] <= most)}


def _labels_at(labels: NDArray[np.int32], at: FloatArray) -> set[int]:
    """Labels of the pixels (N, 2) and of those beside them, but 0."""
    nearest, last = np.rint(at).astype(int), np.array(labels.shape) - 1
    found: set[int] = set()
    for beside in np.ndindex(3, 3):
        i, j = np.clip(nearest + beside - 1, 0, last).T
        found.update(np.unique(labels[i, j]).tolist())
    return found - {0}


def _changed(lattice: SignedLattice, pieces: Sequence[_Piece]) -> tuple[Field, BoolArray]:
    """The field with all pieces imprinted, and where it may have changed.

    Where the transitions of several planes meet, each counts the more, the nearer its plane is.
    """
    total, weight = np.zeros_like(lattice.values), np.zeros_like(lattice.values)
    step, low = float(lattice.spacing[0]), lattice.ijk_to_ras[:3, 3]
    for piece in pieces:
        region, touched = piece.region, np.argwhere(piece.change)
        corners = (touched * (step / _FINER) + piece.low) @ region.axes.T + region.origin
        first = np.floor((corners.min(axis=0) - _REACH * piece.length - low) / step).astype(int)
        last = np.ceil((corners.max(axis=0) + _REACH * piece.length - low) / step).astype(int)
        size = np.array(lattice.values.shape[::-1])
        ranges = [np.arange(max(a, 0), min(b + 1, n)) for a, b, n in zip(first, last, size, strict=True)]
        i, j, k = ranges
        offsets = np.stack(np.meshgrid(k, j, i, indexing="ij")[::-1], axis=-1) * step + low - region.origin
        away = np.abs(offsets @ region.normal)
        pixels = (offsets @ region.axes - piece.low) * _FINER / step
        change = ndimage.map_coordinates(piece.change, pixels.reshape(-1, 2).T, order=1, mode="constant")
        change = change.reshape(away.shape)
        nearness = np.where(change != 0, 1 / np.maximum(away, step / 4), 0.0)
        box = tuple(slice(int(part[0]), int(part[-1]) + 1) for part in (k, j, i))
        total[box] += nearness * change * np.exp(-0.5 * (away / piece.length) ** 2)
        weight[box] += nearness
    return np.asarray(lattice.values + total / np.maximum(weight, np.float32(1e-9)), dtype=np.float32), weight > 0
