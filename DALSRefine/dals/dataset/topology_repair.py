"""From a voxel mask to a closed surface without handles.

Segmentations of real organs have tunnels (a vessel or a hole of one voxel leads right
through a thin lobe) and bridges (two lobes touch). The template is a sphere, so every
one of them has to go, and nothing else should: each is filled or cut where it is,
the rest of the organ is left as it was found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dals.errors import InputError
from dals.geometry.isosurface import flying_edges
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import SPHERE_EULER_CHARACTERISTIC, TriangleMesh

FloatVolume = NDArray[np.float32]

REPAIR_RADII = (1, 2, 3, 4, 5, 6, 8, 10)
LEVELS = (0.3, 0.6)
_MAX_CANDIDATES = 80
_VOLUME_TOLERANCE = 0.003
_LEVEL_CORRECTIONS = 3
_TRUNCATE = 4.0


def largest_solid_component(mask: BoolArray) -> BoolArray:
    """Largest face-connected component of a mask with its enclosed cavities filled.

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
    """Closed surface of the largest component of a smoothed mask, at the mask's own volume.

    A Gaussian takes the staircase away, but its half-height contour shrinks whatever is
    curved (by sigma^2 / R at a sphere of radius R). The contour is therefore drawn at the
    grey value near one half that encloses as much as the mask has.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        Must be clear of the border by more than four times `smoothing`.
    smoothing : float
        Standard deviation of the Gaussian, voxels.

    Returns
    -------
    TriangleMesh
        Vertices in voxel coordinates (x, y, z), faces pointing outwards. Not necessarily of genus 0.
    """
    field = _smooth(mask, smoothing)
    volume = float(mask.sum())
    level = _level_of_equal_volume(field, volume, smoothing)
    surface = _largest_piece(flying_edges(field, level))
    for _ in range(_LEVEL_CORRECTIONS):
        excess = surface.volume - volume
        if abs(excess) <= _VOLUME_TOLERANCE * volume:
            break
        # Small organs curve so much that the estimate is off; the surface itself tells by how far.
        level = float(np.clip(level + _slope(smoothing) * excess / surface.area, *LEVELS))
        surface = _largest_piece(flying_edges(field, level))
    return surface


def genus_zero_surface(
    mask: BoolArray, *, smoothing: float = 1.0, max_volume_change: float = 0.03
) -> tuple[TriangleMesh, BoolArray]:
    """Isosurface of a mask after the mildest repair that leaves it without handles.

    For growing radii, the voxels that a morphological closing would add and an opening
    would take away are split into connected patches. Only patches that remove a handle
    are used, the smallest first. A handle costs two in the Euler characteristic of the
    surface, and that number is a sum over neighbourhoods, so a patch is judged on its
    own surroundings.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        One component without cavities.
    smoothing : float
        Standard deviation of the Gaussian, voxels.
    max_volume_change : float
        Largest fraction of the voxels that the repair may add or take away altogether.

    Returns
    -------
    surface : TriangleMesh
        Closed, one piece, Euler characteristic 2; voxel coordinates (x, y, z).
    repaired : (Z, Y, X) bool
        The mask that the surface was drawn from.

    Raises
    ------
    InputError
        If handles remain within `max_volume_change`; the message names how many.
    """
    repaired = mask
    surface = isosurface(repaired, smoothing=smoothing)
    budget = max_volume_change * float(mask.sum())
    for radius in REPAIR_RADII:
        if surface.is_sphere:
            return surface, repaired
        repaired = _repair_at_radius(repaired, mask, radius, smoothing, budget)
        surface = isosurface(repaired, smoothing=smoothing)
    if surface.is_sphere:
        return surface, repaired
    handles = (SPHERE_EULER_CHARACTERISTIC - surface.euler_characteristic) // 2
    noun = "handle" if handles == 1 else "handles"
    raise InputError(
        f"The shape has {handles} {noun} that cannot be closed without changing its volume "
        f"by more than {100 * max_volume_change:.0f}%."
    )


