"""The plane on which a further contour lowers the expected error of a surface most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from dals.errors import InputError
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.observations.contours import Plane

SPACING_MM = 5.0
"""Between the positions of a plane that are tried."""
DRAWING_MM = 1.0
"""Standard deviation of a drawn contour from the organ's edge."""
SAME_PLANE_MM = 8.0
"""A plane so close to a drawn one, and parallel, tells nothing new."""
_SAME_PLANE_DEG = 15.0
_CORRELATION = 0.35  # length over which errors are alike, in radii of the surface
_MOST_VERTICES = 800
_SECTION_POINTS = 32
_LEAST_SECTION_POINTS = 6
_AXES = np.eye(3)
_OBLIQUE_DIRECTIONS = 60


def suggested_plane(
    vertices: FloatArray,
    faces: IntArray,
    standard_deviation: FloatArray,
    drawn_planes: Sequence[Plane],
    *,
    factor: FloatArray | None = None,
    correlation_mm: float | None = None,
    oblique: bool = False,
) -> Plane:
    """The axial, coronal or sagittal plane that lowers the expected squared error of a surface most.

    The error along the normals is a Gaussian field. A contour on a plane observes it where the plane cuts the
    surface, with the noise of drawing; what is left elsewhere follows from the field's covariance. The plane with the
    smallest variance left, summed over the surface by area, is taken.

    Parameters
    ----------
    vertices : (V, 3)
        RAS millimetres.
    faces : (F, 3)
    standard_deviation : (V,)
        Of the surface along its normals given what is drawn, millimetres.
    drawn_planes : sequence of Plane
        Planes close to one of these are passed over.
    factor : (V, K), optional
        The covariance is `factor @ factor.T`, scaled to the standard deviations. Without it, errors are correlated
        as a Gaussian of the distance.
    correlation_mm : float, optional
        The length of that Gaussian; about a third of the surface's radius unless given.
    oblique : bool
        Try planes of other directions, too.

    Returns
    -------
    Plane
        Through the middle of its section with the surface.

    Raises
    ------
    InputError
        If no plane is left to be tried.
    """
    vertices, deviation = np.asarray(vertices, dtype=np.float64), np.asarray(standard_deviation, dtype=np.float64)
    field = _ErrorField(vertices, faces, deviation, factor, correlation_mm)
    best: tuple[float, Plane] | None = None
    for normal in _directions(oblique):
        along = vertices @ normal
        for position in _positions(along):
            if _is_drawn(normal, position, drawn_planes):
                continue
            section = _section(vertices, faces, along - position)
            if section is None:
                continue
            gain = field.gain(*section)
            if best is None or gain > best[0]:
                middle = field.points_of(*section).mean(axis=0)
                best = gain, Plane(middle - (middle @ normal - position) * normal, normal)
    if best is None:
        raise InputError("Every slice through the surface is close to one that is drawn already.")
    return best[1]


def deviation_by_distance(vertices: FloatArray, drawn_points: FloatArray) -> FloatArray:
    """A stand-in for a standard deviation that nobody has computed: the distance to the nearest drawn point.

    Only its ratios mean something: it says where a surface is a guess, not how good it is.

    Parameters
    ----------
    vertices : (V, 3)
    drawn_points : (N, 3)

    Returns
    -------
    (V,) float64
        Millimetres.
    """
    return np.asarray(cKDTree(drawn_points).query(vertices)[0], dtype=np.float64)


