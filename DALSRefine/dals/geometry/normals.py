"""Unit normals of a triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dals.geometry.mesh import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Normals:
    """Unit normals of vertices (V, 3), weighted by area, and of faces (F, 3), and the faces' areas (F,)."""

    vertices: FloatArray
    faces: FloatArray
    areas: FloatArray

    @classmethod
    def of(cls, vertices: FloatArray, faces: IntArray) -> Normals:
        """Of vertices (V, 3) and faces (F, 3); the normals point to where faces are counter-clockwise."""
        a, b, c = np.moveaxis(vertices[faces], 1, 0)
        crossed = np.cross(b - a, c - a)
        sums = np.stack(
            [np.bincount(faces.ravel(), np.repeat(crossed[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
        )
        length = np.linalg.norm(crossed, axis=1)
        tiny = np.finfo(np.float64).tiny
        return cls(
            sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), tiny),
            crossed / np.maximum(length, tiny)[:, None],
            length / 2,
        )
