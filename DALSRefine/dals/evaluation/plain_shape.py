"""How far a fitted surface is from a shape that the prior knows as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dals.fitting import FitResult
from dals.fitting.probable_fit import ProbableFit
from dals.fitting.residuals import residual_term
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

_SHARE = 0.95
"""Of the area, that lies nearer than what counts: a mean hides the one lobe that is not of the prior."""


def with_plain(contours: PlanarContours, result: FitResult, prior: ShapePrior) -> FitResult:
    """The fit with the surface that one latent for all vertices makes of the contours.

    A fit from the beginning has it; for one that went on from an earlier fit it is made now, from that one's. A fit by
    another method stays without.
    """
    settings = result.settings
    if result.plain is not None or settings.method != "gauss-newton":
        return result
    term = residual_term(contours, settings)
    assert term is not None  # contours have one
    fit = ProbableFit(prior, contours, term, settings, known=None, on_step=None)
    plain, state = fit.shared_only(result.state.plain)
    return replace(result, plain=plain, state=replace(result.state, plain=state))


def departure(mesh: TriangleMesh, plain: TriangleMesh) -> float:
    """The distance, mm, within which most of each of two surfaces lies from the other.

    It tells how much the local latents had to do. Where the contours need much that no single latent has, the organ is
    unlike those that the prior knows, between the planes as well.
    """
    return max(_reach(mesh, plain), _reach(plain, mesh))


def _reach(mesh: TriangleMesh, other: TriangleMesh) -> float:
    distances, areas = surface_distances(mesh.vertices, other), mesh.vertex_areas
    order = np.argsort(distances)
    below = np.cumsum(areas[order])
    return float(distances[order[int(np.searchsorted(below, _SHARE * below[-1]))]])
