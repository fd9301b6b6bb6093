"""Where points lie with respect to a surface: signed distance, and the surface's normal there."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from dals.geometry.mesh import FloatArray, TriangleMesh

_PLACES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]]) / np.array([[3], [6], [6], [6]])
"""Barycentric coordinates of samples of each face."""
_MANY = 10_000
"""Faces from which on the middle of each is enough."""


class Nearness:
    """Signed distances from a closed surface by its nearest sample, fast enough for all voxels around an organ.

    Parameters
    ----------
    mesh : TriangleMesh
        RAS mm, faces counter-clockwise seen from outside.
    """

    def __init__(self, mesh: TriangleMesh) -> None:
        self.mesh = mesh
        corners = mesh.vertices[mesh.faces]
        crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        at_vertices = np.zeros_like(mesh.vertices)
        for corner in range(3):
            np.add.at(at_vertices, mesh.faces[:, corner], crossed)
        at_vertices = _normalised(at_vertices)
        places = _PLACES[:1] if len(mesh.faces) >= _MANY else _PLACES
        self._samples = np.concatenate([*np.einsum("pk,nkd->pnd", places, corners), mesh.vertices])
        normals = np.einsum("pk,nkd->pnd", places, at_vertices[mesh.faces])
        self._normals = _normalised(np.concatenate([*normals, at_vertices]))
        self._flat = 0.5 * float(np.sqrt(mesh.face_areas.mean()))
        self._tree = cKDTree(self._samples)

    def __call__(self, points: FloatArray, *, within_mm: float = np.inf) -> tuple[FloatArray, FloatArray]:
        """Distances (N,), negative inside, and outward unit normals (N, 3) for points (N, 3), mm.

        Beyond `within_mm` of all samples, which is found out sooner, the distance is infinite and the normal 0.
        """
        far, index = self._tree.query(points, distance_upper_bound=within_mm, workers=torch.get_num_threads())
        distances, normals = np.full(len(points), np.inf), np.zeros((len(points), 3))
        near = np.flatnonzero(np.isfinite(far))
        index = index[near]
        normals[near] = self._normals[index]
        height = ((points[near] - self._samples[index]) * normals[near]).sum(axis=1)
        # Beyond half a face's size, the distance to the sample tells more than the height over its plane.
        beyond = np.sqrt(np.maximum(far[near] ** 2 - self._flat**2, 0.0))
        distances[near] = np.where(height >= 0, 1.0, -1.0) * np.maximum(np.abs(height), beyond)
        return distances, normals


def _normalised(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
