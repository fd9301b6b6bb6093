"""The last millimetres: a surface onto what was observed, by a smooth displacement."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dals.fitting.displacement_kernel import field_of, likeness
from dals.fitting.residuals import ResidualTerm
from dals.geometry.mesh import FloatArray, IntArray
from dals.model.pose import Pose
from dals.ops.dense import product, solve_positive

NOISE = 0.01
"""Least standard deviation of an observation, canonical (in a liver 1.4 mm)."""
_SPREAD, _LENGTH = 0.03, 0.06
"""Standard deviation and length of the field, canonical (in a liver 4 and 8 mm)."""
_STEP = 1 / 3
"""Of the length of the field, the most that a vertex moves before the field is read anew."""
FAR, FINE_FAR = (0.12, 0.12, 0.05, 0.05, 0.05), (0.05, 0.05)
"""Of each round, the canonical residual beyond which a place is left where the prior has put it.

The first rounds bring in what the prior cannot express (in a liver up to 16 mm), such as a fissure; pulled further,
thin parts fold. The latter are for a finer template.
"""


def corrected(
    vertices: FloatArray, faces: IntArray, term: ResidualTerm, pose: Pose, *, far: Sequence[float], noise: float = NOISE
) -> FloatArray:
    """Move a canonical surface to where its residuals are small.

    The displacement is the mean of a Gaussian vector field given the residuals: it follows them where there are any and
    fades with the distance from them, so that the surface between planes stays what the prior made of it. Neighbours
    move along, whichever way their normals point, so that a tip is shifted rather than inflated.

    Parameters
    ----------
    vertices : (V, 3)
        Canonical.
    faces : (F, 3)
    term : ResidualTerm
    pose : Pose
        Canonical frame to RAS mm.
    far : sequence of float
        For each round.
    noise : float
        Standard deviation of an observation, canonical.

    Returns
    -------
    (V, 3)
    """
    for reach in far:
        residuals = term(vertices, faces, pose)
        near = np.abs(residuals.values) < reach
        if not near.any():
            break
        places = residuals.at_places(vertices, faces)[near]
        facing = residuals.at_places(residuals.vertex_normals, faces)[near]
        weights = (residuals.weights * (1 - (residuals.values / reach) ** 2) ** 2)[near]
        covariance = likeness(places, places, spread=_SPREAD, length=_LENGTH) * product(facing, facing.T)
        # Weights of 1 on average: each place then has the noise of one observation.
        relative = np.maximum(weights / max(weights.mean(), 1e-12), 1e-4)
        covariance[np.diag_indices(len(covariance))] += noise**2 / relative
        factors = solve_positive(covariance, residuals.values[near])
        vertices = _carried(vertices, places, factors[:, None] * facing)
    return vertices


def _carried(vertices: FloatArray, places: FloatArray, forces: FloatArray) -> FloatArray:
    """Vertices (V, 3) carried along the field of forces (N, 3) at places (N, 3), in steps.

    The field is read anew after each step. Two sheets of a thin part then move alike where they come close, and do not
    pass through each other as they would in one long step.
    """
    moves = field_of(forces, places, vertices, spread=_SPREAD, length=_LENGTH)
    steps = max(1, math.ceil(float(np.linalg.norm(moves, axis=1).max()) / (_STEP * _LENGTH)))
    vertices = vertices + moves / steps
    for _ in range(steps - 1):
        vertices = vertices + field_of(forces, places, vertices, spread=_SPREAD, length=_LENGTH) / steps
    return vertices
