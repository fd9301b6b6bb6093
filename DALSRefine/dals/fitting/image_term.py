"""Where an image places the surface, as residuals along the normals beside those of contours."""

from __future__ import annotations

import numpy as np

from dals.fitting.residuals import Residuals, ResidualTerm
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.model.pose import Pose
from dals.model.template import icosphere

_LEVEL = 3
"""Of the template whose vertices look along their normals; finer ones have them, too."""
_REACH, _STEPS = 0.12, 20
"""Canonical length of a profile to either side, and its samples there."""
_EXPECTED = 0.06
"""Standard deviation (canonical) of the edge about the surface before the image is seen."""
_STEP = _REACH / _STEPS
_OFFSETS = _STEP * np.arange(-_STEPS, _STEPS + 1)
_PLACES = _OFFSETS + 0.5 * _STEP
"""Where the log-odds are looked up, and where an edge may lie: behind each of these."""
_BEFOREHAND = -0.5 * (_PLACES / _EXPECTED) ** 2
_UNSEEN = float(np.average(_PLACES**2, weights=np.exp(_BEFOREHAND)))
"""Variance of the edge where nothing is known."""
_SHARPNESS = 100.0
"""Independent observations in a profile of canonical length 1."""
_CLEAR = 0.02
"""Standard deviation of an edge (canonical) that counts half."""
_ROBUST = 0.1
_ALL = 200.0
"""Weight of all profiles together: that of about three planes of contours."""


class ImageTerm(ResidualTerm):
    """Residuals of contours, and of vertices from where the image places the surface.

    A vertex looks at the log-odds along its normal. For each place of the edge, their sum inside of it less their sum
    outside of it is the logarithm of its likelihood. The mean of that distribution is the residual, and its spread
    tells how much it counts.

    Parameters
    ----------
    drawn : ResidualTerm
        Of the contours.
    odds : LogOdds
    trust : float
        0 to 1, weight of the image.
    """

    def __init__(self, drawn: ResidualTerm, odds: LogOdds, *, trust: float) -> None:
        self.drawn, self.odds, self.trust = drawn, odds, trust
        self.total_weight = drawn.total_weight + _ALL * trust

    def finished(self, vertices: FloatArray, level: int, pose: Pose) -> TriangleMesh:
        """The canonical surface moved onto what was drawn."""
        return self.drawn.finished(vertices, level, pose)

    def __call__(self, vertices: FloatArray, faces: IntArray, pose: Pose) -> Residuals:
        """Residuals of a mesh with canonical vertices (V, 3) of a template."""
        drawn = self.drawn(vertices, faces, pose)
        count = min(len(vertices), len(icosphere(_LEVEL).vertices))
        offsets, variances = self.edges(vertices[:count], drawn.vertex_normals[:count], pose)
        learnt = np.maximum(1 - variances / _UNSEEN, 0.0)  # nothing where the image says nothing
        weights = self.trust * _ALL / count * learnt / (1 + variances / _CLEAR**2)
        share = 1 / (1 + (offsets / _ROBUST) ** 2)
        met, barycentric = _places_of_vertices(faces, count)
        return Residuals(
            np.concatenate([drawn.faces, met]),
            np.concatenate([drawn.barycentric, barycentric]),
            np.concatenate([drawn.values, offsets]),
            np.concatenate([drawn.weights, weights * share**2]),
            drawn.loss + float(weights @ (share * offsets**2)),
            drawn.vertex_normals,
        )

    def edges(self, vertices: FloatArray, normals: FloatArray, pose: Pose) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (N,) of where the edge lies along unit normals (N, 3) from vertices (N, 3), canonical."""
        points = vertices[:, None] + _OFFSETS[:, None] * normals[:, None]
        odds = self.odds.at(pose.to_patient(points.reshape(-1, 3))).reshape(len(vertices), -1)
        likelihood = 2 * _SHARPNESS * _STEP * np.cumsum(odds, axis=1) + _BEFOREHAND
        density = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
        density /= density.sum(axis=1, keepdims=True)
        mean = density @ _PLACES
        return mean, density @ _PLACES**2 - mean**2


def _places_of_vertices(faces: IntArray, count: int) -> tuple[IntArray, FloatArray]:
    """A face (N,) with each of the first vertices, and the vertex in it as barycentric coordinates (N, 3)."""
    met, corner = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for k in range(3):
        listed = np.flatnonzero(faces[:, k] < count)
        met[faces[listed, k]], corner[faces[listed, k]] = listed, k
    return met, np.eye(3)[corner]
