"""A prior fitted to a densely observed boundary by Gauss-Newton steps in its linear shape space.

Unknown are the pose, the coefficients of the shape space's modes, and a smooth displacement along the normals
(spherical harmonics of the template), which stands for what the modes cannot express. All have Gaussian priors, and
observations count less the further they are from the surface, so that the fit is a robust posterior mean with a known
uncertainty. For a segmentation this is faster and closer than Adam on latents: on 20 unseen livers with networks'
errors the surface had a Dice coefficient of 0.94 with the truth beside 0.93.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dals.geometry.mesh import FloatArray, IntArray
from dals.geometry.normals import Normals
from dals.geometry.spherical_harmonics import spherical_harmonics
from dals.model.pose import Pose
from dals.model.shape_space import ShapeSpace
from dals.model.template import icosphere

_LEVEL = 3
_DEGREE = 14
_ROW_POINTS = 2_000

# Lengths in canonical units.
_NOISE = 0.010
_DISPLACEMENT = 0.020
"""Standard deviation of the smooth displacement over all its harmonics."""
_SMOOTH_DEGREE = 4.0
"""Harmonics of higher degrees have less and less of it."""

_POSE_PRECISION = np.array([1e-6, 1e-6, 1e-6, 1e-3, 1e-2, 1e-2, 1e-2])
_KNOWN_PRECISION = 1e9
_LARGEST_TURN = 0.2  # radians, and logarithm of the scale, in one step


@dataclass(frozen=True)
class Stage:
    """Some Gauss-Newton steps.

    Attributes
    ----------
    steps : int
    modes : int
        How many of the shape space's modes may change.
    displaced : bool
        Whether the smooth displacement may change.
    robust_scale : float
        Canonical distance at which an observation's weight has fallen to a quarter.
    evidence : float
        Number of independent observations that vertices, and again boundary points, are worth.
    """

    steps: int
    modes: int
    displaced: bool
    robust_scale: float
    evidence: float


STAGES = (
    Stage(6, 20, False, 0.17, 30),
    Stage(6, 50, False, 0.10, 60),
    Stage(5, 100, True, 0.053, 200),
    Stage(3, 100, True, 0.033, 300),
)


@dataclass(frozen=True, eq=False)
class Boundary:
    """Points on an observed boundary.

    Attributes
    ----------
    points : (N, 3) float64
        RAS mm, spread evenly over it in random order.
    weights : (N,) float64
        0 where nothing is known of the boundary, such as beyond the image's border; else up to 1.
    """

    points: FloatArray
    weights: FloatArray


@dataclass(frozen=True, eq=False)
class SurfaceFit:
    """A prior fitted to a boundary.

    Attributes
    ----------
    pose : Pose
    coefficients : (M,)
        Of the shape space's modes.
    harmonics : (H,)
        Of the displacement along the normals, mm.
    deviations : (V,)
        Posterior standard deviation along the normals at the vertices of `skeleton`, mm.
    skeleton : (V, 3)
        The fitted surface's vertices at level 3, RAS mm.
    steps : int
    """

    pose: Pose
    coefficients: FloatArray
    harmonics: FloatArray
    deviations: FloatArray
    skeleton: FloatArray
    steps: int

    def displaced(self, vertices: FloatArray, level: int) -> FloatArray:
        """Vertices (V, 3) of the template's level, RAS mm, moved by the displacement along their normals."""
        template = icosphere(level)
        values, _ = _harmonics(level)
        return vertices + Normals.of(vertices, template.faces).vertices * (values @ self.harmonics)[:, None]


@dataclass
class _Unknowns:
    scale: float
    translation: FloatArray
    coefficients: FloatArray
    harmonics: FloatArray
    rotation: FloatArray = field(default_factory=lambda: np.eye(3))

    def move(self, step: FloatArray, modes: int) -> None:
        """Add a Gauss-Newton step: coefficients, pose, harmonics."""
        self.coefficients[:modes] += step[:modes]
        self.translation = self.translation + step[modes : modes + 3]
        turn = np.clip(step[modes + 3 : modes + 7], -_LARGEST_TURN, _LARGEST_TURN)
        self.scale *= float(np.exp(turn[0]))
        self.rotation = Rotation.from_rotvec(turn[1:]).as_matrix() @ self.rotation
        if len(step) > modes + 7:
            self.harmonics += step[modes + 7 :]


