"""A principal component model with the project's own residuals of contours and of the image.

The model is that of the shapes the prior has learnt, the linearisation and the image's map are the same. What differs
is the prior: a few numbers for the whole surface in place of latents that vary over it.
"""

from __future__ import annotations

import numpy as np

from benchmarks.systems.pca import PcaModel, decoded_shapes, learn
from dals.appearance.nearness import Nearness
from dals.appearance.view import View
from dals.fitting import FitResult
from dals.fitting.image_term import ImageTerm
from dals.fitting.residuals import ResidualTerm, residual_term
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.volume import Volume
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

_VARIANCE = 0.99
_NOISE = np.geomspace(0.05, 0.025, 12)
"""Standard deviations of an observation, canonical. 0.012 in the end, and 0.95 of the variance: worse on MR 1 and 5."""
_SHIFT, _TURN, _GROWTH = 0.3, 0.2, 0.1


def model_of(prior: ShapePrior) -> PcaModel:
    """Of the shapes that a prior has learnt."""
    return learn(decoded_shapes(prior), variance=_VARIANCE)


def principal_components(
    model: PcaModel, contours: PlanarContours, drawn: FitResult, image: Volume | None, *, error: float
) -> TriangleMesh:
    """The most probable shape of the model, RAS mm; its pose starts at that of the fit of the contours alone.

    `error` is that which the contours leave between the planes, canonical.
    """
    pose = drawn.state.pose
    term = residual_term(contours, drawn.settings)
    assert term is not None
    alone = _fitted(model, term, pose)
    if image is None:
        return alone
    view = View.around(contours, image, alone, scale_mm=pose.scale)
    surface = Nearness(alone)
    use, seen = view.seen_from(surface, error=error, seed=drawn.settings.seed)
    if seen is None:
        return alone
    return _fitted(model, ImageTerm(term, view.with_drawn(seen, surface), trust=use.trust), pose)


def _fitted(model: PcaModel, term: ResidualTerm, pose: Pose) -> TriangleMesh:
    """Gauss-Newton on coefficients and pose."""
    coefficients = np.zeros(model.modes.shape[2] + 7)
    vertices = model.mean
    for noise in _NOISE:
        modes = np.concatenate([model.modes, _pose_modes(vertices)], axis=2)
        residuals = term(vertices, model.faces, pose)
        corners = model.faces[residuals.faces]
        across = residuals.at_places(residuals.vertex_normals, model.faces)
        slopes = np.einsum("nc,ncdk,nd->nk", residuals.barycentric, modes[corners], across)
        weights = residuals.weights / noise**2
        wanted = residuals.values + slopes @ coefficients
        matrix = (slopes * weights[:, None]).T @ slopes + np.eye(len(coefficients))
        coefficients = np.linalg.solve(matrix, (slopes * weights[:, None]).T @ wanted)
        vertices = model.mean + modes @ coefficients
    return TriangleMesh(pose.to_patient(vertices), model.faces)


def _pose_modes(vertices: FloatArray) -> FloatArray:
    """Displacements (V, 3, 7) by a standard deviation of translation, rotation and size."""
    count = len(vertices)
    shifts = np.broadcast_to(_SHIFT * np.eye(3), (count, 3, 3))
    turns = _TURN * np.stack([np.cross(axis, vertices) for axis in np.eye(3)], axis=2)
    return np.concatenate([shifts, turns, _GROWTH * vertices[:, :, None]], axis=2)
