"""How far a surface is from contours, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.polylines import loop_length, resample_loop
from dals.geometry.surface_distance import SignedDistance
from dals.observations import PlanarContours

MISSED_MM = 4.0
"""A hand draws no closer than this."""
_DENSE_MM = 0.5


@dataclass(frozen=True, eq=False)
class Deviation:
    """The largest distance between a surface and something that was drawn.

    Attributes
    ----------
    name : str
        Of the contour.
    millimetres : float
    place : (3,) float64
        Where, RAS mm.
    share : float
        For a contour: how much of all that was drawn on its plane is its part beyond `MISSED_MM`, 0 to 1.
    """

    name: str
    millimetres: float
    place: FloatArray
    share: float = 0.0


def missed_contours(contours: PlanarContours, mesh: TriangleMesh) -> list[Deviation]:
    """For each contour its point furthest from the surface."""
    drawn = {contour.name: sum(len(one.points) for one in group) for group in contours.by_plane for contour in group}
    surface, found = SignedDistance(mesh), []
    for contour in contours.contours:
        distances = np.abs(surface.at(contour.points))
        worst = int(distances.argmax())
        share = np.count_nonzero(distances > MISSED_MM) / drawn[contour.name]
        found.append(Deviation(contour.name, float(distances[worst]), contour.points[worst], share))
    return found


def straying_sections(contours: PlanarContours, mesh: TriangleMesh) -> list[Deviation]:
    """For each plane the point of the surface's own section that is furthest from the contours there.

    The distances of contours from the surface miss a part of it that crosses a plane where nothing was outlined.
    Planes that the surface does not meet are left out, and planes that may show more of the organ than was drawn.
    """
    found = []
    for name, section, distances in _sections(contours, mesh):
        worst = int(distances.argmax())
        found.append(Deviation(name, float(distances[worst]), section[worst]))
    return found


def straying_share(contours: PlanarContours, mesh: TriangleMesh, *, beyond_mm: float) -> float:
    """How much of the surface's sections with the planes is further from all contours there, 0 to 1.

    The same planes count as in `straying_sections`, each as much as another.
    """
    shares = [float((distances > beyond_mm).mean()) for _, _, distances in _sections(contours, mesh)]
    return float(np.mean(shares)) if shares else 0.0


def _sections(contours: PlanarContours, mesh: TriangleMesh) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Name, section (N, 3) and its distances (N,) from the contours, of each plane that shows all of the organ."""
    for group in contours.by_plane:
        if any(contour.open_plane or not contour.closed for contour in group):
            continue
        loops = section_loops(mesh, *group[0].plane)
        if loops:
            section = np.concatenate(loops)
            # Between the points of a contour, too.
            drawn = cKDTree(np.concatenate([_dense(contour.points) for contour in group]))
            yield group[0].name, section, drawn.query(section)[0]


def _dense(loop: FloatArray) -> FloatArray:
    return resample_loop(loop, max(len(loop), round(loop_length(loop) / _DENSE_MM)))