@dataclass(frozen=True, eq=False)
class _System:
    """Normal equations of one linearisation."""

    precision: FloatArray
    gradient: FloatArray
    vertex_rows: NDArray[np.float32]
    vertices: FloatArray


def regress(
    space: ShapeSpace,
    boundary: Boundary,
    bounds: tuple[FloatArray, FloatArray],
    *,
    known: Pose | None = None,
    start: SurfaceFit | None = None,
    on_step: Callable[[int, int, FloatArray], None] | None = None,
) -> SurfaceFit:
    """Fit a shape space to a boundary.

    Parameters
    ----------
    space : ShapeSpace
    boundary : Boundary
    bounds : (3,), (3,)
        Of the organ, RAS mm, from which the first pose is guessed.
    known : Pose, optional
        The true pose; it is then kept.
    start : SurfaceFit, optional
        An earlier fit to nearly the same boundary; only the last stage follows.
    on_step : callable, optional
        Told the number of steps done, that of all steps, and the vertices (V, 3) at level 3, RAS mm.
    """
    pose = start.pose if start is not None else known or _first_pose(space, bounds)
    count = space.modes.shape[2]
    unknowns = _Unknowns(
        pose.scale,
        pose.translation,
        np.zeros(count) if start is None else start.coefficients.copy(),
        np.zeros(len(_harmonics(_LEVEL)[1])) if start is None else start.harmonics.copy(),
        pose.rotation,
    )
    problem = _Problem(space, boundary, pose.scale, fixed=known is not None)
    stages = STAGES if start is None else STAGES[-1:]
    done, total = 0, sum(stage.steps for stage in stages)
    for stage in stages:
        for _ in range(stage.steps):
            system = problem.linearised(unknowns, stage)
            unknowns.move(cho_solve(cho_factor(system.precision), system.gradient), min(stage.modes, count))
            done += 1
            if on_step is not None:
                on_step(done, total, system.vertices)
    system = problem.linearised(unknowns, STAGES[-1])
    rows = system.vertex_rows.astype(np.float64)
    spread = np.einsum("ij,ji->i", rows, cho_solve(cho_factor(system.precision), rows.T))
    return SurfaceFit(
        Pose(unknowns.scale, unknowns.translation, unknowns.rotation),
        unknowns.coefficients,
        unknowns.harmonics,
        np.sqrt(np.maximum(spread, 0)),
        system.vertices,
        done + (0 if start is None else start.steps),
    )


