"""How far a fitted surface may be off, as far as the prior and the observation say: Laplace's approximation.

At the optimum the energy is a parabola in the unknowns, and its curvature is that of a Gaussian: shared latent, field
of local latents and pose, given residuals with their noise. The decoder's derivatives carry it to the surface, along
its normals. Covariances are those of `dals.fitting.gauss_newton`, in the space of the residuals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from dals.fit_settings import FitSettings
from dals.fitting.gauss_newton import LEAST_WEIGHT, SHIFT_DEVIATION, TURN_DEVIATION, size_spread
from dals.fitting.local_kernel import local_basis
from dals.fitting.precise_decoder import PreciseDecoder
from dals.fitting.residuals import Residuals
from dals.geometry.mesh import FloatArray, IntArray
from dals.model.fit_state import FitState
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.ops.dense import product

_NOISE = 0.012
"""Standard deviation of an observation, canonical; that of the last steps of a fit."""
_MOST_RESIDUALS = 800


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives of displacements along normals at N places with respect to the unknowns, in standard deviations."""

    latents: FloatArray  # (N, k)
    functions: FloatArray  # (N, m)
    pose: FloatArray | None  # (N, 4 or 7)

    def covariance(self, other: _Slopes, shared_variance: float) -> FloatArray:
        """Of the displacements here (N) with those elsewhere (M), before anything was observed, (N, M)."""
        likeness = shared_variance + product(self.functions, np.ascontiguousarray(other.functions.T))
        covariance = product(self.latents, np.ascontiguousarray(other.latents.T)) * likeness
        if self.pose is not None and other.pose is not None:
            covariance += self.pose @ other.pose.T
        return covariance


def surface_posterior(
    prior: ShapePrior,
    state: FitState,
    vertices: FloatArray,
    residuals: Residuals,
    settings: FitSettings,
    *,
    known: bool,
    level: int,
) -> FloatArray:
    """Covariance of the displacements of a fitted surface along its normals, given what was observed.

    Parameters
    ----------
    prior : ShapePrior
    state : FitState
        End of the fit.
    vertices : (V, 3)
        The fitted surface on the template of `state`, canonical.
    residuals : Residuals
        Of that surface.
    settings : FitSettings
        With weights in standard deviations, as Gauss-Newton has them.
    known : bool
        Whether the pose was known.
    level : int
        Of the template on whose vertices the covariance is wanted; not finer than that of `state`.

    Returns
    -------
    (M, M) float64
        Canonical units, for the M vertices of the template of `level`.
    """
    faces = icosphere(state.level).faces
    wanted = np.arange(len(icosphere(level).vertices))  # coarse templates' vertices come first
    kept = _thinned(residuals)
    used, index = np.unique(faces[residuals.faces[kept]], return_inverse=True)
    together = np.union1d(wanted, used)
    here = _slopes(prior, state, vertices, residuals.vertex_normals, settings, together, known=known)
    position = np.searchsorted(together, used)[index.reshape(-1, 3)]
    at_places = _interpolated(here, position, residuals.barycentric[kept])
    at_vertices = _picked(here, np.searchsorted(together, wanted))
    shared = 1 / max(settings.lambda_prior, LEAST_WEIGHT)
    observed = at_places.covariance(at_places, shared)
    share = len(kept) / max(int((residuals.weights > 0).sum()), 1)
    variances = _NOISE**2 * share / np.maximum(residuals.weights[kept], 1e-9)
    observed[np.diag_indices(len(kept))] += variances
    factor = torch.linalg.cholesky(torch.from_numpy(observed))
    between = torch.from_numpy(at_places.covariance(at_vertices, shared))
    explained = torch.linalg.solve_triangular(factor, between, upper=False)
    return np.asarray(at_vertices.covariance(at_vertices, shared) - (explained.T @ explained).numpy())


def _thinned(residuals: Residuals) -> IntArray:
    """Indices of at most `_MOST_RESIDUALS` residuals that count, evenly from all."""
    counting = np.flatnonzero(residuals.weights > 0)
    return np.asarray(counting[:: 1 + len(counting) // _MOST_RESIDUALS])


def _slopes(
    prior: ShapePrior,
    state: FitState,
    vertices: FloatArray,
    normals: FloatArray,
    settings: FitSettings,
    chosen: IntArray,
    *,
    known: bool,
) -> _Slopes:
    decoder = PreciseDecoder(prior)
    basis = prior.latent_basis.cpu().double().numpy()
    directions = basis / (basis**2).sum(axis=0)
    offsets = (state.shared - prior.latent_mean.cpu().numpy())[None].astype(np.float64)
    field = np.repeat(offsets @ directions, len(chosen), axis=0)
    if state.local is not None:
        field = field + state.local[chosen].astype(np.float64) @ directions
    latents = decoder.derivatives(field, state.level, chosen, normals[chosen])
    functions = local_basis(state.level)[chosen] / math.sqrt(max(settings.lambda_dir, LEAST_WEIGHT))
    pose = None if known else _pose_slopes(prior, state, vertices[chosen], normals[chosen], settings)
    return _Slopes(latents, functions, pose)


def _pose_slopes(
    prior: ShapePrior, state: FitState, positions: FloatArray, normals: FloatArray, settings: FitSettings
) -> FloatArray:
    """Along normals, for a standard deviation each of size, place and turn."""
    usual, deviation = prior.log_scale
    spread = size_spread(deviation, math.log(state.pose.scale) - usual, settings)
    size = (normals * positions).sum(axis=1, keepdims=True) * spread
    parts = [size, normals @ state.pose.rotation.T * SHIFT_DEVIATION]
    if settings.rotating:
        parts.append(np.cross(positions, normals) * TURN_DEVIATION)
    return np.concatenate(parts, axis=1)


def _interpolated(slopes: _Slopes, corners: IntArray, barycentric: FloatArray) -> _Slopes:
    def at(values: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("nk,nkc->nc", barycentric, values[corners]))

    return _Slopes(at(slopes.latents), at(slopes.functions), None if slopes.pose is None else at(slopes.pose))


def _picked(slopes: _Slopes, rows: IntArray) -> _Slopes:
    return _Slopes(slopes.latents[rows], slopes.functions[rows], None if slopes.pose is None else slopes.pose[rows])
