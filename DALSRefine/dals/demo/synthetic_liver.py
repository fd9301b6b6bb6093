"""A synthetic liver, contours of it and a damaged label map, for the demo and the tests.

The shape is a formula: a smooth union of ellipsoids minus others. It derives from no patient and no training shape, so
that it tests a prior fairly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from dals.errors import InputError
from dals.geometry.cross_sections import section_loops
from dals.geometry.isosurface import flying_edges
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.polylines import resample_loop

Vector: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class _Ellipsoid:
    """Centre and radii in millimetres, RAS, relative to the organ's centre; rotated about z, then y, in degrees."""

    centre: Vector
    radii: Vector
    yaw: float = 0.0
    roll: float = 0.0

    def distance(self, points: FloatArray) -> FloatArray:
        """First-order signed distance (...) of points (..., 3), negative inside."""
        yaw, roll = np.radians([self.yaw, self.roll])
        about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        about_y = np.array([[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]])
        local = (points - np.array(self.centre)) @ (about_y @ about_z)
        level = np.linalg.norm(local / np.array(self.radii), axis=-1)
        slope = np.linalg.norm(local / np.square(self.radii), axis=-1)
        return np.asarray(level * (level - 1.0) / np.maximum(slope, 1e-9))


_RIGHT_LOBE = _Ellipsoid((42, -16, -2), (56, 80, 72), yaw=-18)
_ADDED = (
    _Ellipsoid((30, 12, 28), (56, 56, 42)),  # dome
    _Ellipsoid((54, 6, -50), (32, 44, 36)),  # inferior tip
    _Ellipsoid((-14, 32, 18), (64, 38, 40), yaw=-6, roll=4),  # middle
    _Ellipsoid((-64, 40, 24), (56, 26, 32), yaw=-8, roll=6),  # left lobe
    _Ellipsoid((-12, -14, 14), (17, 17, 26)),  # caudate
)
_SUBTRACTED = (
    _Ellipsoid((-66, -36, -58), (84, 74, 78)),  # stomach
    _Ellipsoid((14, -20, -104), (52, 96, 62), roll=-24),  # colon and duodenum
    _Ellipsoid((20, -66, -74), (34, 34, 52), roll=-12),  # right kidney
    _Ellipsoid((-22, -80, 10), (28, 44, 90)),  # spine and crus
    _Ellipsoid((-4, -44, 20), (12, 12, 90)),  # vena cava
    _Ellipsoid((2, 30, -46), (14, 50, 26), yaw=-8),  # gallbladder
    _Ellipsoid((-28, 76, -14), (6, 26, 26)),  # falciform notch
    _Ellipsoid((-46, 40, 112), (72, 62, 62)),  # heart
)
_UNION_MM = 20.0
_SUBTRACTION_MM = 6.0
_WAVES = (  # wave vector (rad/mm) and phase of the surface's ripples
    ((0.157, 0.066, 0.041), 0.3),
    ((-0.053, 0.148, 0.091), 1.7),
    ((0.072, -0.060, 0.173), 4.1),
)
_WAVE_MM = 0.8
_SCALE = 0.95
_PATIENT_OFFSET = np.array([46.0, 8.0, -152.0])
_HALF_EXTENT = np.array([130.0, 120.0, 110.0])

_CORNER_FRACTION = 0.08
_CORNER_WAVE_MM = 5.0
_LEAK_RADIUS_MM = (20.0, 26.0)
_BLOB_RADIUS_MM = (5.0, 9.0)
_BLOB_COUNT = 4
_BLOB_GAP_MM = 3.0


def synthetic_liver(*, spacing: float = 3.0) -> TriangleMesh:
    """A closed genus-0 surface like a smooth liver; always the same.

    Parameters
    ----------
    spacing : float, optional
        Grid spacing of the isosurface, millimetres.

    Returns
    -------
    TriangleMesh
        RAS millimetres: the large lobe is on the patient's right (+x), the dome is superior (+z).
    """
    axes = [np.arange(-half, half + spacing, spacing) for half in _HALF_EXTENT]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    inside = -_liver_distance(grid / _SCALE).T
    return flying_edges(inside, 0.0, origin=_PATIENT_OFFSET - _HALF_EXTENT, spacing=spacing)


def _liver_distance(points: FloatArray) -> FloatArray:
    """Approximate signed distance (...) at points (..., 3) relative to the liver's centre, negative inside."""
    field = _RIGHT_LOBE.distance(points)
    for part in _ADDED:
        field = _smooth_minimum(field, part.distance(points), _UNION_MM)
    for part in _SUBTRACTED:
        field = -_smooth_minimum(-field, part.distance(points), _SUBTRACTION_MM)
    for wave, phase in _WAVES:
        field = field + _WAVE_MM * np.sin(points @ np.array(wave) + phase)
    return field


def _smooth_minimum(a: FloatArray, b: FloatArray, width: float) -> FloatArray:
    """Minimum with a crease that is rounded where the two differ by less than `width`."""
    blend = np.clip(0.5 + 0.5 * (b - a) / width, 0.0, 1.0)
    return np.asarray(b + (a - b) * blend - width * blend * (1.0 - blend))


