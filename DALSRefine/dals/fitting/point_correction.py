"""The last millimetres to points on the surface, as far as these are no noise."""

from __future__ import annotations

import math

import numpy as np
import torch

from dals.fitting.displacement_kernel import field_of, likeness
from dals.fitting.stray_points import agreeing
from dals.fitting.surface_places import Surface
from dals.fitting.surplus_surface import without_surplus
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.template import finer, icosphere
from dals.observations.lonely_points import sociability, sociable
from dals.ops.dense import product, solve_positive

_ROUNDS, _FINE_ROUNDS = 2, 2
_MOST_POINTS, _TO_JUDGE = 3_000, 600
_LENGTHS = (1.0, 1.5, 2.0, 4.0)
"""Lengths of the field of displacements to choose from, in mean distances between neighbouring points."""
_NOISES = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
"""Standard deviations of the points' noise to choose from, canonical."""
_EXACT = 0.008
"""Noise, canonical, up to which a finer template gains from the points; beyond, it gains noise."""
_FAR = 0.15
"""Canonical residual beyond which a point is left alone."""


def onto_points(vertices: FloatArray, level: int, points: FloatArray) -> TriangleMesh:
    """Move a canonical surface to points (N, 3) near it, onto the next finer template.

    The displacement along the normals is the mean of a Gaussian field given the points' distances. Its length and
    spread and the noise of the points are those under which the distances are most probable: distances that neighbours
    share are shape, others are noise. Points at odds with their neighbours are left out. Before each round, parts of
    the surface that the points refute are drawn back.

    Parameters
    ----------
    vertices : (V, 3)
        Canonical.
    level : int
        Of their template.
    points : (N, 3)
        Canonical.

    Returns
    -------
    TriangleMesh
        Canonical. Its first vertices are those of the template of `level`.
    """
    order = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
    points = points[order]
    together = sociable(sociability(points))  # others are no evidence that the surface runs past them
    chosen, faces = None, icosphere(level).faces
    for done in range(_ROUNDS + _FINE_ROUNDS):
        if done == _ROUNDS:
            vertices, faces = finer(vertices, level)
            if chosen is not None and chosen[2] > _EXACT:
                break
        surface, closest = without_surplus(Surface.of(vertices, faces), points, together)
        vertices = surface.vertices
        if chosen is None:
            kept = agreeing(points, closest.distances)
            points, together, closest = points[kept], together[kept], closest.part(kept)
        near = np.abs(closest.distances) < _FAR
        if near.sum() < 4:
            break
        places = surface.positions(closest)[near]
        facing = np.einsum("nk,nkd->nd", closest.barycentric, surface.vertex_normals[faces[closest.faces]])[near]
        distances = closest.distances[near]
        if chosen is None:
            spacing = math.sqrt(float(surface.areas.sum()) / len(points))
            few = slice(_TO_JUDGE)
            chosen = _most_probable(places[few], facing[few], distances[few], spacing)
        spread, length, noise = chosen
        covariance = likeness(places, places, spread=spread, length=length) * product(facing, facing.T)
        covariance[np.diag_indices(len(covariance))] += noise**2
        factors = solve_positive(covariance, distances)
        vertices = vertices + field_of(factors[:, None] * facing, places, vertices, spread=spread, length=length)
    return TriangleMesh(vertices, faces)


def _most_probable(
    places: FloatArray, facing: FloatArray, distances: FloatArray, spacing: float
) -> tuple[float, float, float]:
    """Spread, length and noise of largest marginal likelihood."""
    found, best = (0.0, spacing, 1.0), math.inf
    variance = float((distances**2).mean())
    for length in (spacing * factor for factor in _LENGTHS):
        alike = likeness(places, places, spread=1.0, length=length) * product(facing, facing.T)
        for noise in _NOISES:
            spread = math.sqrt(max(variance - noise**2, 0.1 * variance, 1e-8))
            covariance = torch.from_numpy(spread**2 * alike + noise**2 * np.eye(len(places)))
            factor = torch.linalg.cholesky(covariance)
            white = torch.linalg.solve_triangular(factor, torch.from_numpy(distances)[:, None], upper=False)
            energy = float(white.square().sum() + 2 * factor.diagonal().log().sum())
            if energy < best:
                found, best = (spread, length, noise), energy
    return found
