"""Parts of a surface that points refute: where there are none, though they would be there if the surface were right.

A surface that follows points all around may still have pockets or spurs between them: the prior allows them, and no
point complains. Their absence does. A part far from all points is drawn back to the membrane over its rim. If points
lie along the membrane, the surface runs there, and the part goes. If not, that region was not measured, and the prior's
part stays.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from dals.fitting.surface_places import Places, Surface
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.geometry.neighbours import neighbour_average

_FAR, _RIM = 2.0, 1.2
"""Distances from the next point, in mean distances between neighbouring points, that refute a place and that belong to
a refuted part. Where points lie all over a surface, 3 in a million places are further than the first from all."""
_FEWEST = 4
_MEASURED = 0.9
"""Share of a membrane's vertices that has to lie near points. In livers (BTCV) it is mostly 1 for pockets; where the
points leave a sixth of the organ out, it is 0.8 at most."""
_FACING = 0.5
"""Least cosine between normals of a vertex and of the place where a point is closest: another sheet is no support."""
_MOST_SHEETS = 8
_ROUNDS = 3
_SETTLED = 0.1  # mean distances between neighbouring points


def without_surplus(
    surface: Surface, points: FloatArray, telling: NDArray[np.bool_] | None = None
) -> tuple[Surface, Places]:
    """Draw back what points refute.

    Parameters
    ----------
    surface : Surface
    points : (N, 3)
    telling : (N,), optional
        Which points are evidence that the surface runs past them; all by default.

    Returns
    -------
    Surface
        Of the same template.
    Places
        Where it is closest to all points.
    """
    chosen = np.ones(len(points), dtype=np.bool_) if telling is None else telling
    places = surface.closest(points)
    for _ in range(_ROUNDS):
        drawn_back = _drawn_back(surface, places.part(chosen), points[chosen])
        if drawn_back is None:
            break
        surface = Surface.of(drawn_back, surface.faces)
        places = surface.closest(points)
    return surface, places


def _drawn_back(surface: Surface, places: Places, points: FloatArray) -> FloatArray | None:
    """Vertices after one round; None if nothing moves."""
    spacing = math.sqrt(float(surface.areas.sum()) / len(points))
    distances = _support_distances(surface, places)
    if distances.max() <= _FAR * spacing:
        return None
    average = neighbour_average(TriangleMesh(surface.vertices, surface.faces))
    vertices, tree = surface.vertices.copy(), cKDTree(points)
    for part in _parts(distances, spacing, average):
        membrane = _membrane(surface.vertices, part, average)
        if (tree.query(membrane)[0] < _FAR * spacing).mean() >= _MEASURED:
            vertices[part] = membrane
    moved = np.linalg.norm(vertices - surface.vertices, axis=1).max()
    return vertices if moved > _SETTLED * spacing else None


def _support_distances(surface: Surface, places: Places) -> FloatArray:
    """Of each vertex from the next place where a point is closest and that faces the same way; (V,)."""
    facing = surface.face_normals[places.faces]
    distances, nearest = cKDTree(surface.positions(places)).query(
        surface.vertices, k=list(range(1, 1 + min(_MOST_SHEETS, len(facing))))
    )
    alike = np.einsum("vkd,vd->vk", facing[nearest], surface.vertex_normals) > _FACING
    return np.asarray(np.where(alike, distances, np.inf).min(axis=1))


def _parts(distances: FloatArray, spacing: float, average: csr_matrix) -> list[IntArray]:
    """Connected vertices of each part that may be refuted."""
    loose = np.flatnonzero(distances > _RIM * spacing)
    count, labels = connected_components(average[loose][:, loose], directed=False)
    parts = [loose[labels == label] for label in range(count)]
    return [part for part in parts if _FEWEST <= len(part) < len(distances) and distances[part].max() > _FAR * spacing]


def _membrane(vertices: FloatArray, part: IntArray, average: csr_matrix) -> FloatArray:
    """Positions of the vertices of a part, each the mean of its neighbours; the other vertices are fixed."""
    rows = average[part]
    fixed = vertices.copy()
    fixed[part] = 0.0
    return np.asarray(spsolve((identity(len(part)) - rows[:, part]).tocsc(), rows @ fixed))
