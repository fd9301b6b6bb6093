"""Places where a segmentation and a prior's surface are deeply apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from dals.fitting.surface_regression import SurfaceFit
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray
from dals.geometry.signed_lattice import Field, SignedLattice
from dals.geometry.transforms import apply_matrix

APART, DEEP = 0.0135, 0.034
"""Canonical distances: from where on the two differ, and how deep a candidate is at least."""


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
    """

    surplus: bool
    box: tuple[slice, ...]
    region: BoolArray
    depth_mm: float
    deviations: float
    roundness: float
    volume_ml: float
    centre_mm: FloatArray


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
    found = []
    for surplus, depth, other in ((True, prior, own), (False, own, prior)):
        labels, _ = ndimage.label((depth > apart) & (other < 0) & inside_image)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            region = labels[box] == number
            inner = depth[box][region]
            if inner.max() <= deep:
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

    They grow, as the surface no longer bends towards them; how they were judged stays.

    Parameters
    ----------
    chosen : sequence of Candidate
        Before.
    found : sequence of Candidate
        All candidates after that.
    """
    grown = []
    for new in found:
        of = [old for old in chosen if old.surplus == new.surplus and _meet(old, new)]
        if of:
            judged = max(of, key=lambda old: old.volume_ml)
            grown.append(replace(new, deviations=judged.deviations, roundness=judged.roundness))
    return grown


def _meet(a: Candidate, b: Candidate) -> bool:
    """Whether two regions share a point of the lattice."""
    low = [max(one.start, other.start) for one, other in zip(a.box, b.box, strict=True)]
    high = [min(one.stop, other.stop) for one, other in zip(a.box, b.box, strict=True)]
    if any(start >= stop for start, stop in zip(low, high, strict=True)):
        return False
    parts = (
        one.region[tuple(slice(i - part.start, j - part.start) for i, j, part in zip(low, high, one.box, strict=True))]
        for one in (a, b)
    )
    return bool(np.logical_and(*parts).any())


def _roundness(region: BoolArray, spacing: FloatArray) -> float:
    """36 pi V^2 / S^3 with the surface as the sum of the projected sides, two thirds of the voxels' faces."""
    padded = np.pad(region, 1)
    surface = 0.0
    for axis in range(3):
        sides = np.count_nonzero(np.diff(padded.astype(np.int8), axis=axis))
        surface += sides * float(np.delete(spacing[::-1], axis).prod())
    volume = float(np.count_nonzero(region) * spacing.prod())
    return float(36 * np.pi * volume**2 / (surface * 2 / 3) ** 3)