class _ErrorField:
    """A Gaussian field of errors on a surface; its gain from a section is the variance that the section takes away."""

    def __init__(
        self,
        vertices: FloatArray,
        faces: IntArray,
        deviation: FloatArray,
        factor: FloatArray | None,
        correlation_mm: float | None,
    ) -> None:
        areas = TriangleMesh(vertices, faces).vertex_areas
        step = -(-len(vertices) // _MOST_VERTICES)
        self._kept = np.arange(0, len(vertices), step)
        self._weights = areas[self._kept] / areas[self._kept].sum()
        self._vertices, self._deviation = vertices, deviation
        self._factor = None if factor is None else _scaled(np.asarray(factor, dtype=np.float64), deviation)
        radius = 0.5 * float(np.linalg.norm(np.ptp(vertices, axis=0)))
        self._length = _CORRELATION * radius if correlation_mm is None else correlation_mm

    def points_of(self, edges: IntArray, shares: FloatArray) -> FloatArray:
        """Points (N, 3) on edges (N, 2), at shares (N,) of the way."""
        return _between(self._vertices, edges, shares)

    def gain(self, edges: IntArray, shares: FloatArray) -> float:
        """Variance that contours through points on edges take away, mean over the surface, mm^2."""
        deviation = _between(self._deviation[:, None], edges, shares)[:, 0]
        if self._factor is not None:
            there = _between(self._factor, edges, shares)
            inside, across = there @ there.T, self._factor[self._kept] @ there.T
        else:
            points = self.points_of(edges, shares)
            inside = np.outer(deviation, deviation) * self._alike(points, points)
            across = np.outer(self._deviation[self._kept], deviation) * self._alike(self._vertices[self._kept], points)
        inside = inside + DRAWING_MM**2 * np.eye(len(inside))
        taken = (across * np.linalg.solve(inside, across.T).T).sum(axis=1)
        return float(self._weights @ taken)

    def _alike(self, first: FloatArray, second: FloatArray) -> FloatArray:
        return np.asarray(np.exp(-0.5 * (cdist(first, second) / self._length) ** 2))


def _directions(oblique: bool) -> Iterator[FloatArray]:
    """Unit normals: the three axes, then evenly over half a sphere."""
    yield from _AXES
    if oblique:
        index = np.arange(_OBLIQUE_DIRECTIONS) + 0.5
        height = index / _OBLIQUE_DIRECTIONS
        angle = np.pi * (1 + 5**0.5) * index
        ring = np.sqrt(1 - height**2)
        yield from np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


def _positions(along: FloatArray) -> FloatArray:
    """Of planes across a direction, evenly within a surface."""
    low, high = float(along.min()), float(along.max())
    count = max(1, int((high - low) / SPACING_MM) - 1)
    return np.linspace(low, high, count + 2)[1:-1]


def _is_drawn(normal: FloatArray, position: float, drawn: Sequence[Plane]) -> bool:
    for plane in drawn:
        parallel = abs(float(plane.normal @ normal)) > np.cos(np.radians(_SAME_PLANE_DEG))
        if parallel and abs(float(plane.origin @ normal) - position) < SAME_PLANE_MM:
            return True
    return False


def _section(vertices: FloatArray, faces: IntArray, offset: FloatArray) -> tuple[IntArray, FloatArray] | None:
    """Edges that a plane cuts, and where: at most `_SECTION_POINTS` of them, evenly by angle about their middle."""
    sides = offset[faces] > 0
    pairs = [faces[sides[:, a] != sides[:, b]][:, (a, b)] for a, b in ((0, 1), (1, 2), (2, 0))]
    edges = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    if len(edges) < _LEAST_SECTION_POINTS:
        return None
    shares = offset[edges[:, 0]] / (offset[edges[:, 0]] - offset[edges[:, 1]])
    points = _between(vertices, edges, shares)
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    order = np.argsort(np.arctan2(centred @ axes[1], centred @ axes[0]))
    chosen = order[np.linspace(0, len(order), min(len(order), _SECTION_POINTS), endpoint=False).astype(np.int64)]
    return edges[chosen], shares[chosen]


def _between(values: FloatArray, edges: IntArray, shares: FloatArray) -> FloatArray:
    first, second = values[edges[:, 0]], values[edges[:, 1]]
    return np.asarray(first + shares[:, None] * (second - first))


def _scaled(factor: FloatArray, deviation: FloatArray) -> FloatArray:
    """A factor whose covariance has the given standard deviations."""
    own = np.linalg.norm(factor, axis=1)
    return np.asarray(factor * (deviation / np.where(own > 0, own, 1.0))[:, None])
