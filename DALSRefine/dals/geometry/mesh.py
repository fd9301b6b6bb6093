"""A triangle mesh as plain arrays, and the measures of it that every room needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

SPHERE_EULER_CHARACTERISTIC = 2


@dataclass(frozen=True)
class TriangleMesh:
    """Vertices and faces of a surface.

    Attributes
    ----------
    vertices : (V, 3) float64
        Positions; millimetres in RAS unless the owner says canonical.
    faces : (F, 3) int64
        Vertex indices, counter-clockwise seen from outside.
    """

    vertices: FloatArray
    faces: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", np.ascontiguousarray(self.vertices, dtype=np.float64))
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, dtype=np.int64))
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"vertices must be (V, 3), not {self.vertices.shape}")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(f"faces must be (F, 3), not {self.faces.shape}")

    @property
    def corners(self) -> FloatArray:
        """Corner positions of every face, (F, 3 corners, 3 axes)."""
        return self.vertices[self.faces]

    @property
    def face_areas(self) -> FloatArray:
        """Area of every face, (F,)."""
        a, b, c = np.moveaxis(self.corners, 1, 0)
        return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))

    @property
    def vertex_areas(self) -> FloatArray:
        """A third of the area of the faces around each vertex, (V,)."""
        shares = np.repeat(self.face_areas / 3, 3)
        return np.asarray(np.bincount(self.faces.ravel(), shares, len(self.vertices)), dtype=np.float64)

    @property
    def face_qualities(self) -> FloatArray:
        """4 sqrt(3) A / (a^2 + b^2 + c^2) of every face, (F,): 1 if equilateral, 0 if it has no area.

        `dals.ops.losses.triangle_quality` is the same in torch, with gradients; a test compares the two.
        """
        corners = self.corners
        squares = ((corners - np.roll(corners, 1, axis=1)) ** 2).sum(axis=(1, 2))
        return np.asarray(4 * np.sqrt(3) * self.face_areas / np.maximum(squares, np.finfo(float).tiny))

    @property
    def mean_quality(self) -> float:
        """Mean of `face_qualities`."""
        return float(self.face_qualities.mean())

    @property
    def mean_edge_length(self) -> float:
        """Mean over the faces' edges, in the vertices' unit; over the edges themselves if the mesh is closed."""
        corners = self.corners
        return float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).mean())

    @property
    def centroid(self) -> FloatArray:
        """Area-weighted centroid of the surface, (3,): what the mean of uniform samples tends to."""
        return np.asarray(np.average(self.corners.mean(axis=1), axis=0, weights=self.face_areas))

    @property
    def area(self) -> float:
        """Surface area, in the square of the vertices' unit."""
        return float(self.face_areas.sum())

    @cached_property
    def volume(self) -> float:
        """Enclosed volume by the divergence theorem; positive when faces point outwards."""
        a, b, c = np.moveaxis(self.corners - self.vertices.mean(axis=0), 1, 0)
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)

    @property
    def euler_characteristic(self) -> int:
        """V - E + F over the vertices that faces use; 2 for a closed genus-0 surface."""
        return self._topology()[0]

    @property
    def is_closed(self) -> bool:
        """Whether every edge has exactly two faces."""
        return self._topology()[1]

    @property
    def is_sphere(self) -> bool:
        """Whether a one-piece mesh is closed and has no handles (genus 0)."""
        return self._topology() == (SPHERE_EULER_CHARACTERISTIC, True)

    def _topology(self) -> tuple[int, bool]:
        """Euler characteristic, and whether every edge has exactly two faces.

        One sort of one number per edge is ten times faster than `numpy.unique` of pairs.
        """
        start, stop = self.faces.ravel(), np.roll(self.faces, -1, axis=1).ravel()
        keys = np.minimum(start, stop) * len(self.vertices) + np.maximum(start, stop)
        keys.sort()
        last_of_run = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)) if len(keys) else np.zeros(0, np.int64)
        faces_at_edge = np.diff(last_of_run, prepend=-1)
        used = np.zeros(len(self.vertices), dtype=np.bool_)
        used[self.faces.ravel()] = True
        euler = int(used.sum()) - len(faces_at_edge) + len(self.faces)
        return euler, bool(len(faces_at_edge) and np.all(faces_at_edge == 2))
