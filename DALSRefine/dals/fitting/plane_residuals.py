"""How far a mesh is from contours, as residuals along its normals.

Two kinds, for each plane. A contour's points look for the surface, and the surface's sections look for the contours:
what is outlined on a plane is all of the organ there, so that a section outside of the region has to shrink and one
inside of it has to grow until it meets the outline. Residuals follow fixed rules (no random samples), so that a fit
has one answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from dals.fitting.curve_correction import FAR, FINE_FAR, NOISE, corrected
from dals.fitting.plane_region import PlaneRegion
from dals.fitting.residuals import Residuals, ResidualTerm
from dals.fitting.surface_places import Surface, normalised
from dals.geometry.closest_points import closest_on_triangles
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.model.pose import Pose
from dals.model.template import finer, icosphere

_NORMAL_WEIGHT = 0.1
"""Canonical distance that a difference of 1 between two unit normals counts for when partners are chosen."""
_CANDIDATES = 12
_TRIAL_SCALE = 0.5
"""Robust scale of the first steps. At 0.1, one spleen of ten grew to twice its size."""
_DRAWN_MM = 2.0
"""Mean length of a template's edges below which nothing that was drawn is finer. In a liver they are 6 mm, in a
hippocampus 1 mm."""
_TREMOR_MM = 0.5
"""Standard deviation of a click from the organ's edge."""
_MOST_SEGMENTS = 1_500
"""Of all planes together, about: a step solves a dense system as large as the number of residuals."""


_Part = tuple[IntArray, FloatArray, FloatArray, FloatArray, float]


class PlaneResiduals(ResidualTerm):
    """Residuals of a mesh with respect to contours.

    Parameters
    ----------
    regions : sequence of PlaneRegion
        RAS mm.
    weight : float
        Of all points of one plane together, and of all its sections together.
    robust_scale : float
        Canonical distance of a section from the contours beyond which its squared distance levels off.
    by_hand : bool
        Whether the contours were clicked.
    """

    def __init__(
        self, regions: Sequence[PlaneRegion], *, weight: float, robust_scale: float, by_hand: bool = False
    ) -> None:
        self.regions, self.weight, self.robust_scale, self.by_hand = regions, weight, robust_scale, by_hand
        self.total_weight = 2 * weight * len(regions)

    def __call__(self, vertices: FloatArray, faces: IntArray, pose: Pose) -> Residuals:
        """Residuals of a mesh with canonical vertices (V, 3), faces counter-clockwise seen from outside."""
        surface = Surface.of(vertices, faces)
        # It sees centroids and normals; the exact closest points decide among its candidates.
        tree = cKDTree(np.concatenate([surface.corners.mean(axis=1), _NORMAL_WEIGHT * surface.face_normals], axis=1))
        parts = []
        for region in self.regions:
            parts.append(_from_contours(surface, tree, region, pose, self.weight))
            parts.append(self._from_sections(surface, region, pose))
        met, barycentric, values, weights, losses = zip(*parts, strict=True)
        return Residuals(
            np.concatenate(met),
            np.concatenate(barycentric),
            np.concatenate(values),
            np.concatenate(weights),
            float(sum(losses)),
            surface.vertex_normals,
        )

    def of_trials(self) -> PlaneResiduals:
        """Residuals that forgive nothing near the organ: a surface twice too large would stay so."""
        scale = max(self.robust_scale, _TRIAL_SCALE)
        return PlaneResiduals(self.regions, weight=self.weight, robust_scale=scale, by_hand=self.by_hand)

    def finished(self, vertices: FloatArray, level: int, pose: Pose) -> TriangleMesh:
        """The canonical surface moved onto the contours, on the next finer template: tips of lobes are thin.

        Where the edges are shorter than what a hand draws, the finer template only divides them: it would follow the
        hand's tremor, and fold.
        """
        vertices = self.followed(vertices, level, pose)
        edge_mm = TriangleMesh(vertices, icosphere(level).faces).mean_edge_length * pose.scale
        vertices, faces = finer(vertices, level)
        if edge_mm < _DRAWN_MM:
            return TriangleMesh(vertices, faces)
        return TriangleMesh(self.brought(vertices, faces, pose), faces)

    def followed(self, vertices: FloatArray, level: int, pose: Pose) -> FloatArray:
        """Canonical vertices (V, 3) of a template moved onto the contours, as far as that template can follow them."""
        return corrected(vertices, icosphere(level).faces, self, pose, far=FAR, noise=self._noise(pose))

    def brought(self, vertices: FloatArray, faces: IntArray, pose: Pose) -> FloatArray:
        """Canonical vertices (V, 3) of a fine mesh that is near the contours, moved onto them."""
        return corrected(vertices, faces, self, pose, far=FINE_FAR, noise=self._noise(pose))

    def _noise(self, pose: Pose) -> float:
        return max(NOISE, _TREMOR_MM / pose.scale) if self.by_hand else NOISE

    def _from_sections(self, surface: Surface, region: PlaneRegion, pose: Pose) -> _Part:
        """From the segments in which faces meet the plane to the contours, along the surface's normals.

        Segments where the plane may be inside or outside of the organ do not count.
        """
        origin, normal = pose.to_canonical(region.origin[None])[0], region.normal @ pose.rotation
        # A closed surface of F faces meets a plane in about 3 sqrt(F) of them. Which of them count does not depend on
        # where the plane lies: a surface that moves a little keeps its residuals.
        stride = 1 + int(3 * len(self.regions) * len(surface.faces) ** 0.5) // _MOST_SEGMENTS
        met, ends = section_segments(surface.vertices, surface.faces[::stride], origin, normal)
        met = met * stride
        segments = np.einsum("nek,nkd->ned", ends, surface.vertices[surface.faces[met]])
        lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
        facing = surface.face_normals[met]
        distances, known = region.signed_distances(pose.to_patient(segments.mean(axis=1)), facing @ pose.rotation.T)
        distances = distances / pose.scale
        # A step d along the face's normal moves the section by d over the part of the normal in the plane.
        in_plane = np.linalg.norm(facing - (facing @ normal)[:, None] * normal, axis=1)
        values = -distances * in_plane
        # Geman and McClure: the squared distance levels off.
        share = 1 / (1 + (distances / self.robust_scale) ** 2)
        weights = self.weight * known * lengths / max(lengths.sum(), 1e-12)
        return met, ends.mean(axis=1), values, weights * share**2, float(weights @ (share * values**2))


