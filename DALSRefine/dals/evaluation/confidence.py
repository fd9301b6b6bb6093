"""Confidence in a refined surface."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace
from functools import singledispatch
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from numpy.typing import NDArray

from dals.edits import EditedFit
from dals.evaluation.metrics import dice
from dals.fitting import FitResult
from dals.geometry.label_map import BoolArray, LabelMap, marked_box
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.geometry.winding import enclosed
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Observation, Segmentation

Level = Literal["high", "medium", "low"]

REMOVED, ADDED, UNUSUAL, LACKING, REMOVAL_PROPOSED, ADDITION_PROPOSED = 1, 2, 3, 4, 5, 6
"""Values of the disagreement map."""
FAR_VOXELS = 2
"""Smaller disagreement is attributed to the roughness of the boundary."""
SAME_ORGAN = 0.8  # measured: at least 0.9 for the prior's organ, at most 0.77 for others
MUCH_CHANGED = 0.97
NOTABLE_SHARE = 0.01  # of the segmented volume
TYPICAL = 0.12
"""Canonical distance from the prior's reconstruction that contains nearly all of a correct organ.

Measured on 12 livers that a development prior had not seen: 2 had more than `DOUBTFUL_SHARE` of their volume beyond
this distance; after leaks were added (`benchmarks.segmentation.damage`), 11 had.
"""
DOUBTFUL_SHARE = 0.001
_RECONSTRUCTION_LEVEL = 3
_OWN_ENTRIES = ("map", "grid", "level", "reasons", "notes")


@dataclass(frozen=True, eq=False, kw_only=True)
class Confidence:
    """Confidence in a result.

    Attributes
    ----------
    level : "high", "medium" or "low"
    reasons : tuple of str
        Why the level is not high, one sentence each.
    notes : tuple of str
        What else is worth a look, one sentence each; it does not lower the level.
    """

    level: Level
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """What was measured, for the report; nothing unless a kind of observation has more to say."""
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationConfidence(Confidence):
    """Agreement of a result with its segmentation, and what is atypical about either.

    Attributes
    ----------
    dice : float
        Dice coefficient of the result with the segmentation.
    prior_dice : float
        Dice coefficient of the prior's reconstruction (one latent for all vertices) with the segmentation. It is low
        for another organ, which per-vertex latents can still follow.
    largest_displacement_mm : float
        Largest distance of a vertex of the result from the segmentation's surface.
    removed_ml, added_ml : float
        Volume that only the segmentation or only the result contains: by edits, or more than two voxels from the other.
    unusual_ml, lacking_ml : float
        Volume of the segmentation's largest component (with edits: of the result) far outside the prior's
        reconstruction (such as a leak), and of the reconstruction far outside that component (such as a missing lobe).
    typical_mm : float
        The distance that counts as far for these two.
    map : (K, J, I) uint8
        These regions on the segmentation's grid: the first of REMOVED, ADDED, REMOVAL_PROPOSED, ADDITION_PROPOSED,
        UNUSUAL and LACKING that applies, or 0.
    grid : LabelMap
        The segmentation, which defines the grid.
    """

    dice: float
    prior_dice: float
    largest_displacement_mm: float
    removed_ml: float
    added_ml: float
    unusual_ml: float
    lacking_ml: float
    typical_mm: float
    map: NDArray[np.uint8]
    grid: LabelMap

    def region(self, value: int) -> LabelMap:
        """Mask of one value of the map."""
        return self.grid.with_array(self.map == value)

    def figures(self) -> dict[str, Any]:
        """All but the map; level and reasons under the names that reports have always had."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OWN_ENTRIES}
        return {**own, "confidence": self.level, "reasons": self.reasons}


@singledispatch
def confidence_in(
    observation: Observation, result: FitResult, prior: ShapePrior, mesh: TriangleMesh
) -> Confidence | None:
    """Confidence in a result; None for kinds of observation without an estimate.

    Parameters
    ----------
    observation : Observation
        The observation that was fitted.
    result : FitResult
    prior : ShapePrior
        The prior that was fitted.
    mesh : TriangleMesh
        The final surface, RAS mm.
    """
    return None


@confidence_in.register
def segmentation_confidence(
    observation: Segmentation, result: FitResult, prior: ShapePrior, mesh: TriangleMesh
) -> SegmentationConfidence:
    """Compare a result with the segmentation to which it was fitted; parameters as in `confidence_in`."""
    if isinstance(result, EditedFit):
        from dals.evaluation.edit_confidence import edited_confidence

        return edited_confidence(observation, result, prior, mesh)
    whole = observation.label_map
    on_grid = [enclosed(surface, whole) for surface in (mesh, _reconstruction(result, prior))]
    # Restrict the work to the organ's box, a small part of a body scan.
    box = marked_box(functools.reduce(np.logical_or, (one.array for one in (whole, *on_grid))))
    assert box is not None  # a segmentation is never empty
    given, refined, typical = (one.within(box) for one in (whole, *on_grid))
    typical_mm = TYPICAL * result.state.pose.scale
    regions = disagreement_map(given.array, refined.array)
    solid = given.with_part(observation.solid)
    unusual, lacking = _beyond(solid, typical, typical_mm), _beyond(typical, solid, typical_mm)
    for value, where in ((UNUSUAL, unusual), (LACKING, lacking)):
        regions[where & (regions == 0)] = value
    everywhere = np.zeros(whole.array.shape, dtype=np.uint8)
    everywhere[box] = regions
    voxel_ml = abs(float(np.linalg.det(given.ijk_to_ras[:3, :3]))) / 1e3
    overlap, reconstructed = dice(refined, given), dice(typical, given)
    found = SegmentationConfidence(
        dice=overlap,
        prior_dice=reconstructed,
        largest_displacement_mm=float(surface_distances(mesh.vertices, observation.surface).max()),
        removed_ml=np.count_nonzero(regions == REMOVED) * voxel_ml,
        added_ml=np.count_nonzero(regions == ADDED) * voxel_ml,
        unusual_ml=np.count_nonzero(unusual) * voxel_ml,
        lacking_ml=np.count_nonzero(lacking) * voxel_ml,
        typical_mm=typical_mm,
        map=everywhere,
        grid=whole,
        level="high",
        reasons=(),
    )
    reasons = _reasons(found, given.volume / 1e3, prior.name)
    level: Level = "low" if reconstructed < SAME_ORGAN else "medium" if reasons else "high"
    return replace(found, level=level, reasons=reasons)


