"""Whether a surface fitted to points can be trusted."""

from __future__ import annotations

import numpy as np

from dals.evaluation.confidence import Confidence, Level, confidence_in
from dals.evaluation.contour_confidence import UNUSUAL_DEVIATIONS, latent_deviation, unusual_shape
from dals.fitting import FitResult
from dals.geometry.mesh import TriangleMesh
from dals.geometry.places import place_text
from dals.geometry.surface_distance import surface_distances
from dals.model.prior import ShapePrior
from dals.observations import PointCloud

_FAR = 0.1
"""Canonical distance from the surface beyond which a point is a stray."""
_MANY, _MOST = 0.03, 0.12
"""Shares of strays from which the level is medium, and low."""


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
    unusual = latent_deviation(result, prior)
    if unusual > UNUSUAL_DEVIATIONS:
        reasons.append(unusual_shape(unusual, prior))
    level: Level = "low" if share > _MOST else "medium" if reasons else "high"
    return Confidence(level=level, reasons=tuple(reasons), notes=tuple(notes))