class _Problem:
    def __init__(self, space: ShapeSpace, boundary: Boundary, unit: float, *, fixed: bool) -> None:
        self.space, self.boundary, self.unit, self.fixed = space, boundary, unit, fixed
        self.faces = icosphere(_LEVEL).faces
        self.tree = cKDTree(boundary.points)
        self.sample = boundary.points[:_ROW_POINTS]
        self.sample_weights = boundary.weights[:_ROW_POINTS] / len(self.sample)
        values, degrees = _harmonics(_LEVEL)
        self.harmonics = values.astype(np.float32)
        share = (1 + (degrees / _SMOOTH_DEGREE) ** 2) ** -2.0
        self.variances = (_DISPLACEMENT * unit) ** 2 * share / share.sum()

    def linearised(self, unknowns: _Unknowns, stage: Stage) -> _System:
        """Normal equations at the present surface: its vertices to the boundary, and boundary points to it."""
        kept = min(stage.modes, self.space.modes.shape[2])
        turned = (unknowns.scale * unknowns.rotation).astype(np.float32)
        shape = self.space.mean + self.space.modes @ unknowns.coefficients.astype(np.float32)
        base = shape @ turned.T.astype(np.float64) + unknowns.translation
        plain = Normals.of(base, self.faces).vertices
        vertices = base + plain * (self.harmonics @ unknowns.harmonics)[:, None]
        normals = Normals.of(vertices, self.faces)

        distance, index = self.tree.query(vertices)
        target = self.boundary.points[index]
        places = np.concatenate([vertices, vertices[self.faces].mean(axis=1)])
        outwards = np.concatenate([normals.vertices, normals.faces])
        corners = np.concatenate([np.repeat(np.arange(len(vertices))[:, None], 3, axis=1), self.faces])
        away, held_by = cKDTree(places).query(self.sample)

        residuals = np.concatenate(
            [
                ((target - vertices) * normals.vertices).sum(axis=1),
                ((self.sample - places[held_by]) * outwards[held_by]).sum(axis=1),
            ]
        )
        area = np.bincount(self.faces.ravel(), np.repeat(normals.areas, 3), len(vertices))
        scale = stage.robust_scale * self.unit
        weights = np.concatenate(
            [
                area / area.sum() * self.boundary.weights[index] / (1 + (distance / scale) ** 2) ** 2,
                self.sample_weights / (1 + (away / scale) ** 2) ** 2,
            ]
        )
        weights *= stage.evidence / (_NOISE * self.unit) ** 2

        of_rows = np.concatenate([corners[: len(vertices)], corners[held_by]])
        rows = self._rows(
            of_rows,
            np.concatenate([vertices, places[held_by]]) - unknowns.translation,
            np.concatenate([normals.vertices, outwards[held_by]]),
            turned,
            kept,
            (plain * normals.vertices).sum(axis=1) if stage.displaced else None,
        )
        weighted = rows * weights[:, None].astype(np.float32)
        precision = (weighted.T @ rows).astype(np.float64)
        gradient = weighted.T.astype(np.float64) @ residuals
        pose = np.full(7, _KNOWN_PRECISION) if self.fixed else _POSE_PRECISION
        prior = [np.ones(kept), pose]
        pull = [unknowns.coefficients[:kept], np.zeros(7)]
        if stage.displaced:
            prior.append(1 / self.variances)
            pull.append(unknowns.harmonics)
        diagonal = np.concatenate(prior)
        precision[np.diag_indices_from(precision)] += diagonal
        gradient -= diagonal * np.concatenate(pull)
        return _System(precision, gradient, rows[: len(vertices)], vertices)

    def _rows(
        self,
        corners: IntArray,
        offsets: FloatArray,
        normals: FloatArray,
        turned: NDArray[np.float32],
        kept: int,
        along: FloatArray | None,
    ) -> NDArray[np.float32]:
        """Derivatives of surface points along normals (N, 3) by all unknowns; a point is the mean of three vertices."""
        inwards = (normals @ turned).astype(np.float32)
        count = len(self.space.mean)
        modes = self.space.modes[:, :, :kept]
        own = np.einsum("vik,vi->vk", modes, inwards[:count])
        others = corners[count:]
        mean = modes[others[:, 0]] + modes[others[:, 1]] + modes[others[:, 2]]
        parts = [
            np.concatenate([own, np.einsum("vik,vi->vk", mean, inwards[count:] / 3)]),
            normals,
            (offsets * normals).sum(axis=1)[:, None],
            np.cross(offsets, normals),
        ]
        if along is not None:
            waves = self.harmonics * along[:, None].astype(np.float32)
            parts.append(np.concatenate([waves, waves[others].mean(axis=1)]))
        return np.concatenate(parts, axis=1).astype(np.float32)


@cache
def _harmonics(level: int) -> tuple[FloatArray, NDArray[np.int64]]:
    return spherical_harmonics(icosphere(level).vertices, _DEGREE)


def _first_pose(space: ShapeSpace, bounds: tuple[FloatArray, FloatArray]) -> Pose:
    """The similarity without rotation that matches the mean shape's bounding box with the organ's."""
    low, high = space.mean.min(axis=0), space.mean.max(axis=0)
    extent, given = high - low, bounds[1] - bounds[0]
    scale = float(given @ extent / (extent @ extent))
    return Pose(scale, 0.5 * (bounds[0] + bounds[1]) - scale * 0.5 * (low + high))