def _from_contours(surface: Surface, tree: cKDTree, region: PlaneRegion, pose: Pose, weight: float) -> _Part:
    """From points of the contours to the closest places of the surface that face the same way."""
    points, normals = pose.to_canonical(region.points), region.normals @ pose.rotation
    corners = surface.corners
    candidates = tree.query(np.concatenate([points, _NORMAL_WEIGHT * normals], axis=1), k=_CANDIDATES)[1]
    flat = candidates.ravel()
    repeated = np.repeat(points, _CANDIDATES, axis=0)
    barycentric = closest_on_triangles(repeated, corners[flat])
    positions = np.einsum("nk,nkd->nd", barycentric, corners[flat])
    facing = normalised(np.einsum("nk,nkd->nd", barycentric, surface.vertex_normals[surface.faces[flat]]))
    alignment = (facing * np.repeat(normals, _CANDIDATES, axis=0)).sum(axis=1)
    cost = ((positions - repeated) ** 2).sum(axis=1) - 2 * _NORMAL_WEIGHT**2 * alignment
    rows = np.arange(len(points)) * _CANDIDATES + cost.reshape(-1, _CANDIDATES).argmin(axis=1)
    met, places = flat[rows], barycentric[rows]
    values = ((points - positions[rows]) * facing[rows]).sum(axis=1)
    weights = np.full(len(points), weight / len(points))
    return met, places, values, weights, float(weights @ values**2)


def section_segments(
    vertices: FloatArray, faces: IntArray, origin: FloatArray, normal: FloatArray
) -> tuple[IntArray, FloatArray]:
    """The segments in which faces meet a plane: indices of the faces (N,), and barycentric ends (N, 2, 3)."""
    distances = ((vertices - origin) @ normal)[faces]
    above = distances >= 0
    count = above.sum(axis=1)
    met = np.flatnonzero((count == 1) | (count == 2))
    distances, above = distances[met], above[met]
    # The plane crosses the two edges from the corner that lies alone on its side.
    lone = np.where((count[met] == 1)[:, None], above, ~above).argmax(axis=1)
    rows = np.arange(len(met))
    ends = np.zeros((len(met), 2, 3))
    for end in range(2):
        other = (lone + 1 + end) % 3
        fraction = distances[rows, lone] / (distances[rows, lone] - distances[rows, other])
        ends[rows, end, other], ends[rows, end, lone] = fraction, 1 - fraction
    return met, ends
