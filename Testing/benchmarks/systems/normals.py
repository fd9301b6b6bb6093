"""Outward normals of what was observed: of points by their neighbourhoods, of contours within their planes."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import cKDTree

from dals.mesh import FloatArray

NEIGHBOURS = 12


def point_normals(points: FloatArray, *, neighbours: int = NEIGHBOURS) -> FloatArray:
    """Unit normals (N, 3) of points (N, 3) on a closed surface, pointing outwards (Hoppe et al. 1992).

    The plane through each neighbourhood gives the direction; signs are passed on along the minimum
    spanning tree of the neighbourhood graph, from the highest point, whose normal points up.
    """
    count = len(points)
    neighbours = min(neighbours, count)
    distances, index = cKDTree(points).query(points, k=neighbours)
    centred = points[index] - points[index].mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))
    normals = np.ascontiguousarray(axes[..., 0])
    rows, columns = np.repeat(np.arange(count), neighbours - 1), index[:, 1:].ravel()
    agreement = np.abs(np.einsum("ij,ij->i", normals[rows], normals[columns]))
    # Crossing to the other side of a thin part is dear: there the way is long and the normals are parallel, too.
    cost = 1e-3 + (1 - agreement) + 0.1 * distances[:, 1:].ravel() / distances[:, 1:].mean()
    graph = sparse.csr_matrix((cost, (rows, columns)), shape=(count, count))
    graph = graph.maximum(graph.T)
    top = int(points[:, 2].argmax())
    order, parents = breadth_first_order(minimum_spanning_tree(graph), top, directed=False)
    if normals[top, 2] < 0:
        normals[top] *= -1
    for node in order[1:]:
        if normals[node] @ normals[parents[node]] < 0:
            normals[node] *= -1
    return normals


def loop_normals(loop: FloatArray, normal: FloatArray, *, hole: bool = False) -> FloatArray:
    """Unit normals (N, 3) of a closed polyline (N, 3) within the plane of that normal, pointing out of what it holds.

    `hole` turns them around.
    """
    tangent = np.roll(loop, -1, axis=0) - np.roll(loop, 1, axis=0)
    across = np.cross(tangent, normal)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    area = float(np.cross(loop - loop.mean(axis=0), np.roll(loop, -1, axis=0) - loop.mean(axis=0)).sum(axis=0) @ normal)
    return np.asarray(across if (area > 0) != hole else -across)