def _repair_at_radius(mask: BoolArray, original: BoolArray, radius: int, smoothing: float, budget: float) -> BoolArray:
    """Mask after all patches of one radius that remove a handle and fit the budget."""
    level = _level_of_equal_volume(_smooth(mask, smoothing), float(mask.sum()), smoothing)
    margin = int(np.ceil(_TRUNCATE * smoothing)) + 2
    for box, patch in _patches(mask, radius, margin):
        trial_crop = mask[box] ^ patch
        if _local_euler(trial_crop, smoothing, level) <= _local_euler(mask[box], smoothing, level):
            continue
        trial = mask.copy()
        trial[box] = trial_crop
        # A cut may have split a piece off, a filling may have closed a cavity in.
        trial = largest_solid_component(trial)
        if int((trial ^ original).sum()) <= budget:
            mask = trial
    return mask


def _patches(mask: BoolArray, radius: int, margin: int) -> Iterator[tuple[tuple[slice, ...], BoolArray]]:
    """Connected patches that closing adds or opening removes, the smallest first, each in a box with a margin."""
    found: list[tuple[int, int, int, tuple[slice, ...]]] = []
    labelled: list[NDArray[np.int32]] = []
    for changed in (~_opened(~mask, radius) & ~mask, mask & ~_opened(mask, radius)):
        labels, _ = ndimage.label(changed, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(labels.ravel())
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            found.append((int(sizes[label]), len(labelled), label, box))
        labelled.append(labels)
    # A patch that spans a handle is a disc or a plug across it: the largest patches are the likely
    # ones, crumbs on the surface the many. Keep the likely, use the mildest of them first.
    likely = sorted(found)[-_MAX_CANDIDATES:]
    for _, which, label, tight in likely:
        box = tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in tight)
        yield box, labelled[which][box] == label


def _opened(mask: BoolArray, radius: int) -> BoolArray:
    """Opening by about a ball: an erosion is a dilation of the complement."""
    return _dilated(~_dilated(~mask, radius), radius)


def _dilated(mask: BoolArray, radius: int) -> BoolArray:
    """Dilation by about a ball of that radius: steps of one voxel, in turn to the 6 and to the 26 neighbours.

    Ten times faster than a structuring element, and exactness is of no use here.
    """
    for step in range(radius):
        source = mask
        mask = mask.copy()
        for axis in range(3):
            before, after = [slice(None)] * 3, [slice(None)] * 3
            before[axis], after[axis] = slice(None, -1), slice(1, None)
            if step % 2:
                source = mask.copy()
            mask[tuple(after)] |= source[tuple(before)]
            mask[tuple(before)] |= source[tuple(after)]
    return mask


def _local_euler(crop: BoolArray, smoothing: float, level: float) -> int:
    return flying_edges(_smooth(crop, smoothing), level).euler_characteristic


def _smooth(mask: BoolArray, smoothing: float) -> FloatVolume:
    smoothed = ndimage.gaussian_filter(mask.astype(np.float32), smoothing, truncate=_TRUNCATE, mode="nearest")
    return np.asarray(smoothed, dtype=np.float32)


def _level_of_equal_volume(field: FloatVolume, volume: float, smoothing: float) -> float:
    """Grey value whose contour encloses `volume` voxels, kept near one half.

    A voxel near the contour counts by the share of it that is inside, which follows from its grey value and
    the slope of a smoothed step; counting whole voxels is wrong where many are alike, as along a flat face.
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
    """Change of grey value per voxel in the middle of a smoothed step."""
    return float(1 / max(np.sqrt(2 * np.pi) * smoothing, 1.0))


def _largest_piece(mesh: TriangleMesh) -> TriangleMesh:
    """The edge-connected piece with most faces, oriented outwards, without unused vertices."""
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
