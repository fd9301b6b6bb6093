"""Confidence in a segmentation with edits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dals.edits import EditedFit
from dals.edits.edit import Edit
from dals.evaluation.confidence import (
    ADDED,
    ADDITION_PROPOSED,
    LACKING,
    NOTABLE_SHARE,
    REMOVAL_PROPOSED,
    REMOVED,
    SAME_ORGAN,
    TYPICAL,
    UNUSUAL,
    Level,
    SegmentationConfidence,
    reasons_of_likeness,
    reasons_of_shape,
)
from dals.evaluation.metrics import dice
from dals.geometry.label_map import BoolArray, marked_box
from dals.geometry.mesh import TriangleMesh
from dals.geometry.winding import enclosed
from dals.model.prior import ShapePrior
from dals.observations import Segmentation

_MOST_POINTS = 10_000


def edited_confidence(
    observation: Segmentation, result: EditedFit, prior: ShapePrior, mesh: TriangleMesh
) -> SegmentationConfidence:
    """Judge a result by its edits, those that are only proposed, and what else is far from the prior.

    Parameters are those of `dals.evaluation.confidence.confidence_in`. An organ that the image's border cuts off has
    medium confidence at most.
    """
    plan, whole = result.plan, observation.label_map
    lattice, field = plan.lattice, result.composition.field
    refined = result.segment if mesh is result.mesh else enclosed(mesh, whole)
    box = marked_box(whole.array | refined.array)
    assert box is not None  # a segmentation is never empty
    given, kept = whole.array[box], result.segment.array[box]
    regions = np.zeros(whole.array.shape, dtype=np.uint8)
    regions[box][given & ~kept] = REMOVED
    regions[box][kept & ~given] = ADDED
    voxel_ml = abs(float(np.linalg.det(whole.ijk_to_ras[:3, :3]))) / 1e3
    counts = np.bincount(regions[box].ravel(), minlength=ADDED + 1)
    for index, edit in enumerate(plan.edits):
        if not edit.applied:
            _mark(regions, result, REMOVAL_PROPOSED if edit.removes else ADDITION_PROPOSED, index=index)
    typical_mm, within = TYPICAL * plan.unit, lattice.beyond <= 0
    unusual, lacking = (
        (field < 0) & (plan.prior > typical_mm) & within,
        (plan.prior < 0) & (field > typical_mm) & within,
    )
    _mark(regions, result, UNUSUAL, region=unusual)
    _mark(regions, result, LACKING, region=lacking)
    segmented_ml = np.count_nonzero(given) * voxel_ml
    found = SegmentationConfidence(
        dice=dice(refined.within(box), whole.within(box)),
        prior_dice=result.likeness,
        largest_displacement_mm=_largest_displacement(result, mesh),
        removed_ml=float(counts[REMOVED]) * voxel_ml,
        added_ml=float(counts[ADDED]) * voxel_ml,
        unusual_ml=np.count_nonzero(unusual) * lattice.voxel_ml,
        lacking_ml=np.count_nonzero(lacking) * lattice.voxel_ml,
        typical_mm=typical_mm,
        map=regions,
        grid=whole,
        level="high",
        reasons=(),
    )
    reasons = (
        *reasons_of_likeness(found, prior.name),
        *_reasons_of_edits(found, result, segmented_ml),
        *reasons_of_shape(found, segmented_ml, prior.name),
    )
    level: Level = "low" if found.prior_dice < SAME_ORGAN else "medium" if reasons else "high"
    return replace(found, level=level, reasons=reasons)


def _mark(
    regions: np.ndarray, result: EditedFit, value: int, *, index: int | None = None, region: BoolArray | None = None
) -> None:
    """Give the voxels of an edit, or of a region of the lattice, a value where they have none."""
    if index is not None:
        place = result.plan.voxels(index)
    else:
        assert region is not None
        box = marked_box(region)
        place = None if box is None else result.plan.voxels_at(box, region[box])
    if place is not None:
        there = regions[place.box]
        there[place.region & (there == 0)] = value


def _largest_displacement(result: EditedFit, mesh: TriangleMesh) -> float:
    lattice = result.plan.lattice
    points = mesh.vertices[:: -(-len(mesh.vertices) // _MOST_POINTS)]
    away = np.abs(lattice.at(lattice.values, points))
    if lattice.is_cut:
        away = away[lattice.at(lattice.beyond, points) <= 0.5 * lattice.spacing.max()]
    return float(away.max(initial=0.0))


def _reasons_of_edits(found: SegmentationConfidence, result: EditedFit, segmented_ml: float) -> tuple[str, ...]:
    reasons, notable = [], NOTABLE_SHARE * segmented_ml
    applied = [edit for edit in result.edits if edit.applied and edit.kind != "slice steps smoothed"]
    if applied and (found.removed_ml > notable or found.added_ml > notable):
        reasons.append(
            f"Edits removed {found.removed_ml:.3g} ml from the segmentation and added {found.added_ml:.3g} ml; the "
            f"largest is: {_described(applied)}. Please check them."
        )
    doubtful = [edit for edit in result.edits if not edit.applied and edit.kind != "slice steps smoothed"]
    total = sum(edit.volume_ml for edit in doubtful)
    if total > notable:
        reasons.append(
            f"{total:.3g} ml in {len(doubtful)} doubtful places of the segmentation were left as they are; the largest "
            f"proposal is: {_described(doubtful)}. Please check them."
        )
    if result.is_cut:
        reasons.append(
            "The image's border cuts the organ off: "
            + (
                "the surface beyond it is a guess of the prior."
                if result.settings.complete
                else "the surface ends there, where the organ goes on."
            )
        )
    return tuple(reasons)


def _described(edits: list[Edit]) -> str:
    largest = max(edits, key=lambda edit: edit.volume_ml)
    place = ", ".join(f"{x:.0f}" for x in largest.centre_mm)
    return f"{largest.kind}, {largest.volume_ml:.2g} ml at R, A, S = {place} mm"
