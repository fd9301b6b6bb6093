"""Closest points of triangles."""

from __future__ import annotations

import numpy as np

from dals.geometry.mesh import FloatArray


def closest_on_triangles(points: FloatArray, triangles: FloatArray) -> FloatArray:
    """Barycentric coordinates (N, 3) of the point of each triangle that is closest to a point of its own.

    The closest point of the plane counts if it lies in the triangle, else the closest point of the three edges.

    Parameters
    ----------
    points : (N, 3)
    triangles : (N, 3 corners, 3 axes)
        One per point.
    """
    first, second, third = np.moveaxis(triangles, 1, 0)
    ab, ac, ap = second - first, third - first, points - first
    aa, bb, cross = _dot(ab, ab), _dot(ac, ac), _dot(ab, ac)
    along_ab, along_ac = _dot(ap, ab), _dot(ap, ac)
    determinant = aa * bb - cross**2
    safe = np.where(determinant > 0, determinant, 1.0)
    v, w = (bb * along_ab - cross * along_ac) / safe, (aa * along_ac - cross * along_ab) / safe
    interior = np.stack([1 - v - w, v, w], axis=1)
    inside = (determinant > 0) & (interior >= 0).all(axis=1)
    on_edges = np.stack([_closest_on_edge(points, triangles, corner) for corner in range(3)], axis=1)
    positions = np.einsum("nek,nkd->ned", on_edges, triangles)
    nearest = ((positions - points[:, None]) ** 2).sum(axis=-1).argmin(axis=1)
    return np.where(inside[:, None], interior, on_edges[np.arange(len(points)), nearest])


def _closest_on_edge(points: FloatArray, triangles: FloatArray, corner: int) -> FloatArray:
    """Barycentric coordinates (N, 3) of the closest points of the edges that start at a corner."""
    following = (corner + 1) % 3
    start, edge = triangles[:, corner], triangles[:, following] - triangles[:, corner]
    squared = _dot(edge, edge)
    fraction = np.clip(_dot(points - start, edge) / np.where(squared > 0, squared, 1.0), 0.0, 1.0)
    weights = np.zeros((len(points), 3))
    weights[:, corner], weights[:, following] = 1 - fraction, fraction
    return weights


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.einsum("nd,nd->n", a, b)
