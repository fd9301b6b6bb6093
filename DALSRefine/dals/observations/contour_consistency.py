"""Consistency of contours on different planes.

On the line where two planes cross, the organ occupies a set of intervals. A contour that contains one point of an
interval contains all of it. Therefore, where intervals of two contours overlap, their end points must coincide, apart
from some millimetres of tremor, interpolation and coarse drawing. An interval without a counterpart is no
contradiction: an organ may have several sections on a plane, of which only one was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.places import place_text
from dals.observations.contours import Contour, Plane

MINIMUM_ANGLE_DEG = 20.0
"""Planes that cross at a smaller angle locate the surface too poorly to be compared."""
MINIMUM_GAP_MM = 4.0
RELATIVE_GAP = 0.055
SPACING_GAP = 0.5
"""Drawing errors explain gaps up to the largest of these: a distance in millimetres, a fraction of the smaller
contour's extent, and a fraction of the larger distance between clicks."""
CLEAR_GAP = 2.4
"""A single gap this many times the drawing error is a contradiction. A single smaller gap may be a fissure that one
contour skipped; two are a contradiction."""
RELATIVE_OVERLAP = 0.1
"""Intervals that overlap by a smaller fraction of the shorter one are treated as neighbours, not as the same."""
RELATIVE_DISTANCE, LEAST_DISTANCE_MM = 0.6, 40.0
"""Largest distance between bounding boxes of contours, as a fraction of the largest contour's extent, and in any case.
In real livers they touch, but two slices through the ends of a hippocampus are 17 mm apart and small."""


class _End(NamedTuple):
    """A point where a contour crosses another plane."""

    position: float
    """Along the line of intersection of the planes, in millimetres."""
    point: FloatArray
    contour: Contour


_Interval = tuple[_End, _End]


class _Gap(NamedTuple):
    """Distance of a point of one contour from another contour that should pass through it."""

    contour: Contour
    other: Contour
    millimetres: float
    excess: float
    """In multiples of the drawing error."""
    place: FloatArray
    """The point, RAS mm."""

    @property
    def is_wide(self) -> bool:
        return self.excess > 1.0


def check_consistency(groups: Sequence[Sequence[Contour]]) -> None:
    """Compare each pair of planes along their line of intersection.

    A plane may hold several contours (separate sections, holes), and some may be missing. Therefore only two things
    count as a contradiction: wide gaps seen from both planes, or a contour that is far from all others. Planes with an
    open curve are not compared: what it encloses is not known.

    Parameters
    ----------
    groups : sequence of sequences of Contour
        The contours of each plane, RAS millimetres.

    Raises
    ------
    InputError
        If contours contradict each other. The message names the worst pair, its gap in millimetres, and where it is.
    """
    _check_distances([contour for group in groups for contour in group])
    wide: list[_Gap] = []
    apart = 0
    whole = [group for group in groups if all(contour.closed for contour in group)]
    for a, b in combinations(whole, 2):
        if a[0].plane.angle_to(b[0].plane) >= MINIMUM_ANGLE_DEG:
            gaps = _gaps(a, b)
            wide += [gap for gap in gaps if gap.is_wide]
            apart += not gaps
    if not wide:
        return
    worst = max(wide, key=lambda gap: gap.excess)
    if len(wide) + apart > 1 or worst.excess > CLEAR_GAP:
        raise InputError(
            f"The contours '{worst.contour.name}' and '{worst.other.name}' contradict each other: where their planes "
            f"cross they are {worst.millimetres:.0f} mm apart, at {place_text(worst.place)}. Please check that both "
            "outline the same organ."
        )


def _gaps(a: Sequence[Contour], b: Sequence[Contour]) -> list[_Gap]:
    """The gap at each pair of interval ends that should coincide: the smaller one of the two seen from either plane.

    An end seen from one plane only is explained by a hole or a section that was not drawn on the other.
    """
    direction = np.cross(a[0].plane.normal, b[0].plane.normal)
    direction /= np.linalg.norm(direction)
    in_a, in_b = _intervals(a, b[0].plane, direction), _intervals(b, a[0].plane, direction)
    return [
        min(_gap(end_a, b), _gap(end_b, a), key=lambda gap: gap.excess)
        for x, y in product(in_a, in_b)
        if _overlap(x, y) > RELATIVE_OVERLAP
        for end_a, end_b in zip(x, y, strict=True)
    ]


def _intervals(group: Sequence[Contour], plane: Plane, direction: FloatArray) -> list[_Interval]:
    """Intervals of a line that lie inside the contours of one plane (even-odd rule), in order."""
    ends = [_End(float(point @ direction), point, contour) for contour in group for point in _through(contour, plane)]
    ends.sort(key=lambda end: end.position)
    return list(zip(ends[::2], ends[1::2], strict=False))


def _overlap(a: _Interval, b: _Interval) -> float:
    """Overlap of two intervals as a fraction of the shorter one; zero or negative if they are disjoint."""
    shared = min(a[1].position, b[1].position) - max(a[0].position, b[0].position)
    return shared / max(min(a[1].position - a[0].position, b[1].position - b[0].position), 1e-9)


def _gap(end: _End, others: Sequence[Contour]) -> _Gap:
    """Gap between the point where a contour crosses a plane and the nearest contour on that plane."""
    distances = [_distance_to_contour(end.point, other) for other in others]
    nearest = int(np.argmin(distances))
    pair = (end.contour, others[nearest])
    explained = max(
        MINIMUM_GAP_MM,
        RELATIVE_GAP * min(contour.extent for contour in pair),
        SPACING_GAP * max(contour.click_spacing for contour in pair),
    )
    return _Gap(*pair, distances[nearest], distances[nearest] / explained, end.point)


def _through(contour: Contour, plane: Plane) -> FloatArray:
    """Points where a contour crosses a plane, (N, 3)."""
    points, following = contour.starts, contour.following
    before = plane.distances(points)
    after = plane.distances(following)
    crosses = (before < 0) != (after < 0)
    fraction = (before[crosses] / (before[crosses] - after[crosses]))[:, None]
    return np.asarray(points[crosses] + fraction * (following[crosses] - points[crosses]))


def _distance_to_contour(point: FloatArray, contour: Contour) -> float:
    """Distance of one point (3,) from a contour."""
    polyline = contour.starts
    edges = contour.following - polyline
    squared = np.maximum(np.einsum("ij,ij->i", edges, edges), 1e-30)
    fraction = np.clip(np.einsum("ij,ij->i", point - polyline, edges) / squared, 0.0, 1.0)
    return float(np.linalg.norm(polyline + fraction[:, None] * edges - point, axis=1).min())


def _check_distances(contours: Sequence[Contour]) -> None:
    """Refuse a contour that lies far from all others."""
    largest = max(contour.extent for contour in contours)
    low = np.array([contour.points.min(axis=0) for contour in contours])
    high = np.array([contour.points.max(axis=0) for contour in contours])
    for index, contour in enumerate(contours):
        gaps = np.linalg.norm(np.maximum(0.0, np.maximum(low - high[index], low[index] - high)), axis=1)
        gaps[index] = np.inf
        nearest = int(np.argmin(gaps))
        if gaps[nearest] > max(LEAST_DISTANCE_MM, RELATIVE_DISTANCE * largest):
            raise InputError(
                f"The contours '{contour.name}' and '{contours[nearest].name}' contradict each other: they are "
                f"{gaps[nearest]:.0f} mm apart. Please check that both outline the same organ."
            )
