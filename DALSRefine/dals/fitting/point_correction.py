"""The last millimetres to points on the surface, as far as these are no noise."""

from __future__ import annotations

import math

import numpy as np
import torch

from dals.fitting.surface_places import Surface
from dals.geometry.mesh import FloatArray, IntArray
from dals.ops.dense import product, solve_positive

_ROUNDS = 3
_MOST_POINTS, _TO_JUDGE = 3_000, 600
_LENGTHS = (1.0, 1.5, 2.0, 4.0)
"""Lengths of the field of displacements to choose from, in mean distances between neighbouring points."""
_NOISES = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
"""Standard deviations of the points' noise to choose from, canonical."""
_FAR = 0.15
"""Canonical residual beyond which a point is left alone."""


def onto_points(vertices: FloatArray, faces: IntArray, points: FloatArray) -> FloatArray:
    """Move a canonical surface to points (N, 3) near it.

    The displacement along the normals is the mean of a Gaussian field given the points' distances. Its length and
    spread and the noise of the points are those under which the distances are most probable: distances that neighbours
    share are shape, others are noise.

    Parameters
    ----------
    vertices : (V, 3)
        Canonical.
    faces : (F, 3)
    points : (N, 3)
        Canonical.

    Returns
    -------
    (V, 3)
    """
    order = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
    points = points[order]
    chosen = None
    for _ in range(_ROUNDS):
        surface = Surface.of(vertices, faces)
        met, barycentric, distances = surface.closest(points)
        near = np.abs(distances) < _FAR
        if near.sum() < 4:
            break
        places = np.einsum("nk,nkd->nd", barycentric, surface.corners[met])[near]
        facing = np.einsum("nk,nkd->nd", barycentric, surface.vertex_normals[faces[met]])[near]
        distances = distances[near]
        if chosen is None:
            spacing = math.sqrt(float(surface.areas.sum()) / len(points))
            few = slice(_TO_JUDGE)
            chosen = _most_probable(places[few], facing[few], distances[few], spacing)
        spread, length, noise = chosen
        covariance = _likeness(places, places, spread, length) * product(facing, facing.T)
        covariance[np.diag_indices(len(covariance))] += noise**2
        factors = solve_positive(covariance, distances)
        vertices = vertices + product(_likeness(vertices, places, spread, length), factors[:, None] * facing)
    return vertices


def _most_probable(
    places: FloatArray, facing: FloatArray, distances: FloatArray, spacing: float
) -> tuple[float, float, float]:
    """Spread, length and noise of largest marginal likelihood."""
    found, best = (0.0, spacing, 1.0), math.inf
    variance = float((distances**2).mean())
    for length in (spacing * factor for factor in _LENGTHS):
        likeness = _likeness(places, places, 1.0, length) * product(facing, facing.T)
        for noise in _NOISES:
            spread = math.sqrt(max(variance - noise**2, 0.1 * variance, 1e-8))
            covariance = torch.from_numpy(spread**2 * likeness + noise**2 * np.eye(len(places)))
            factor = torch.linalg.cholesky(covariance)
            white = torch.linalg.solve_triangular(factor, torch.from_numpy(distances)[:, None], upper=False)
            energy = float(white.square().sum() + 2 * factor.diagonal().log().sum())
            if energy < best:
                found, best = (spread, length, noise), energy
    return found


def _likeness(a: FloatArray, b: FloatArray, spread: float, length: float) -> FloatArray:
    """Covariance (N, M) of each component of the displacement at points (N, 3) and (M, 3)."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * product(a, b.T)
    return np.asarray(spread**2 * np.exp(-np.maximum(squared, 0.0) / (2 * length**2)))
