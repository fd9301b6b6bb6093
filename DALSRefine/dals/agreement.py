"""Whether a refined surface can be trusted: where prior and segmentation disagree, and by how much."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from numpy.typing import NDArray

from dals.errors import DalsWarning
from dals.fitting import FitResult, Observation
from dals.label_map import BoolArray, LabelMap
from dals.mesh import TriangleMesh
from dals.metrics import dice
from dals.observations import Segmentation
from dals.prior import ShapePrior
from dals.surface_distance import surface_distances
from dals.template import icosphere
from dals.voxelisation import mesh_to_label_map

Confidence = Literal["high", "medium", "low"]

REMOVED, ADDED = 1, 2
"""Values of the map of disagreement."""
FAR_VOXELS = 2
"""Disagreement up to here is a matter of the boundary's roughness."""
_SAME_ORGAN = 0.8  # of right organs 0.9 and more is measured, of others 0.77 at most
_MUCH_CHANGED = 0.97
_NOTABLE_SHARE = 0.01  # of the segmented volume
_RECONSTRUCTION_LEVEL = 3


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the prior left of a segmentation.

    Attributes
    ----------
    dice : float
        Of the result with the segmentation.
    prior_dice : float
        Of the prior's own reconstruction (one latent for all vertices) with the segmentation: low for
        another organ, which a latent for each vertex can still follow.
    largest_displacement_mm : float
        Largest distance of the result from the segmentation's surface.
    removed_ml, added_ml : float
        Volume that only the segmentation or only the result has, further than two voxels from the other.
    map : (K, J, I) uint8
        Where that is, on the segmentation's grid: REMOVED, ADDED or 0.
    confidence : "high", "medium" or "low"
    reasons : tuple of str
        Why it is not high, one sentence each.
    """

    dice: float
    prior_dice: float
    largest_displacement_mm: float
    removed_ml: float
    added_ml: float
    map: NDArray[np.uint8]
    confidence: Confidence
    reasons: tuple[str, ...]


def agreement(
    result: FitResult, segmentation: Segmentation, prior: ShapePrior, *, mesh: TriangleMesh | None = None
) -> Agreement:
    """Compare a result with the segmentation that it was fitted to.

    Parameters
    ----------
    result : FitResult
    segmentation : Segmentation
    prior : ShapePrior
        The fitted one.
    mesh : TriangleMesh, optional
        The surface as it is handed over, RAS mm, where it is not `result.mesh`.
    """
    mesh = result.mesh if mesh is None else mesh
    given = segmentation.label_map
    refined = mesh_to_label_map(mesh, given)
    regions = disagreement_map(given.array, refined.array)
    voxel_ml = abs(float(np.linalg.det(given.ijk_to_ras[:3, :3]))) / 1e3
    removed, added = (np.count_nonzero(regions == value) * voxel_ml for value in (REMOVED, ADDED))
    overlap = dice(refined, given)
    reconstructed = dice(mesh_to_label_map(_reconstruction(result, prior), given), given)
    reasons = _reasons(overlap, reconstructed, removed, added, given, prior)
    return Agreement(
        dice=overlap,
        prior_dice=reconstructed,
        largest_displacement_mm=float(surface_distances(mesh.vertices, segmentation.surface).max()),
        removed_ml=removed,
        added_ml=added,
        map=regions,
        confidence="low" if reconstructed < _SAME_ORGAN else "medium" if reasons else "high",
        reasons=reasons,
    )


def judged(result: FitResult, observation: Observation, prior: ShapePrior, mesh: TriangleMesh) -> Agreement | None:
    """`agreement` with a warning (`DalsWarning`) of each reason; None unless a segmentation was refined."""
    if not isinstance(observation, Segmentation):
        return None
    found = agreement(result, observation, prior, mesh=mesh)
    for reason in found.reasons:
        warnings.warn(reason, DalsWarning, stacklevel=2)
    return found


def disagreement_map(given: BoolArray, refined: BoolArray) -> NDArray[np.uint8]:
    """Voxels of one mask further than two voxels from the other: REMOVED (only given) or ADDED (only refined).

    Distances are counted in voxels, along thick slices as within them: a slice more or less is
    what any two readers differ by.
    """
    regions = np.zeros(given.shape, dtype=np.uint8)
    marked = np.argwhere(given | refined)
    if len(marked) == 0:
        return regions
    box = tuple(slice(low, high + 1) for low, high in zip(marked.min(axis=0), marked.max(axis=0), strict=True))
    inside, result = given[box], refined[box]
    regions[box][inside & _is_far(result)] = REMOVED
    regions[box][result & _is_far(inside)] = ADDED
    return regions


def _is_far(mask: BoolArray) -> BoolArray:
    """Which voxels lie further than FAR_VOXELS from a mask; all if it is empty."""
    if not mask.any():
        return np.ones(mask.shape, dtype=np.bool_)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=False)
    return np.asarray(sitk.GetArrayViewFromImage(distance) > FAR_VOXELS)


def _reconstruction(result: FitResult, prior: ShapePrior) -> TriangleMesh:
    """The surface of the shared latent alone, RAS mm."""
    template = icosphere(_RECONSTRUCTION_LEVEL)
    with torch.no_grad():
        shared = result.state.shared.to(prior.latent_mean.device)
        vertices = prior.decoder(shared[None], prior.sphere(template)).cpu().double().numpy()
    return TriangleMesh(result.state.pose.to_patient(vertices), template.facets)


def _reasons(
    overlap: float, reconstructed: float, removed: float, added: float, given: LabelMap, prior: ShapePrior
) -> tuple[str, ...]:
    reasons = []
    if reconstructed < _SAME_ORGAN:
        reasons.append(
            f"The segmentation looks like no {prior.name}: even the closest shape of the prior shares only "
            f"a Dice coefficient of {reconstructed:.2f} with it. It may be another organ, that of the other side of "
            "the body, or largely wrong; do not use the result unseen."
        )
    if overlap < _MUCH_CHANGED:
        reasons.append(f"The result differs much from the segmentation (Dice {overlap:.3f}).")
    notable = _NOTABLE_SHARE * given.volume / 1e3
    if removed > notable:
        reasons.append(
            f"{removed:.3g} ml of the segmentation were left out, more than {FAR_VOXELS} voxels from the result."
        )
    if added > notable:
        reasons.append(f"{added:.3g} ml were added more than {FAR_VOXELS} voxels outside of the segmentation.")
    return tuple(reasons)
