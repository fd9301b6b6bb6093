"""Averages over the neighbours of each vertex."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from dals.geometry.mesh import TriangleMesh


def neighbour_average(mesh: TriangleMesh) -> csr_matrix:
    """Sparse (V, V) matrix that takes the mean over each vertex's neighbours; zero for a vertex without any."""
    start, stop = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    rows, columns = np.concatenate([start, stop]), np.concatenate([stop, start])
    adjacency = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=2 * (len(mesh.vertices),))
    adjacency.data[:] = 1.0  # an edge of two faces was counted twice
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    return csr_matrix(adjacency.multiply(1.0 / np.maximum(degree, 1.0)[:, None]))
