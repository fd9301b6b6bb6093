"""Where the image refutes a surface for certain, it has the last word.

Latents move a surface along its normals. That does not take away a horn that the contours left to the prior, nor does
it reach a lobe that no known shape has. The log-odds of image and surface are added up here, voxel by voxel; where the
sum is clearly on the other side of the surface, a piece is cut off or added. Elsewhere the surface stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from dals.edits.composition import blended, smoothed
from dals.fitting.plane_residuals import PlaneResiduals
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.signed_lattice import SignedLattice, in_one_piece, mesh_distance, signed_lattice
from dals.geometry.transforms import apply_matrix
from dals.model.pose import Pose

_WIDTH, _MOST = 0.04, 2.0
"""The surface's own log-odds: 1 at this canonical distance from it, and at most so much."""
_DEPTH = 0.04
"""Canonical distance from the surface that a piece reaches at least."""
_COARSEST = 0.03
"""Canonical size up to which voxels are averaged: no piece is as thin."""
_MARGIN = 0.1
"""Canonical, around all."""
_MOST_POINTS = 400_000


@dataclass(frozen=True, eq=False)
class Mending:
    """A surface with pieces cut off and added.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm.
    pieces : int
    depth_mm : float
        How far the deepest piece reaches from the earlier surface.
    place : (3,)
        Where it does, RAS mm.
    """

    mesh: TriangleMesh
    pieces: int
    depth_mm: float
    place: FloatArray

    def entry(self) -> dict[str, Any]:
        """For the report."""
        place = [float(value) for value in self.place]
        return {"pieces": self.pieces, "depth_mm": self.depth_mm, "deepest_at_ras_mm": place}


def mended(mesh: TriangleMesh, odds: LogOdds, drawn: PlaneResiduals, *, trust: float, pose: Pose) -> Mending | None:
    """Cut off and add what the image clearly shows; None where there is nothing to mend.

    Parameters
    ----------
    mesh : TriangleMesh
        RAS mm, fitted to contours and image.
    odds : LogOdds
        Of the image.
    drawn : PlaneResiduals
        Of the contours, onto which new pieces are brought as well.
    trust : float
        0 to 1, weight of the image.
    pose : Pose
        Of the fit.
    """
    unit = pose.scale
    odds = _around(_coarser(odds, spacing_mm=_COARSEST * unit), mesh, margin_mm=_MARGIN * unit)
    distances = mesh_distance(mesh, odds.array.shape, odds.ijk_to_ras)
    own = np.clip(-distances / np.float32(_WIDTH * unit), -_MOST, _MOST)
    inside = distances < 0
    whole = in_one_piece(-(trust * odds.array + own)) < 0
    wanted, pieces = _deep_pieces(whole != inside, np.abs(distances), depth=_DEPTH * unit)
    if not pieces:
        return None
    changed = LabelMap(np.where(wanted, whole, inside), odds.ijk_to_ras)
    lattice = signed_lattice(changed, margin_mm=_MARGIN * unit, most_points=_MOST_POINTS)
    before = lattice.distance_of(mesh)
    parts = _parts_at((before < 0) != (lattice.values < 0), _on_lattice(wanted, lattice))
    field = blended(before, lattice.values, parts, lattice, unit=unit)
    surface = lattice.surface(smoothed(in_one_piece(field), lattice))
    vertices = drawn.brought(pose.to_canonical(surface.vertices), surface.faces, pose)
    deepest = np.unravel_index(np.where(wanted, np.abs(distances), 0).argmax(), wanted.shape)
    place = apply_matrix(odds.ijk_to_ras, np.array([deepest[::-1]], dtype=np.float64))[0]
    return Mending(
        TriangleMesh(pose.to_patient(vertices), surface.faces), pieces, float(np.abs(distances[deepest])), place
    )


def _coarser(odds: LogOdds, *, spacing_mm: float) -> LogOdds:
    """Means of blocks of voxels up to a size; those that the last blocks lack are like their neighbours."""
    spacing = np.linalg.norm(odds.ijk_to_ras[:3, :3], axis=0)
    block = np.clip(np.floor(spacing_mm / spacing + 1e-6).astype(int), 1, odds.array.shape[::-1])
    if (block == 1).all():
        return odds
    widths = [(0, int(-size % step)) for size, step in zip(odds.array.shape, block[::-1], strict=True)]
    padded = np.pad(odds.array, widths, mode="edge")
    sizes = [part for size, step in zip(padded.shape, block[::-1], strict=True) for part in (size // step, step)]
    matrix = odds.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ ((block - 1) / 2)
    matrix[:3, :3] *= block
    return LogOdds(padded.reshape(sizes).mean(axis=(1, 3, 5)), matrix)


def _around(odds: LogOdds, mesh: TriangleMesh, *, margin_mm: float) -> LogOdds:
    """The log-odds on a grid that holds all of the mesh; where the image ends nothing is known."""
    spacing = np.linalg.norm(odds.ijk_to_ras[:3, :3], axis=0)
    places = apply_matrix(np.linalg.inv(odds.ijk_to_ras), mesh.vertices)
    margin = margin_mm / spacing
    before = np.maximum(np.ceil(margin - places.min(axis=0)), 0).astype(int)
    after = np.maximum(np.ceil(places.max(axis=0) + margin - (np.array(odds.array.shape[::-1]) - 1)), 0).astype(int)
    matrix = odds.ijk_to_ras.copy()
    matrix[:3, 3] -= matrix[:3, :3] @ before
    widths = list(zip(before[::-1].tolist(), after[::-1].tolist(), strict=True))
    return LogOdds(np.pad(odds.array, widths), matrix)


def _deep_pieces(differing: BoolArray, depths: FloatArray, *, depth: float) -> tuple[BoolArray, int]:
    """Those connected parts of a mask that somewhere reach a depth, and how many they are."""
    labels, count = ndimage.label(differing)
    deepest = np.asarray(ndimage.maximum(depths, labels, np.arange(1, count + 1)))
    kept = np.concatenate([[False], deepest >= depth])
    return kept[labels], int(kept.sum())


def _parts_at(differing: BoolArray, places: BoolArray) -> BoolArray:
    """Those connected parts of a mask that hold one of the places."""
    labels, count = ndimage.label(differing)
    kept = np.zeros(count + 1, dtype=np.bool_)
    kept[labels[places]] = True
    kept[0] = False
    return kept[labels]


def _on_lattice(voxels: BoolArray, lattice: SignedLattice) -> BoolArray:
    """Which points of the lattice lie in marked voxels (K, J, I)."""
    scale, shift = np.diag(lattice.to_voxels)[2::-1], lattice.to_voxels[2::-1, 3]
    indices = [
        np.rint(np.arange(size) * scale[axis] + shift[axis]).astype(int)
        for axis, size in enumerate(lattice.values.shape)
    ]
    within = [(index >= 0) & (index < size) for index, size in zip(indices, voxels.shape, strict=True)]
    found: BoolArray = np.zeros(lattice.values.shape, dtype=np.bool_)
    found[np.ix_(*within)] = voxels[np.ix_(*(index[kept] for index, kept in zip(indices, within, strict=True)))]
    return found
