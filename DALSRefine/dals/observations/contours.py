"""A contour of an organ on a plane: a closed outline, or the stretch of one that was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dals.errors import InputError
from dals.geometry.mesh import FloatArray


class Plane(NamedTuple):
    """A plane in RAS millimetres: a point on it and its unit normal, each (3,)."""

    origin: FloatArray
    normal: FloatArray

    def distances(self, points: FloatArray) -> FloatArray:
        """Signed distances of points (N, 3) from the plane in millimetres, (N,)."""
        return np.asarray((points - self.origin) @ self.normal)

    def angle_to(self, other: Plane) -> float:
        """Angle between two planes in degrees, 0 to 90."""
        return float(np.degrees(np.arccos(min(1.0, abs(float(self.normal @ other.normal))))))


@dataclass(frozen=True, eq=False)
class Contour:
    """The outline of an organ on one plane, a polyline.

    Attributes
    ----------
    points : (N, 3) float64
        Densely sampled, RAS millimetres. A closed polyline is closed implicitly: a repeated last point is removed.
    control_points : (M, 3) float64 or None
        The points that the user clicked, if known.
    name : str
        Used in messages.
    closed : bool
        Whether it goes all the way round. An open one is a stretch of an outline: between its ends nothing is known.
    open_plane : bool
        Whether its plane may show more of the organ than was drawn there.

    Raises
    ------
    InputError
        If there are fewer than three distinct points, a value is not finite, or all points lie on a straight line.
    """

    points: FloatArray
    control_points: FloatArray | None = None
    name: str = "contour"
    closed: bool = True
    open_plane: bool = False

    def __post_init__(self) -> None:
        points = checked_points(self.points, f"The contour '{self.name}'")
        if self.closed and len(points) > 1 and np.array_equal(points[0], points[-1]):
            points = points[:-1]
        object.__setattr__(self, "points", points)
        clicked = points
        if self.control_points is not None:
            clicked = checked_points(self.control_points, f"The contour '{self.name}'")
            object.__setattr__(self, "control_points", clicked)
        if len(clicked) < 3:
            raise InputError(
                f"The contour '{self.name}' has {_counted(len(clicked), 'point')}; {self.kind} needs at least 3."
            )
        distinct = distinct_up_to_three(clicked)
        if distinct < 3:
            raise InputError(
                f"The contour '{self.name}' has {distinct} different points only; {self.kind} needs at least 3."
            )
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if spread[1] <= 1e-6 * spread[0]:
            raise InputError(f"The points of the contour '{self.name}' lie on one straight line and enclose nothing.")

    @property
    def kind(self) -> str:
        """In words: "a closed curve" or "an open curve"."""
        return "a closed curve" if self.closed else "an open curve"

    @property
    def following(self) -> FloatArray:
        """The next point after each point from which a piece of the polyline starts: all, or all but the last."""
        return np.roll(self.points, -1, axis=0) if self.closed else self.points[1:]

    @property
    def starts(self) -> FloatArray:
        """The points from which a piece of the polyline starts."""
        return self.points[: len(self.following)]

    @cached_property
    def plane(self) -> Plane:
        """Least-squares plane of the points; the largest component of its normal is positive."""
        origin = self.points.mean(axis=0)
        _, _, axes = np.linalg.svd(self.points - origin, full_matrices=False)
        normal = axes[2] * np.sign(axes[2][np.argmax(np.abs(axes[2]))])
        return Plane(origin, normal)

    @property
    def deviation_mm(self) -> float:
        """Largest distance of a point from the contour's plane."""
        return float(np.abs(self.plane.distances(self.points)).max())

    @property
    def extent(self) -> float:
        """Diagonal of the bounding box in millimetres."""
        return float(np.linalg.norm(np.ptp(self.points, axis=0)))

    @property
    def length(self) -> float:
        """Length of the polyline in millimetres."""
        return float(np.linalg.norm(self.following - self.starts, axis=1).sum())

    @property
    def click_spacing(self) -> float:
        """Mean arc length between clicked points, in millimetres."""
        return self.length / len(self.points if self.control_points is None else self.control_points)


def checked_points(points: FloatArray, owner: str) -> FloatArray:
    """Return `points` as finite (N >= 1, 3) float64, or raise an `InputError` that starts with `owner`."""
    array = np.array(points, dtype=np.float64)
    if array.size == 0:
        raise InputError(f"{owner} has no points.")
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"{owner} has points that are not three-dimensional.")
    if not np.isfinite(array).all():
        raise InputError(f"{owner} has coordinates that are not finite numbers.")
    if np.abs(array).max() > 1e9:
        raise InputError(f"{owner} has coordinates of more than 1,000 km, which are no millimetres of a patient.")
    return array


def distinct_up_to_three(points: FloatArray) -> int:
    """How many different points (N >= 1, 3) there are, or 3 if there are more; much faster than sorting them."""
    for found in (1, 2):
        points = points[(points != points[0]).any(axis=1)]
        if len(points) == 0:
            return found
    return 3


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
