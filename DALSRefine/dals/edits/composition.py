"""The result's field: the segmentation's own, with the prior's where an edit is carried out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from dals.edits.candidates import APART, Candidate
from dals.geometry.label_map import BoolArray, LabelMap, marked_box
from dals.geometry.signed_lattice import Field, SignedLattice, signed_distance

_BLEND = 2.5 * APART
_FADING = 0.15
"""Canonical distance beyond the image's border over which the segmentation's offset from the prior fades."""
_SMOOTHING = 0.7
"""Variance of the final blur, in the voxels' smallest side."""
_SURE = 0.1
"""Parts of the spacing that the surface keeps from a lattice point at least."""


def composed(lattice: SignedLattice, prior: Field, applied: Sequence[Candidate], *, unit: float) -> Field:
    """The segmentation's signed distance, changed to the prior's in regions, with smooth transitions around them.

    Parameters
    ----------
    lattice : SignedLattice
        Of the segmentation.
    prior : (K, J, I) float32
        Signed distance of the prior's surface, mm.
    applied : sequence of Candidate
    unit : float
        Millimetres in one canonical unit.
    """
    wanted = np.zeros(lattice.values.shape, dtype=np.bool_)
    for candidate in applied:
        wanted[candidate.box] |= candidate.region
    return blended(lattice.values, prior, wanted, lattice, unit=unit)


def blended(field: Field, other: Field, wanted: BoolArray, lattice: SignedLattice, *, unit: float) -> Field:
    """A signed distance, changed to another one in a region, with smooth transitions around it; all on the lattice.

    `unit` is as in `composed`.
    """
    values = field.copy()
    if not wanted.any():
        return values
    blend = max(_BLEND * unit, 2.0 * float(lattice.spacing.max()))
    box = grown(marked_box(wanted), blend, lattice)
    away = np.maximum(signed_distance(wanted[box], lattice.spacing), 0) / np.float32(blend)
    share = np.clip(1 - away, 0, 1)
    share = share * share * (3 - 2 * share)
    # Around a region the two agree but for what is usual; places that are not to be changed stay.
    usual = np.float32(APART * unit)
    difference = other[box] - values[box]
    difference = np.where(wanted[box], difference, np.clip(difference, -usual, usual))
    values[box] += share * difference
    return values


def capped(field: Field, lattice: SignedLattice) -> Field:
    """The field with an end at the image's border, where the organ goes on beyond it."""
    return np.maximum(field, lattice.beyond) if lattice.is_cut else field


def completed(field: Field, lattice: SignedLattice, prior: Field, *, unit: float) -> Field:
    """The field continued with the prior's surface beyond the image's border."""
    if not lattice.is_cut:
        return field
    outside = lattice.beyond > 0
    _, nearest = ndimage.distance_transform_edt(outside, sampling=lattice.spacing[::-1], return_indices=True)
    offset = (field - prior)[tuple(nearest)]
    fading = np.exp(-np.maximum(lattice.beyond, 0) / np.float32(_FADING * unit))
    return np.where(outside, prior + offset * fading, field).astype(np.float32)


def smoothed(field: Field, lattice: SignedLattice) -> Field:
    """The field without the voxels' steps; at the lattice's points it keeps its sign."""
    image = sitk.GetImageFromArray(field)
    finest = float((lattice.spacing / np.diag(lattice.to_voxels)[:3]).min())
    variance = (_SMOOTHING * (finest / lattice.spacing) ** 2).tolist()
    smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, variance, 5, [0.01] * 3, False))
    sure = np.float32(_SURE * lattice.spacing.min())
    return np.where(field < 0, np.minimum(smooth, -sure), np.maximum(smooth, sure))


def on_voxels(field: Field, lattice: SignedLattice, given: LabelMap) -> LabelMap:
    """The field's inside on the voxels of the mask that the lattice is of, which stays where the field is its own."""
    changed = (field < 0) != (capped(lattice.values, lattice) < 0)
    box = marked_box(changed)
    if box is None:
        return given
    # A point of the lattice may be worth several voxels or a part of one.
    box = grown(box, float(lattice.spacing.max()), lattice)
    near = ndimage.binary_dilation(changed[box]).astype(np.float32)
    first = np.array([part.start for part in box])
    last = np.array([part.stop for part in box]) - 1
    scale, shift = np.diag(lattice.to_voxels)[2::-1], lattice.to_voxels[2::-1, 3]
    low = np.clip(np.ceil(first * scale + shift), 0, None).astype(int)
    high = np.minimum(np.floor(last * scale + shift).astype(int) + 1, given.array.shape)
    at = [(np.arange(low[axis], high[axis]) - shift[axis]) / scale[axis] - first[axis] for axis in range(3)]
    grid = np.meshgrid(*at, indexing="ij")
    inside = ndimage.map_coordinates(field[box], grid, order=1, mode="nearest") < 0
    there = ndimage.map_coordinates(near, grid, order=1, mode="nearest") > 0
    array = given.array.copy()
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    array[part] = np.where(there, inside, array[part])
    return given.with_array(array)


def grown(
    box: tuple[slice, slice, slice] | None, distance: float, lattice: SignedLattice
) -> tuple[slice, slice, slice]:
    """A box of the lattice's array with a distance (mm) more on each side."""
    assert box is not None
    margin = np.ceil(distance / lattice.spacing[::-1]).astype(int) + 1
    k, j, i = (
        slice(max(part.start - int(n), 0), min(part.stop + int(n), size))
        for part, n, size in zip(box, margin, lattice.values.shape, strict=True)
    )
    return k, j, i
