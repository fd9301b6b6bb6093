"""Removal of the few small folds that a fitted surface may have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.geometry.neighbours import neighbour_average

_FOLDED = -0.5  # cosine between the normals of neighbouring faces below which they are folded onto each other
_RINGS = 1
_SMOOTHINGS = 3
_ROUNDS = 6


def remove_folds(mesh: TriangleMesh) -> TriangleMesh:
    """Smooth a closed surface where neighbouring faces fold back onto each other.

    Only vertices near a fold move, towards the mean of their neighbours, until no fold is left or six rounds are over.
    Connectivity is preserved, and a surface without folds is unchanged.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed; any unit.

    Returns
    -------
    TriangleMesh
    """
    pairs = _neighbouring_faces(mesh.faces)
    average = neighbour_average(mesh)
    vertices = mesh.vertices.copy()
    for _ in range(_ROUNDS):
        moving = _near_folds(vertices, mesh.faces, pairs, average)
        if not moving.any():
            break
        for _ in range(_SMOOTHINGS):
            vertices[moving] += 0.5 * ((average @ vertices)[moving] - vertices[moving])
    return TriangleMesh(vertices, mesh.faces)


def _near_folds(vertices: FloatArray, faces: IntArray, pairs: IntArray, average: csr_matrix) -> NDArray[np.bool_]:
    """Vertices (V,) of folded pairs of faces and those within `_RINGS` edges of them."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    cosine = np.einsum("ij,ij->i", normals[pairs[:, 0]], normals[pairs[:, 1]])
    marked = np.zeros(len(vertices))
    marked[faces[pairs[cosine < _FOLDED]].ravel()] = 1.0
    for _ in range(_RINGS):
        marked = marked + average @ marked
    return np.asarray(marked > 0)


def _neighbouring_faces(faces: IntArray) -> IntArray:
    """Pairs of faces that share an edge, (E, 2), of a closed mesh."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort(edges.T)
    edges, owner = edges[order], owner[order]
    same = (edges[1:] == edges[:-1]).all(axis=1)
    return np.stack([owner[:-1][same], owner[1:][same]], axis=1)
