"""Pieces of a drawn plane that lie on the wrong side of a surface: found on pixels of the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from dals.fitting.drawn_planes import DrawnPlane
from dals.geometry.mesh import FloatArray
from dals.geometry.signed_lattice import SignedLattice

_FINER = 2
"""Pixels along a side of the lattice's voxels."""
_MARGIN = 0.1
"""Canonical width of the plane around contours and section."""
_LENGTH, _GAP = 0.04, 0.6
"""Standard deviation of the transition across a plane, canonical, and as a share of the gap that is to be bridged."""
REACH = 2.5
"""Standard deviations at which it ends."""
_FADING = 0.04
"""Canonical distance around a piece, within its plane, over which its change fades."""
_SOFT = 0.016
"""Canonical distance that an outline counts for at most where the surface is near."""
ROUND_ENDS = 0.04
"""Canonical distance beyond the ends of an open curve up to which its sides are known."""
_FAR = 2.0
"""Up to so many times as far from an open curve as the surface is from it, its sides are imprinted. No more is cut off,
either, of what nobody outlined."""
UNDRAWN = 0.15
"""Canonical side of a square. Sections that nobody outlined are cut off up to its area. Larger ones are there more
often than not; a note asks for them."""


@dataclass(frozen=True, eq=False)
class PlaneImage:
    """What is known of a drawn plane, and what the surface makes of it, on pixels (M, N).

    Attributes
    ----------
    plane : DrawnPlane
    low : (2,)
        Of the first pixel, mm along the plane's axes.
    step : float
        Between pixels, mm.
    outside : (M, N)
        Signed distance from what was drawn, mm.
    known : (M, N)
        How well, from 0 to 1.
    before : (M, N)
        Signed distance from the surface, mm.
    misses : (K,)
        Distance of the points of the plane's contours from the surface, mm.
    """

    plane: DrawnPlane
    low: FloatArray
    step: float
    outside: FloatArray
    known: FloatArray
    before: FloatArray
    misses: FloatArray

    @classmethod
    def of(cls, plane: DrawnPlane, lattice: SignedLattice, unit: float) -> PlaneImage:
        """The image of a plane; `unit` is the millimetres in one canonical unit."""
        region, step = plane.region, float(lattice.spacing[0]) / _FINER
        flat = (np.concatenate([plane.points, plane.section]) - region.origin) @ region.axes
        low = flat.min(axis=0) - _MARGIN * unit
        size = np.ceil((flat.max(axis=0) + _MARGIN * unit - low) / step).astype(int) + 1
        places = _pixels(size, low, step) @ region.axes.T + region.origin
        outside, known = region.sides(places, beyond_mm=ROUND_ENDS * unit)
        outside, known, before = (part.reshape(size) for part in (outside, known, lattice.at(lattice.values, places)))
        misses = np.abs(lattice.at(lattice.values, plane.points))
        return cls(plane, low, step, outside, known, before, misses)

    @property
    def places(self) -> FloatArray:
        """The pixels, RAS mm, (M N, 3)."""
        region = self.plane.region
        return np.asarray(_pixels(self.known.shape, self.low, self.step) @ region.axes.T + region.origin)

    def at(self, values: NDArray[np.float32], points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (M, N) of pixels at points (N, 3), RAS mm, beside the plane; 0 outside. And the points' distances."""
        region = self.plane.region
        offsets = points - region.origin
        pixels = (offsets @ region.axes - self.low) / self.step
        found = ndimage.map_coordinates(values, pixels.T, order=1, mode="constant")
        return found, np.abs(offsets @ region.normal)


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected part of a plane that is on the wrong side of the surface.

    Attributes
    ----------
    image : PlaneImage
    missed : bool
        Whether a contour shows it that the surface misses.
    change : (M, N) float32
        What the field lacks on the pixels of its plane, mm.
    length : float
        Standard deviation of the transition across the plane, mm.
    depth : float
        Largest distance from the surface, mm.
    place : (3,)
        Where that is, RAS mm.
    """

    image: PlaneImage
    missed: bool
    change: NDArray[np.float32]
    length: float
    depth: float
    place: FloatArray

    def reaches(self, points: FloatArray) -> bool:
        """Whether its change goes as far as any of the points (N, 3), RAS mm."""
        change, away = self.image.at(self.change, points)
        return bool(((change != 0) & (away < REACH * self.length)).any())


def is_wrong(plane: DrawnPlane, lattice: SignedLattice, *, tolerance: float) -> bool:
    """Whether a surface misses points of a plane's contours, or its section is far from them."""
    if max(plane.pocket_mm, plane.stray_mm) > tolerance:
        return True
    return bool((np.abs(lattice.at(lattice.values, plane.points)) > tolerance).any())


def pieces_of(image: PlaneImage, *, tolerance: float, unit: float) -> list[Piece]:
    """Those parts of a plane that miss points of its contours, or are far from them.

    Parameters
    ----------
    image : PlaneImage
    tolerance : float
        Distance from which a contour is missed, and from all contours from which a section of the surface strays, mm.
    unit : float
        Millimetres in one canonical unit.
    """
    plane, region, known = image.plane, image.plane.region, image.known
    missed, misses = plane.points[image.misses > tolerance], image.misses[image.misses > tolerance]
    strays = max(plane.pocket_mm, plane.stray_mm) > tolerance
    if region.stretches:
        # What an open curve says of places far from it depends on what was not drawn.
        known = known * _beside(image, missed, misses)
    wrong = ((image.outside < 0) != (image.before < 0)) & (known > 0)
    labels, _ = ndimage.label(wrong, structure=np.ones((3, 3)))
    shown = _labels_at(labels, ((missed - region.origin) @ region.axes - image.low) / image.step)
    most = (UNDRAWN * unit / image.step) ** 2
    straying = _straying(labels, image.outside, tolerance, most=most) if strays else set()
    found = []
    for label in sorted(shown | straying):
        piece, counts = labels == label, known
        if len(missed) and image.before[piece].mean() < 0 and np.count_nonzero(piece) > most:
            # Nobody outlined it, but it is too large for that: it stays but for what makes the surface miss a contour.
            counts = known * _beside(image, missed, misses)
            piece &= counts > 0
        depths = np.where(piece, np.abs(image.before), 0)
        depth = float(depths.max())
        away = ndimage.distance_transform_edt(~piece) * image.step
        share = np.clip(1 - away / (_FADING * unit), 0, 1)
        wanted = np.sign(image.outside) * np.minimum(
            np.abs(image.outside), np.maximum(np.abs(image.before), _SOFT * unit)
        )
        change = share**2 * (3 - 2 * share) * counts * (wanted - image.before)
        if not change.any():
            continue
        # A part that is added has to reach the rest of the organ.
        added = float(image.before[piece].mean()) > 0
        length = max(_LENGTH * unit, _GAP * depth if added else 0.0)
        place = np.array(np.unravel_index(depths.argmax(), depths.shape)) * image.step + image.low
        place = region.axes @ place + region.origin
        found.append(Piece(image, label in shown, change.astype(np.float32), length, depth, place))
    return found


def _beside(image: PlaneImage, missed: FloatArray, misses: FloatArray) -> FloatArray:
    """How near pixels (M, N) are to missed points (K, 3), from 0 to 1, as far as these are missed, (K,)."""
    away, nearest = cKDTree(missed).query(image.places)
    return np.asarray(np.clip(_FAR - away / misses[nearest], 0, 1).reshape(image.known.shape))


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


def _pixels(size: Sequence[int], low: FloatArray, step: float) -> FloatArray:
    """Places (M N, 2) of pixels (M, N) along a plane's axes, mm."""
    return np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 2) * step + low
