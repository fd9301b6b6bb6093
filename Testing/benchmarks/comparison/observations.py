"""What the systems are given: the paper's observations, more planes, and worse observations."""

from __future__ import annotations

import numpy as np

from benchmarks import protocol
from benchmarks.systems.base import Observation
from dals.dataset.normalisation import NormalisedShape
from dals.evaluation.metrics import sample_points
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray
from dals.observations import PlanarContours, PointCloud
from dals.observations.contours import Contour

PLANE_ORDER: tuple[tuple[int, float], ...] = (
    *((2, 0.0), (1, 0.0), (0, 0.0)),
    *((2, 0.25), (1, 0.25), (0, 0.25), (2, -0.25), (1, -0.25), (0, -0.25), (2, -0.125)),
)
"""Axis and position of the planes of Figure 6, in the order in which they are added: the position is a share of the
organ's extent along the axis, from the centre of its bounding box; the first three go through its centroid, which
lies on the positive side of that centre in livers: no two parallel planes of a test liver are nearer than 16 mm."""
OFF_CENTRE, TILT_DEG = 0.12, 20.0


def observation_of(shape: NormalisedShape, condition: str) -> Observation:
    """The observation that a condition stands for, RAS mm, the same for every system.

    Parameters
    ----------
    shape : NormalisedShape
    condition : str
        ``points`` or ``points:N``; ``planes`` or ``planes:N``, and with a fault ``planes/noise=MM``, ``planes/tilted``,
        ``planes/missing=SHARE``.
    """
    base, _, fault = condition.partition("/")
    kind, _, count = base.partition(":")
    if kind == "points":
        return points_of(shape, int(count or 2_500))
    contours = planes_of(shape, int(count or 3), tilted=fault == "tilted")
    name, _, amount = fault.partition("=")
    rng = protocol.rng_of(f"{shape.name} {condition}")
    if name == "noise":
        contours = [_noisy(contour, float(amount), rng) for contour in contours]
    elif name == "missing":
        contours = [_incomplete(contour, float(amount), rng) for contour in contours]
    return unchecked(contours)


def points_of(shape: NormalisedShape, count: int) -> PointCloud:
    """Uniform points: the first of the 2,500 that `protocol` draws, or more points drawn anew."""
    points = protocol.points_of(shape).points
    if count > len(points):
        points = sample_points(shape.patient_mesh, count, protocol.rng_of(shape.name))
    return PointCloud(points[:count])


def planes_of(shape: NormalisedShape, count: int, *, tilted: bool = False) -> list[Contour]:
    """All outlines on the first planes of `PLANE_ORDER`; tilted ones also lie off the centre."""
    mesh = shape.patient_mesh
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    rng = protocol.rng_of(shape.name)
    contours = []
    for axis, position in PLANE_ORDER[:count]:
        origin = np.array(shape.centre_mm if position == 0 else (low + high) / 2, dtype=np.float64)
        origin[axis] += position * (high - low)[axis]
        normal = np.eye(3)[axis]
        if tilted:
            origin[axis] += rng.uniform(-OFF_CENTRE, OFF_CENTRE) * (high - low)[axis]
            normal = _tilted(axis, rng)
        for index, loop in enumerate(section_loops(mesh, origin, normal)):
            contours.append(Contour(loop, None, f"{protocol.AXES[axis]} {position:g} {index}"))
    return contours


def unchecked(contours: list[Contour]) -> PlanarContours:
    """Contours as an observation without the checks for users' mistakes.

    A benchmark also has one plane alone, and contours that contradict each other by centimetres.
    """
    observation = object.__new__(PlanarContours)
    object.__setattr__(observation, "contours", tuple(contours))
    return observation


def _tilted(axis: int, rng: np.random.Generator) -> FloatArray:
    """A direction `TILT_DEG` away from a coordinate axis."""
    others = [other for other in range(3) if other != axis]
    turn, angle = rng.uniform(0, 2 * np.pi), np.radians(TILT_DEG)
    direction = np.zeros(3)
    direction[axis] = np.cos(angle)
    direction[others] = np.sin(angle) * np.array([np.cos(turn), np.sin(turn)])
    return direction


def _noisy(contour: Contour, amplitude: float, rng: np.random.Generator, *, wavelength: float = 15.0) -> Contour:
    """The contour moved within its plane by smooth noise of so many millimetres root mean square.

    An unsteady hand errs by stretches, not from point to point: the noise is correlated over `wavelength` mm.
    """
    points = contour.points
    length = contour.length
    harmonics = max(2, round(length / wavelength))
    travelled = np.cumsum(np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)) / length
    phase = 2 * np.pi * np.outer(travelled, np.arange(1, harmonics + 1))
    coefficients = rng.normal(size=(2, harmonics, 3)) / np.sqrt(harmonics)
    offset = amplitude * (np.cos(phase) @ coefficients[0] + np.sin(phase) @ coefficients[1])
    normal = contour.plane.normal
    offset -= np.outer(offset @ normal, normal)
    return Contour(points + offset / np.sqrt(2), None, contour.name)


def _incomplete(contour: Contour, share: float, rng: np.random.Generator) -> Contour:
    """The contour without a stretch, as an image that ends early leaves it: an open curve.

    Systems that know closed outlines only close it by a straight line.
    """
    count = len(contour.points)
    kept = max(3, round((1 - share) * count))
    return Contour(np.roll(contour.points, -int(rng.integers(count)), axis=0)[:kept], None, contour.name, closed=False)
