"""How far a mesh is from points, as residuals along its normals.

Two kinds, as in the Chamfer distance. The points look for the closest places of the surface, and the middles of faces
look for the closest points, so that a part of the surface where there are none shrinks. Both are forgiven beyond a
robust scale: such a point is a stray, and near such a face nothing was measured. Nothing is drawn at random.
"""

from __future__ import annotations

import copy

import numpy as np
from scipy.spatial import cKDTree

from dals.fitting.point_correction import onto_points
from dals.fitting.residuals import Residuals, ResidualTerm
from dals.fitting.surface_places import Surface
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.model.pose import Pose

_MOST_POINTS, _MOST_FACES = 800, 700
"""What a step uses: it solves a dense system as large as the number of residuals."""
_BACK = 0.05
"""Share of the faces' residuals: where points are few or missing, the closest one says little of a face."""
_AT_ODDS, _FAR = 0.3, 0.15
"""Where a point's squared distance levels off: by how much it differs from that of the points around, in distances to
them, and how large it is, canonical. With 5% of all points scattered, livers (BTCV) are fitted as without them."""
_IN_TRIALS = 6.0
"""Times these in the first steps, while the pose is far off."""
_AROUND = 6


class PointResiduals(ResidualTerm):
    """Residuals of a mesh with respect to points on the surface.

    Parameters
    ----------
    points : (N, 3)
        RAS mm.
    weight : float
        Of all points together.
    robust_scale : float
        Canonical distance of a face from the points beyond which its squared distance levels off.
    sociability : (N,), optional
        Weights of the points relative to each other, low for those far from all others.
    """

    def __init__(
        self, points: FloatArray, *, weight: float, robust_scale: float, sociability: FloatArray | None = None
    ) -> None:
        self.points, self.robust_scale = points, robust_scale
        self.total_weight = weight
        index = spread_out(len(points), _MOST_POINTS)
        self._chosen, self._forgiving = points[index], 1.0
        around = range(2, 2 + min(_AROUND, len(index) - 1))
        away, self._neighbours = cKDTree(self._chosen).query(self._chosen, k=around)
        self._around_mm = float(np.median(away[:, -1]))
        social = np.ones(len(index)) if sociability is None else sociability[index]
        self._shares = social / social.sum()

    def of_trials(self) -> PointResiduals:
        """More forgiving ones."""
        trials = copy.copy(self)
        trials._forgiving = _IN_TRIALS
        return trials

    def __call__(self, vertices: FloatArray, faces: IntArray, pose: Pose) -> Residuals:
        """Residuals of a mesh with canonical vertices (V, 3), faces counter-clockwise seen from outside."""
        surface = Surface.of(vertices, faces)
        chosen = pose.to_canonical(self._chosen)
        met, barycentric, distances = surface.closest(chosen)
        weights = (1 - _BACK) * self.total_weight * self._shares
        odds = distances - np.median(distances[self._neighbours], axis=1)
        at_odds = max(_AT_ODDS * self._around_mm / pose.scale, 1e-6)
        share = _forgiveness(odds, self._forgiving * at_odds) * _forgiveness(distances, self._forgiving * _FAR)
        back = self._from_faces(surface, pose.to_canonical(self.points))
        return Residuals(
            np.concatenate([met, back[0]]),
            np.concatenate([barycentric, back[1]]),
            np.concatenate([distances, back[2]]),
            np.concatenate([weights * share**2, back[3]]),
            float(weights @ (share * distances**2)) + back[4],
            surface.vertex_normals,
        )

    def finished(self, vertices: FloatArray, level: int, pose: Pose) -> TriangleMesh:
        """The canonical surface moved onto the points, as far as they are no noise."""
        return onto_points(vertices, level, pose.to_canonical(self.points))

    def _from_faces(
        self, surface: Surface, points: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray, FloatArray, float]:
        """From the middles of faces to the closest points, along the faces' normals."""
        stride = 1 + (len(surface.faces) - 1) // _MOST_FACES
        met = np.arange(0, len(surface.faces), stride)
        middles = surface.corners[met].mean(axis=1)
        distances, nearest = cKDTree(points).query(middles)
        values = ((points[nearest] - middles) * surface.face_normals[met]).sum(axis=1)
        share = _forgiveness(distances, self.robust_scale)
        areas = surface.areas[met]
        weights = _BACK * self.total_weight * areas / max(areas.sum(), 1e-12)
        barycentric = np.full((len(met), 3), 1 / 3)
        return met, barycentric, values, weights * share**2, float(weights @ (share * values**2))


def _forgiveness(distances: FloatArray, scale: float) -> FloatArray:
    """Share of squared distances (N,) that counts (Geman and McClure): beyond the scale they level off."""
    return np.asarray(1 / (1 + (distances / scale) ** 2))


def spread_out(count: int, most: int) -> IntArray:
    """Indices of at most `most` of `count` items, all over their order but in step with no period of it."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])
