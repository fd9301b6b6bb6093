"""A mesh with its normals, on which closest places are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.geometry.closest_points import closest_on_triangles
from dals.geometry.mesh import FloatArray, IntArray
from dals.geometry.normals import Normals

_CANDIDATES = 12


class Places(NamedTuple):
    """The closest places of a mesh to points.

    Attributes
    ----------
    faces : (N,)
    barycentric : (N, 3)
    distances : (N,)
        How far the points are along the normals of these places, positive outside.
    """

    faces: IntArray
    barycentric: FloatArray
    distances: FloatArray

    def part(self, chosen: NDArray[np.bool_]) -> Places:
        """Those of some of the points, (N,)."""
        return Places(self.faces[chosen], self.barycentric[chosen], self.distances[chosen])


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed mesh, canonical.

    Attributes
    ----------
    vertices : (V, 3)
    faces : (F, 3)
        Counter-clockwise seen from outside.
    face_normals : (F, 3)
    vertex_normals : (V, 3)
    areas : (F,)
    """

    vertices: FloatArray
    faces: IntArray
    face_normals: FloatArray
    vertex_normals: FloatArray
    areas: FloatArray

    @classmethod
    def of(cls, vertices: FloatArray, faces: IntArray) -> Surface:
        """A mesh with the normals of its faces, and those of its vertices weighted by area."""
        normals = Normals.of(vertices, faces)
        return cls(vertices, faces, normals.faces, normals.vertices, normals.areas)

    @cached_property
    def corners(self) -> FloatArray:
        """Corners of the faces, (F, 3 corners, 3 axes)."""
        return np.asarray(self.vertices[self.faces])

    def positions(self, places: Places) -> FloatArray:
        """Of places on the mesh, (N, 3)."""
        return np.asarray(np.einsum("nk,nkd->nd", places.barycentric, self.corners[places.faces]))

    def closest(self, points: FloatArray) -> Places:
        """The closest places to points (N, 3)."""
        count = min(_CANDIDATES, len(self.faces))
        candidates = cKDTree(self.corners.mean(axis=1)).query(points, k=count)[1].ravel()
        repeated = np.repeat(points, count, axis=0)
        barycentric = closest_on_triangles(repeated, self.corners[candidates])
        positions = np.einsum("nk,nkd->nd", barycentric, self.corners[candidates])
        squared = ((positions - repeated) ** 2).sum(axis=1).reshape(-1, count)
        rows = np.arange(len(points)) * count + squared.argmin(axis=1)
        met, places = candidates[rows], barycentric[rows]
        facing = normalised(np.einsum("nk,nkd->nd", places, self.vertex_normals[self.faces[met]]))
        return Places(met, places, ((points - positions[rows]) * facing).sum(axis=1))


def normalised(vectors: FloatArray) -> FloatArray:
    """Vectors (N, 3) of length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
