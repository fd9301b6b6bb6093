"""Closed surfaces of genus 0 from voxel masks.

Segmentations have tunnels, where a vessel or a hole of one voxel leads through a thin lobe, and bridges, where two
lobes touch. The template is a sphere, so each of these handles is filled or cut locally; the rest of the organ stays
as it is.

Known alternatives are slower, under the GPL or AGPL, or no longer maintained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dals.dataset.patches import Patch, morphological_patches
from dals.dataset.thin_places import thin_patches
from dals.errors import InputError
from dals.geometry.isosurface import flying_edges
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import SPHERE_EULER_CHARACTERISTIC, TriangleMesh

FloatVolume = NDArray[np.float32]

REPAIR_RADII = (1, 2, 3, 4, 5, 6, 8, 10)
LEVELS = (0.3, 0.6)
MAX_THIN_CHANGE = 0.01
"""Share of the voxels that a repair may change at the thinnest places of wide handles."""
_VOLUME_TOLERANCE = 0.003
_LEVEL_CORRECTIONS = 3
_TRUNCATE = 4.0


def largest_solid_component(mask: BoolArray) -> BoolArray:
    """Largest face-connected component of a mask, with its cavities filled.

    Parameters
    ----------
    mask : (Z, Y, X) bool

    Returns
    -------
    (Z, Y, X) bool

    Raises
    ------
    InputError
        If the mask is empty.
    """
    if not mask.any():
        raise InputError("Nothing is left of the shape on a 1 mm grid: it is empty or far too small.")
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    components = sitk.RelabelComponent(sitk.ConnectedComponent(image))
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(components == 1)), dtype=bool)


def isosurface(mask: BoolArray, *, smoothing: float = 1.0) -> TriangleMesh:
    """Closed surface of the largest component of a smoothed mask, with the volume of the mask.

    A Gaussian removes the staircase, but its half-height contour shrinks curved parts, a sphere of radius R by
    sigma^2 / R. The contour is therefore drawn at the grey value near one half that encloses the volume of the
    mask.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        Farther from the border than four times `smoothing`.
    smoothing : float
        Standard deviation of the Gaussian, voxels.

    Returns
    -------
    TriangleMesh
        In voxel coordinates (x, y, z), faces pointing outwards; of any genus.
    """
    field = _smooth(mask, smoothing)
    volume = float(mask.sum())
    level = _level_of_equal_volume(field, volume, smoothing)
    surface = _largest_piece(flying_edges(field, level))
    for _ in range(_LEVEL_CORRECTIONS):
        excess = surface.volume - volume
        if abs(excess) <= _VOLUME_TOLERANCE * volume:
            break
        # The estimate is off for small, strongly curved organs. The surface itself shows by how much.
        level = float(np.clip(level + _slope(smoothing) * excess / surface.area, *LEVELS))
        surface = _largest_piece(flying_edges(field, level))
    return surface


@dataclass(frozen=True)
class SphereLike:
    """A surface of genus 0, and what was done to have it.

    Attributes
    ----------
    surface : TriangleMesh
        Closed, one piece, Euler characteristic 2; voxel coordinates (x, y, z).
    mask : (Z, Y, X) bool
        Of the surface.
    handles : int
        That the original mask had.
    cut, filled : float
        Shares of the original voxels that were taken away and added.
    at_thin_places : bool
        Whether a handle was cut at its thinnest place, or its hole filled at the narrowest one, because it was too wide
        for a repair that respects the shape.
    """

    surface: TriangleMesh
    mask: BoolArray
    handles: int
    cut: float
    filled: float
    at_thin_places: bool = False

    def __str__(self) -> str:
        """What was done, as one sentence; empty if nothing."""
        if not self.handles:
            return ""
        noun = "handle" if self.handles == 1 else "handles"
        where = ", a wide one at its thinnest place" if self.at_thin_places else ""
        return (
            f"{self.handles} {noun} cut or filled{where}: {100 * self.cut:.2f}% of the volume taken away, "
            f"{100 * self.filled:.2f}% added."
        )


def genus_zero_surface(mask: BoolArray, *, smoothing: float = 1.0, max_volume_change: float = 0.03) -> SphereLike:
    """Isosurface of a mask after the smallest repair that removes its handles.

    For growing radii, the voxels that a morphological closing adds or an opening removes are split into connected
    patches. The smallest patches are tried first, and only those that remove a handle are applied. Each handle
    lowers the Euler characteristic of the surface by two. This number is a sum over neighbourhoods, so that the
    surroundings of a patch suffice to judge it. A handle that is too wide for all radii is cut at its thinnest place,
    or its hole is filled at the narrowest one, whichever changes fewer voxels.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        One component without cavities.
    smoothing : float
        Standard deviation of the Gaussian, voxels.
    max_volume_change : float
        Largest fraction of the voxels that the repair may add and remove in total; at thinnest places, it is
        `MAX_THIN_CHANGE` if that is less.

    Returns
    -------
    SphereLike

    Raises
    ------
    InputError
        If handles remain within `max_volume_change`. The message gives their number.
    """
    repaired = mask
    surface = isosurface(repaired, smoothing=smoothing)
    handles = _handles(surface)
    total = float(mask.sum())
    margin = int(np.ceil(_TRUNCATE * smoothing)) + 2
    for radius in REPAIR_RADII:
        if surface.is_sphere:
            return _outcome(surface, repaired, mask, handles)
        likely = morphological_patches(repaired, radius, margin)
        repaired = _repaired(repaired, mask, likely, smoothing, max_volume_change * total)
        surface = isosurface(repaired, smoothing=smoothing)
    thin = not surface.is_sphere
    if thin:
        thin_ones = thin_patches(repaired, margin)
        repaired = _repaired(repaired, repaired, thin_ones, smoothing, min(MAX_THIN_CHANGE, max_volume_change) * total)
        surface = isosurface(repaired, smoothing=smoothing)
    if surface.is_sphere:
        return _outcome(surface, repaired, mask, handles, at_thin_places=thin)
    noun = "handle" if _handles(surface) == 1 else "handles"
    raise InputError(
        f"The shape has {_handles(surface)} {noun} that cannot be closed without changing its volume "
        f"by more than {100 * max_volume_change:.0f}%, nor at thin places by more than {100 * MAX_THIN_CHANGE:.0f}%."
    )


def _handles(surface: TriangleMesh) -> int:
    return (SPHERE_EULER_CHARACTERISTIC - surface.euler_characteristic) // 2


def _outcome(
    surface: TriangleMesh, repaired: BoolArray, mask: BoolArray, handles: int, *, at_thin_places: bool = False
) -> SphereLike:
    total = float(mask.sum())
    cut, filled = float((mask & ~repaired).sum()) / total, float((repaired & ~mask).sum()) / total
    return SphereLike(surface, repaired, handles, cut, filled, at_thin_places)


def _repaired(
    mask: BoolArray, original: BoolArray, patches: Iterable[Patch], smoothing: float, budget: float
) -> BoolArray:
    """Apply all patches that remove a handle, as long as no more voxels than `budget` differ from the original."""
    level = _level_of_equal_volume(_smooth(mask, smoothing), float(mask.sum()), smoothing)
    for box, patch in patches:
        trial_crop = mask[box] ^ patch
        if _local_euler(trial_crop, smoothing, level) <= _local_euler(mask[box], smoothing, level):
            continue
        trial = mask.copy()
        trial[box] = trial_crop
        # A cut may have split off a piece; a filling may have enclosed a cavity.
        trial = largest_solid_component(trial)
        if int((trial ^ original).sum()) <= budget:
            mask = trial
    return mask


def _local_euler(crop: BoolArray, smoothing: float, level: float) -> int:
    return flying_edges(_smooth(crop, smoothing), level).euler_characteristic


def _smooth(mask: BoolArray, smoothing: float) -> FloatVolume:
    smoothed = ndimage.gaussian_filter(mask.astype(np.float32), smoothing, truncate=_TRUNCATE, mode="nearest")
    return np.asarray(smoothed, dtype=np.float32)


def _level_of_equal_volume(field: FloatVolume, volume: float, smoothing: float) -> float:
    """Grey value whose contour encloses `volume` voxels, within `LEVELS`.

    A voxel near the contour counts by its fraction inside, estimated from its grey value and the slope of a smoothed
    step. Counting whole voxels would be wrong where many have one grey value, as along a flat side.
    """
    slope = _slope(smoothing)
    lowest, highest = LEVELS
    values = field[(field > lowest - slope / 2) & (field < highest + slope / 2)]
    volume -= float((field >= highest + slope / 2).sum())
    for _ in range(12):
        level = 0.5 * (lowest + highest)
        if np.clip((values - level) / slope + 0.5, 0, 1).sum(dtype=np.float64) > volume:
            lowest = level
        else:
            highest = level
    return 0.5 * (lowest + highest)


def _slope(smoothing: float) -> float:
    """Change of grey value per voxel at the centre of a smoothed step."""
    return float(1 / max(np.sqrt(2 * np.pi) * smoothing, 1.0))


def _largest_piece(mesh: TriangleMesh) -> TriangleMesh:
    """The connected piece with most faces, pointing outwards, without unused vertices."""
    count = len(mesh.vertices)
    if count == 0:
        raise InputError("Nothing is left of the shape after smoothing: it is thinner than 1 mm.")
    start, stop = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    graph = coo_array((np.ones(len(start), dtype=np.int8), (start, stop)), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    faces = mesh.faces[piece[mesh.faces[:, 0]] == np.bincount(piece[mesh.faces[:, 0]]).argmax()]
    used, faces = np.unique(faces, return_inverse=True)
    result = TriangleMesh(mesh.vertices[used], faces.reshape(-1, 3))
    return result if result.volume > 0 else TriangleMesh(result.vertices, result.faces[:, ::-1])
