"""Whether a surface fitted to points can be trusted."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dals.evaluation.confidence import Confidence, Level, confidence_in
from dals.evaluation.contour_confidence import UNUSUAL_DEVIATIONS, latent_deviation, unusual_shape
from dals.fitting import FitResult
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.places import place_text
from dals.geometry.surface_distance import surface_distances
from dals.model.prior import ShapePrior
from dals.observations import PointCloud

_FAR = 0.1
"""Canonical distance from the surface beyond which a point is a stray."""
_MANY, _MOST = 0.03, 0.12
"""Shares of strays from which the level is medium, and low."""
_NEIGHBOURS, _LONELY = 4, 3.0
"""Of a point, and the multiple of their usual distance from which on a place has no points near it."""
_UNSEEN, _MOSTLY_UNSEEN = 0.04, 0.15
"""Shares of the surface without points near them from which the level is medium, and low."""


@confidence_in.register
def point_confidence(observation: PointCloud, result: FitResult, prior: ShapePrior, mesh: TriangleMesh) -> Confidence:
    """Judge a surface by the points that it misses, and by its latent.

    Parameters are those of `confidence_in`.
    """
    far_mm = _FAR * result.state.pose.scale
    distances = surface_distances(observation.points, mesh)
    strays = np.flatnonzero(distances > far_mm)
    share = len(strays) / len(distances)
    reasons: list[str] = []
    notes: list[str] = []
    if len(strays):
        worst = int(distances.argmax())
        sentence = (
            f"{len(strays):,} of {len(distances):,} points lie more than {far_mm:.0f} mm from the surface, the "
            f"furthest {distances[worst]:.0f} mm, at {place_text(observation.points[worst])}. They count as strays. If "
            "they are on the organ, the surface is wrong there."
        )
        (reasons if share > _MANY else notes).append(sentence)
    unseen, place = _without_points(mesh, observation.points, least_mm=far_mm)
    if unseen > _UNSEEN:
        reasons.append(
            f"No points lie near {100 * unseen:.0f}% of the surface, which is a guess there, most of all at "
            f"{place_text(place)}. If the points show a part of the organ only, the rest may be much larger than this. "
            "Add points there."
        )
    unusual = latent_deviation(result, prior)
    if unusual > UNUSUAL_DEVIATIONS:
        reasons.append(unusual_shape(unusual, prior))
    level: Level = "medium" if reasons else "high"
    if share > _MOST or unseen > _MOSTLY_UNSEEN:
        level = "low"
    return Confidence(level=level, reasons=tuple(reasons), notes=tuple(notes))


def _without_points(mesh: TriangleMesh, points: FloatArray, *, least_mm: float) -> tuple[float, FloatArray]:
    """Share of a surface that has no points near it, and its vertex (3,) furthest from all."""
    tree = cKDTree(points)
    neighbours = min(_NEIGHBOURS, len(points) - 1)
    usual = float(np.median(tree.query(points, k=neighbours + 1)[0][:, 1:].mean(axis=1))) if neighbours else np.inf
    distances = tree.query(mesh.vertices)[0]
    alone = distances > max(_LONELY * usual, least_mm)
    return float(mesh.vertex_areas[alone].sum() / mesh.area), mesh.vertices[distances.argmax()]