def disagreement_map(given: BoolArray, refined: BoolArray) -> NDArray[np.uint8]:
    """Voxels of one mask more than two voxels from the other: REMOVED (only in given) or ADDED (only in refined).

    Distances are in voxels in all directions, also across thick slices, because any two readers differ by a slice.
    """
    regions = np.zeros(given.shape, dtype=np.uint8)
    box = marked_box(given | refined)
    if box is None:
        return regions
    inside, result = given[box], refined[box]
    regions[box][inside & _is_far(result)] = REMOVED
    regions[box][result & _is_far(inside)] = ADDED
    return regions


def _beyond(mask: LabelMap, other: LabelMap, distance_mm: float) -> BoolArray:
    """Voxels of a mask that lie further than a distance from another mask on the same grid."""
    far: BoolArray = np.zeros_like(mask.array)
    box = marked_box(mask.array | other.array)
    if box is not None:
        far[box] = mask.array[box] & _is_further(other.array[box], distance_mm, mask.spacing)
    return far


def _is_far(mask: BoolArray) -> BoolArray:
    """Voxels that lie further than FAR_VOXELS from a mask; all voxels if it is empty."""
    return _is_further(mask, FAR_VOXELS, np.ones(3))


def _is_further(mask: BoolArray, distance: float, spacing: FloatArray) -> BoolArray:
    """Voxels whose centres lie further than a distance from those of a mask; all voxels if it is empty."""
    if not mask.any():
        return np.ones(mask.shape, dtype=np.bool_)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing.tolist())
    found = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.asarray(sitk.GetArrayViewFromImage(found) > distance)


def _reconstruction(result: FitResult, prior: ShapePrior) -> TriangleMesh:
    """Surface decoded from the shared latent alone, RAS mm."""
    template = icosphere(_RECONSTRUCTION_LEVEL)
    with torch.no_grad():
        shared = torch.from_numpy(result.state.shared).to(prior.latent_mean.device)
        vertices = prior.decoder(shared[None], prior.sphere(template)).cpu().double().numpy()
    return TriangleMesh(result.state.pose.to_patient(vertices), template.faces)


def _reasons(found: SegmentationConfidence, segmented_ml: float, organ: str) -> tuple[str, ...]:
    reasons = list(reasons_of_likeness(found, organ))
    notable = NOTABLE_SHARE * segmented_ml
    if found.removed_ml > notable:
        reasons.append(
            f"{found.removed_ml:.3g} ml of the segmentation were removed, more than {FAR_VOXELS} voxels outside the "
            "result."
        )
    if found.added_ml > notable:
        reasons.append(f"{found.added_ml:.3g} ml were added, more than {FAR_VOXELS} voxels outside the segmentation.")
    return (*reasons, *reasons_of_shape(found, segmented_ml, organ))


def reasons_of_likeness(found: SegmentationConfidence, organ: str) -> tuple[str, ...]:
    """Doubts about the organ, and about how much was changed."""
    reasons = []
    if found.prior_dice < SAME_ORGAN:
        reasons.append(
            f"The segmentation does not look like the organ of the prior {organ}: even the closest shape of the prior "
            f"has a Dice coefficient of only {found.prior_dice:.2f} with it. It may show another organ or the other "
            "side of the body, or be largely wrong; do not use the result without checking it."
        )
    if found.dice < MUCH_CHANGED:
        reasons.append(f"The result differs considerably from the segmentation (Dice {found.dice:.3f}).")
    return tuple(reasons)


def reasons_of_shape(found: SegmentationConfidence, segmented_ml: float, organ: str) -> tuple[str, ...]:
    """Doubts about what is far from the closest typical organ."""
    reasons, doubtful = [], DOUBTFUL_SHARE * segmented_ml
    if found.unusual_ml > doubtful:
        reasons.append(
            f"{found.unusual_ml:.3g} ml of the segmentation lie more than {found.typical_mm:.0f} mm outside the "
            f"closest typical {organ}: it may leak into a neighbouring structure there, or the organ is unusual. The "
            "result may follow it; please check."
        )
    if found.lacking_ml > doubtful:
        reasons.append(
            f"{found.lacking_ml:.3g} ml of the closest typical {organ} lie more than {found.typical_mm:.0f} mm outside "
            "the segmentation: a part may be missing there, or the organ is unusual. The part may be missing from the "
            "result, too; please check."
        )
    return tuple(reasons)
