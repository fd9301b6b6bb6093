"""Places where a segmentation and a prior's surface are deeply apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray
from dals.geometry.signed_lattice import Field, SignedLattice
from dals.geometry.transforms import apply_matrix

if TYPE_CHECKING:
    from dals.fitting.surface_regression import SurfaceFit

APART, DEEP = 0.0135, 0.034
"""Canonical distances: from where on the two differ, and how deep a candidate is at least."""
_LEAST = 0.045**3
"""Canonical volume of a candidate."""
_KERNEL = 0.3
"""Share of what a candidate grows into that it has to be."""
_JUDGED_BY = ("deviations", "roundness", "odds", "trust")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A connected place that only the segmentation or only the prior's surface holds.

    Attributes
    ----------
    surplus : bool
        Whether the segmentation has it.
    box : tuple of slice
        Of the lattice's array.
    region : (k, j, i) bool
        Within the box.
    depth_mm : float
        Largest distance from the other surface.
    deviations : float
        Mean distance in posterior standard deviations of the prior's surface.
    roundness : float
        36 pi V^2 / S^3 of the region's voxels: 1 for a ball on a fine lattice, small for thin shells.
    volume_ml : float
    centre_mm : (3,)
        RAS.
    odds : float
        Mean log-odds, by the image, that the place belongs to the organ.
    trust : float
        In the image there, 0 to 1; 0 if there is none.
    """

    surplus: bool
    box: tuple[slice, ...]
    region: BoolArray
    depth_mm: float
    deviations: float
    roundness: float
    volume_ml: float
    centre_mm: FloatArray
    odds: float = 0.0
    trust: float = 0.0


def find_candidates(lattice: SignedLattice, prior: Field, fit: SurfaceFit) -> list[Candidate]:
    """All places where a mask and the prior's surface are deeply apart, largest first.

    Parameters
    ----------
    lattice : SignedLattice
        Of the mask.
    prior : (K, J, I) float32
        Signed distance of the prior's surface on it, mm.
    fit : SurfaceFit
        Which that surface comes from.
    """
    own, inside_image = lattice.values, lattice.beyond <= 0
    tree = cKDTree(fit.skeleton)
    apart, deep = APART * fit.pose.scale, DEEP * fit.pose.scale
    least = _LEAST * fit.pose.scale**3 / (1e3 * lattice.voxel_ml)
    found = []
    for surplus, depth, other in ((True, prior, own), (False, own, prior)):
        labels, count = ndimage.label((depth > apart) & (other < 0) & inside_image)
        is_deep = np.zeros(count + 1, dtype=np.bool_)
        is_deep[labels[(depth > deep) & (labels > 0)]] = True
        boxes = ndimage.find_objects(labels)
        for number in np.flatnonzero(is_deep):
            box = boxes[number - 1]
            region = labels[box] == number
            inner = depth[box][region]
            if len(inner) < least:
                continue
            indices = np.argwhere(region) + [part.start for part in box]
            points = apply_matrix(lattice.ijk_to_ras, indices[:, ::-1])
            weights = inner / inner.sum()
            spread = float(weights @ fit.deviations[tree.query(points)[1]])
            found.append(
                Candidate(
                    surplus,
                    box,
                    region,
                    float(inner.max()),
                    float(inner.mean()) / max(spread, 1e-6),
                    _roundness(region, lattice.spacing),
                    len(inner) * lattice.voxel_ml,
                    points.mean(axis=0),
                )
            )
    return sorted(found, key=lambda one: -one.volume_ml)


def regrown(chosen: Sequence[Candidate], found: Sequence[Candidate]) -> list[Candidate]:
    """What candidates became when the prior's surface was fitted again without what is observed there.

    They grow, as the surface no longer bends towards them; how they were judged stays. One that would grow out of
    proportion stays as it was.

    Parameters
    ----------
    chosen : sequence of Candidate
        Before.
    found : sequence of Candidate
        All candidates after that.
    """
    result: list[Candidate] = []
    for new in found:
        of = [old for old in chosen if old.surplus == new.surplus and _common(old, new)]
        if not of:
            continue
        if sum(_common(old, new) for old in of) < _KERNEL * np.count_nonzero(new.region):
            result += [old for old in of if old not in result]
            continue
        judged = max(of, key=lambda old: old.volume_ml)
        result.append(replace(new, **{name: getattr(judged, name) for name in _JUDGED_BY}))
    return result


def _common(a: Candidate, b: Candidate) -> int:
    """How many points of the lattice two regions share."""
    low = [max(one.start, other.start) for one, other in zip(a.box, b.box, strict=True)]
    high = [min(one.stop, other.stop) for one, other in zip(a.box, b.box, strict=True)]
    if any(start >= stop for start, stop in zip(low, high, strict=True)):
        return 0
    parts = (
        one.region[tuple(slice(i - part.start, j - part.start) for i, j, part in zip(low, high, one.box, strict=True))]
        for one in (a, b)
    )
    return int(np.count_nonzero(np.logical_and(*parts)))


def _roundness(region: BoolArray, spacing: FloatArray) -> float:
    """36 pi V^2 / S^3 with the surface as the sum of the projected sides, two thirds of the voxels' faces."""
    padded = np.pad(region, 1)
    surface = 0.0
    for axis in range(3):
        sides = np.count_nonzero(np.diff(padded.astype(np.int8), axis=axis))
        surface += sides * float(np.delete(spacing[::-1], axis).prod())
    volume = float(np.count_nonzero(region) * spacing.prod())
    return float(36 * np.pi * volume**2 / (surface * 2 / 3) ** 3)