def cut_contour(
    mesh: TriangleMesh,
    origin: ArrayLike,
    normal: ArrayLike,
    *,
    control_points: int = 28,
    noise_mm: float = 0.5,
    seed: int = 0,
) -> FloatArray:
    """Control points as a clinician would place them along the contour of an organ in one plane.

    Parameters
    ----------
    mesh : TriangleMesh
        The organ, closed, RAS millimetres.
    origin, normal : (3,) array_like
        The plane.
    control_points : int, optional
        Their number, at equal arc length from a random first point.
    noise_mm : float, optional
        Standard deviation of the noise along both axes of the plane, millimetres.
    seed : int, optional
        Of the first point and the noise.

    Returns
    -------
    (control_points, 3) float64
        In order along the largest loop of the cross-section, on the plane, RAS millimetres.

    Raises
    ------
    InputError
        If the plane misses the mesh.
    """
    rng = np.random.default_rng(seed)
    direction = np.asarray(normal, dtype=np.float64) / np.linalg.norm(normal)
    loops = section_loops(mesh, np.asarray(origin, dtype=np.float64), direction)
    if not loops:
        raise InputError("The plane does not meet the organ.")
    points = resample_loop(max(loops, key=_loop_area), control_points, phase=rng.random())
    noise = rng.normal(scale=noise_mm, size=points.shape)
    return np.asarray(points + noise - np.outer(noise @ direction, direction))


def _loop_area(loop: FloatArray) -> float:
    """Area enclosed by a planar loop (N, 3)."""
    centred = loop - loop.mean(axis=0)
    return float(np.linalg.norm(np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)) / 2.0)


def damaged_mask(mask: ArrayLike, spacing: Sequence[float], *, seed: int = 0) -> BoolArray:
    """Damage a label map as a segmentation network might.

    Parameters
    ----------
    mask : (I, J, K) array_like
        The organ: non-zero inside, not empty.
    spacing : sequence of 3 float
        Voxel size along each axis of `mask`, millimetres.
    seed : int, optional
        Of all random choices.

    Returns
    -------
    (I, J, K) bool
        With a missing corner, a leak, holes inside and islands outside.

    Notes
    -----
    The corner is 8% of the volume, beyond a wavy cut. The leak is a ball of 20 to 26 mm radius about a boundary point.
    Holes and islands are up to four balls each, of 5 to 9 mm radius and at least 3 mm from the boundary.
    """
    truth = np.asarray(mask) != 0
    if truth.ndim != 3 or not truth.any():
        raise InputError("The label map to damage must be three-dimensional and not empty.")
    rng = np.random.default_rng(seed)
    steps = np.asarray(spacing, dtype=np.float64)
    depth = ndimage.distance_transform_edt(truth, sampling=steps)
    height = ndimage.distance_transform_edt(~truth, sampling=steps)
    damaged = truth & ~_corner(truth, steps, rng)
    kept_boundary = np.argwhere(damaged & (depth <= steps.max()))
    damaged |= _ball(truth.shape, steps, rng.choice(kept_boundary), rng.uniform(*_LEAK_RADIUS_MM))
    damaged &= ~_blobs(depth, steps, rng)
    return np.asarray(damaged | _blobs(height, steps, rng))


def _corner(truth: BoolArray, spacing: FloatArray, rng: np.random.Generator) -> BoolArray:
    """The part of the organ farthest along a random direction, beyond a wavy cut."""
    inside = np.argwhere(truth) * spacing
    direction, across = rng.normal(size=(2, 3))
    direction /= np.linalg.norm(direction)
    across -= across @ direction * direction
    across *= 2 * np.pi / 40.0 / np.linalg.norm(across)
    along = inside @ direction + _CORNER_WAVE_MM * np.sin(inside @ across)
    corner = np.zeros_like(truth)
    corner[truth] = along > np.quantile(along, 1.0 - _CORNER_FRACTION)
    return corner


def _blobs(room: FloatArray, spacing: FloatArray, rng: np.random.Generator) -> BoolArray:
    """Balls that fit where the distance to the boundary is `room` (I, J, K), within 40 mm of it."""
    blobs = np.zeros(room.shape, dtype=np.bool_)
    for radius in rng.uniform(*_BLOB_RADIUS_MM, size=_BLOB_COUNT):
        centres = np.argwhere((room > radius + _BLOB_GAP_MM) & (room < 40.0))
        if len(centres):
            blobs |= _ball(room.shape, spacing, rng.choice(centres), radius)
    return blobs


def _ball(shape: tuple[int, ...], spacing: FloatArray, centre: NDArray[np.int64], radius: float) -> BoolArray:
    """Voxels within `radius` millimetres of the voxel `centre`."""
    squares = [np.square((np.arange(n) - c) * s) for n, c, s in zip(shape, centre, spacing, strict=True)]
    return np.asarray(squares[0][:, None, None] + squares[1][:, None] + squares[2] <= radius**2)
