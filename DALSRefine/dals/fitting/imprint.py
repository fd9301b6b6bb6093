"""What was drawn has the last word over a fitted surface.

A fit moves a surface along its normals. It does not reach a small outline that no known shape meets, nor does it open a
narrow fissure that a contour goes around; pulled there, it overlaps itself. Here the surface becomes a field of signed
distances. What overlaps is united, and what is inside out goes. Pieces of a drawn plane that are still on the wrong
side of the surface are imprinted on the field, with a smooth transition to both sides of the plane: those at a missed
contour, pockets within outlines, and slivers beside them. Elsewhere the surface stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dals.fitting.drawn_planes import DrawnPlane, planes_of
from dals.fitting.imprinted_field import field_with
from dals.fitting.plane_image import UNDRAWN, Piece, PlaneImage, is_wrong, pieces_of
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.places import place_text
from dals.geometry.signed_lattice import SignedLattice, in_one_piece, mesh_distance
from dals.geometry.smoothing import without_steps
from dals.geometry.surface_distance import SignedDistance
from dals.geometry.winding import winding_numbers
from dals.observations import PlanarContours
from dals.ops.threads import in_threads

_MISSED, _MISSED_MM = 0.025, (2.0, 3.5)
"""Canonical distance from which a contour is missed and a section strays; millimetres at least, and at most."""
_MISS_COUNTS = 20.0
"""A millimetre by which a contour is missed counts as much as so many by which sections stray."""
_LEAST_GAIN = 0.5
"""The surface stays as it is for a gain of less than so many of these millimetres."""
_OVERLAP, _MUCH_OVERLAP = 1e-3, 5e-3
"""Shares of the volume that overlaps or is inside out. From the former on the surface is made anew, unless that would
keep to less of what was drawn; from the latter on in any case."""
_COARSE, _FINE = (1 / 80, 1_500_000), (1 / 130, 6_000_000)
"""Canonical spacing of a lattice, and how many points it has at most, about. The fine one is for what is left."""
_FEW_PLANES = 3
"""With so few planes, the fine lattice is for missed contours alone. A person waits; and clicked curves leave out
sections that are there, so that their planes often cannot be met all at once."""
_MARGIN = 0.1
_ROUNDS = 3
"""Times that pieces are left out which contradict others."""


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
class _Attempt:
    """A surface, and how well it keeps to what was drawn.

    Attributes
    ----------
    mesh : TriangleMesh
    planes : sequence of DrawnPlane
        What it makes of them.
    missed : float
        How far beyond the tolerance it is from a contour, mm.
    missed_at : (N, 3)
        Points of the contours where it is.
    astray : float
        How far beyond the tolerance its section with a plane is from the contours there, the sum over the planes, mm.
    pieces : sequence of Piece
        That were imprinted on it.
    """

    mesh: TriangleMesh
    planes: Sequence[DrawnPlane]
    missed: float
    missed_at: FloatArray
    astray: float
    pieces: Sequence[Piece] = ()

    @property
    def fault(self) -> float:
        """How much of what was drawn it does not keep to, mm; 0 if it keeps to all of it."""
        return _MISS_COUNTS * self.missed + self.astray


@dataclass(frozen=True, eq=False)
class _Drawing:
    """What a surface is to keep to.

    Attributes
    ----------
    contours : PlanarContours
    regions : sequence of PlaneRegion
        Of their planes, in their order.
    unit : float
        Millimetres in one canonical unit.
    """

    contours: PlanarContours
    regions: Sequence[PlaneRegion]
    unit: float

    @property
    def tolerance(self) -> float:
        """Distance from which a contour is missed, and from which a section of a surface strays, mm."""
        return float(np.clip(_MISSED * self.unit, *_MISSED_MM))

    def is_worth_more(self, attempt: _Attempt) -> bool:
        """Whether a fine lattice should find a better one."""
        return attempt.missed > 0 or (attempt.astray > 0 and len(self.regions) > _FEW_PLANES)

    def attempt(self, mesh: TriangleMesh, pieces: Sequence[Piece] = ()) -> _Attempt:
        """A surface, judged."""
        planes = planes_of(mesh, self.contours, self.regions, undrawn=(UNDRAWN * self.unit) ** 2)
        points = np.concatenate([plane.points for plane in planes])
        misses = np.abs(SignedDistance(mesh).at(points)) - self.tolerance
        far = np.array([(plane.pocket_mm, plane.stray_mm) for plane in planes]) - self.tolerance
        missed, astray = max(float(misses.max()), 0.0), float(np.maximum(far, 0.0).sum())
        return _Attempt(mesh, planes, missed, points[misses > 0], astray, pieces)


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
    drawing = _Drawing(contours, regions, unit)
    before = drawing.attempt(mesh)
    empty = _lattice_around(before, drawing, _COARSE)
    numbers = winding_numbers(mesh, empty)
    overlap = int(np.count_nonzero((numbers > 1) | (numbers < 0))) / max(int(np.count_nonzero(numbers > 0)), 1)
    if overlap <= _OVERLAP and before.fault == 0:
        return None
    best = _best(_attempts(before, drawing, empty, numbers > 0), before if overlap <= _OVERLAP else None)
    if drawing.is_worth_more(best):
        best = _best(_fine_attempts(before, drawing), best)
    if drawing.is_worth_more(best) and best is not before:
        best = _best(_fine_attempts(best, drawing), best)
    least = best.fault + (_LEAST_GAIN if overlap <= _OVERLAP else 0.0)
    if before.fault < least and overlap <= _MUCH_OVERLAP:
        return None
    deep = [piece for piece in best.pieces if piece.depth >= drawing.tolerance / 2]
    deepest = max(deep, key=lambda piece: piece.depth, default=None)
    if deepest is None:
        return Imprint(best.mesh, 0, 0.0, None, overlap)
    return Imprint(best.mesh, len(deep), deepest.depth, deepest.place, overlap)


def _best(attempts: Iterable[_Attempt], best: _Attempt | None) -> _Attempt:
    """The best of attempts, the first of them that has no fault, or the one that was there before."""
    for attempt in attempts:
        best = attempt if best is None or attempt.fault < best.fault else best
        if best.fault == 0:
            break
    assert best is not None
    return best


def _fine_attempts(start: _Attempt, drawing: _Drawing) -> Iterator[_Attempt]:
    empty = _lattice_around(start, drawing, _FINE)
    return _attempts(start, drawing, empty, winding_numbers(start.mesh, empty) > 0)


def _attempts(start: _Attempt, drawing: _Drawing, empty: LabelMap, inside: BoolArray) -> Iterator[_Attempt]:
    """A surface made anew on a lattice, with all pieces of planes imprinted that it is wrong about, then with fewer.

    Parameters
    ----------
    start : _Attempt
    drawing : _Drawing
    empty : LabelMap
        The lattice.
    inside : (K, J, I) bool
        What the surface encloses.
    """
    inside = in_one_piece(np.where(inside, np.float32(-1), np.float32(1))) < 0
    field = mesh_distance(start.mesh, inside.shape, empty.ijk_to_ras, inside=inside)
    lattice = SignedLattice(field, empty.ijk_to_ras, np.full(field.shape, -np.inf, dtype=np.float32), np.eye(4))
    wrong = [plane for plane in start.planes if is_wrong(plane, lattice, tolerance=drawing.tolerance)]
    images = in_threads(lambda plane: PlaneImage.of(plane, lattice, drawing.unit), wrong)
    pieces = [piece for image in images for piece in pieces_of(image, tolerance=drawing.tolerance, unit=drawing.unit)]
    for _ in range(_ROUNDS):
        field, where = field_with(pieces, lattice, start.planes, unit=drawing.unit)
        mesh = without_steps(lattice.surface(in_one_piece(field, where)))
        attempt = drawing.attempt(mesh, [*start.pieces, *pieces])
        yield attempt
        # What is filled or cut off on one plane may contradict what was drawn on another.
        fewer = [piece for piece in pieces if piece.missed or not piece.reaches(attempt.missed_at)]
        if len(fewer) == len(pieces):
            return
        pieces = fewer


def _lattice_around(surface: _Attempt, drawing: _Drawing, resolution: tuple[float, int]) -> LabelMap:
    """An empty grid with cubic voxels around surface and contours."""
    spacing, most = resolution
    ends, unit = np.concatenate([surface.mesh.vertices, drawing.contours.points]), drawing.unit
    low, high = ends.min(axis=0) - _MARGIN * unit, ends.max(axis=0) + _MARGIN * unit
    step = max(spacing * unit, float(((high - low).prod() / most) ** (1 / 3)))
    size = np.ceil((high - low) / step).astype(int) + 1
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = (low + high - (size - 1) * step) / 2  # so that a mirrored surface has the mirrored lattice
    return LabelMap(np.zeros(size[::-1], dtype=np.bool_), matrix, "around the surface")
