"""All edits of a segmentation, with their places, in the order of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from dals.edits.candidates import Candidate
from dals.edits.edit import Edit, EditKind
from dals.edits.judgement import is_applied, probability_of_error
from dals.edits.plan import VoxelPlace
from dals.fit_settings import Edits
from dals.geometry.label_map import LabelMap, marked_box
from dals.geometry.mesh import FloatArray
from dals.geometry.signed_lattice import Field, SignedLattice
from dals.geometry.transforms import apply_matrix

if TYPE_CHECKING:
    from dals.fitting.surface_regression import SurfaceFit

Place = Candidate | VoxelPlace | None
_TINY = 1e-4
"""Share of the organ's volume below which islands, and again holes, make one edit."""


def all_edits(
    label_map: LabelMap,
    solid: LabelMap,
    lattice: SignedLattice,
    prior: Field,
    fit: SurfaceFit,
    candidates: list[Candidate],
    *,
    wanted: Edits,
    same_organ: bool,
) -> tuple[tuple[Edit, ...], tuple[Place, ...]]:
    """List the edits of a segmentation: those that are applied first, larger ones first.

    Parameters
    ----------
    label_map, solid : LabelMap
        The segmentation, and its largest part without cavities, on one grid.
    lattice : SignedLattice
        Of `solid`.
    prior : (K, J, I) float32
        Signed distance of the prior's surface, mm.
    fit : SurfaceFit
        Which that surface comes from.
    candidates : list of Candidate
        Leaks and missing parts.
    wanted : "applied", "proposed" or "all"
    same_organ : bool
        Whether the segmentation looks like the prior's organ.
    """
    listed: list[tuple[Edit, Place]] = [
        (_edit(one, applied=is_applied(one, wanted, same_organ=same_organ)), one) for one in candidates
    ]
    spread = max(float(fit.deviations.mean()), 1e-6)
    applied = wanted != "proposed"
    listed += _islands_and_holes(label_map, solid, lattice, prior, spread=spread, applied=applied)
    steps = _slice_steps(solid, lattice, applied=applied)
    listed += [] if steps is None else [(steps, None)]
    listed.sort(key=lambda item: (not item[0].applied, -item[0].volume_ml))
    return tuple(edit for edit, _ in listed), tuple(place for _, place in listed)


def _edit(candidate: Candidate, *, applied: bool) -> Edit:
    return Edit(
        kind="leak cut" if candidate.surplus else "missing part restored",
        centre_mm=_place(candidate.centre_mm),
        volume_ml=candidate.volume_ml,
        depth_mm=candidate.depth_mm,
        input_deviations=candidate.deviations,
        result_deviations=0.0 if applied else candidate.deviations,
        probability=probability_of_error(candidate),
        applied=applied,
    )


def _islands_and_holes(
    label_map: LabelMap, solid: LabelMap, lattice: SignedLattice, prior: Field, *, spread: float, applied: bool
) -> list[tuple[Edit, Place]]:
    """What the largest part without cavities leaves out and fills."""
    box = marked_box(label_map.array | solid.array)
    assert box is not None
    raw, kept = label_map.array[box], solid.array[box]
    start = np.array([part.start for part in box])
    voxel_ml = abs(float(np.linalg.det(solid.ijk_to_ras[:3, :3]))) / 1e3
    least = max(_TINY * np.count_nonzero(kept), 1.0)
    listed: list[tuple[Edit, Place]] = []
    kinds: tuple[EditKind, EditKind] = ("island removed", "hole filled")
    for kind, where in zip(kinds, (raw & ~kept, kept & ~raw), strict=True):
        labels, count = ndimage.label(where)
        if not count:
            continue
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        boxes = ndimage.find_objects(labels)
        groups = [[int(number)] for number in np.flatnonzero(sizes > least)]
        tiny = np.flatnonzero((sizes > 0) & (sizes <= least))
        groups += [sorted(tiny.tolist(), key=lambda number: -sizes[number])] if len(tiny) else []
        for group in groups:
            part = _hull([boxes[number - 1] for number in group])
            region = np.isin(labels[part], group)
            largest = np.argwhere(labels[part] == group[0]) + [one.start for one in part] + start
            points = apply_matrix(solid.ijk_to_ras, largest[:, ::-1].astype(np.float64))
            away = float(np.abs(lattice.at(prior, points)).mean()) / spread
            edit = Edit(
                kind=kind,
                centre_mm=_place(points.mean(axis=0)),
                volume_ml=float(sizes[group].sum()) * voxel_ml,
                depth_mm=float(np.abs(lattice.at(lattice.values, points)).max()),
                input_deviations=away,
                result_deviations=0.0 if applied else away,
                probability=1.0,
                applied=applied,
                parts=len(group),
            )
            moved = tuple(
                slice(one.start + int(low), one.stop + int(low)) for one, low in zip(part, start, strict=True)
            )
            listed.append((edit, VoxelPlace(moved, region)))
    return listed


def _slice_steps(solid: LabelMap, lattice: SignedLattice, *, applied: bool) -> Edit | None:
    """What interpolation between thick slices adds and takes away beside voxels as thick as the slices."""
    if not lattice.interpolated_axes:
        return None
    scale, shift = np.diag(lattice.to_voxels)[2::-1], lattice.to_voxels[2::-1, 3]
    picks = [
        np.clip(np.rint(shift[axis] + scale[axis] * np.arange(count)).astype(int), 0, solid.array.shape[axis] - 1)
        for axis, count in enumerate(lattice.values.shape)
    ]
    differing = (solid.array[np.ix_(*picks)] != (lattice.values < 0)) & (lattice.beyond <= 0)
    if not differing.any():
        return None
    points = apply_matrix(lattice.ijk_to_ras, np.argwhere(differing)[:, ::-1].astype(np.float64))
    return Edit(
        kind="slice steps smoothed",
        centre_mm=_place(points.mean(axis=0)),
        volume_ml=len(points) * lattice.voxel_ml,
        depth_mm=float(np.abs(lattice.values[differing]).max()),
        input_deviations=None,
        result_deviations=None,
        probability=1.0,
        applied=applied,
    )


def _hull(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...]:
    return tuple(
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3)
    )


def _place(point: FloatArray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 2) for value in point)
    return x, y, z
