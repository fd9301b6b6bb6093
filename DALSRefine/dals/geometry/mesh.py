"""A triangle mesh as plain arrays, and the measures every room needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


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
    def area(self) -> float:
        """Surface area, in the square of the vertices' unit."""
        return float(self.face_areas.sum())

    @property
    def volume(self) -> float:
        """Enclosed volume by the divergence theorem; positive when faces point outwards."""
        a, b, c = np.moveaxis(self.corners - self.vertices.mean(axis=0), 1, 0)
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)

    @property
    def euler_characteristic(self) -> int:
        """V - E + F over the vertices that faces use; 2 for a closed genus-0 surface."""
        edges, _ = self._edges()
        return len(np.unique(self.faces)) - len(edges) + len(self.faces)

    @property
    def is_closed(self) -> bool:
        """Whether every edge has exactly two faces."""
        edges, counts = self._edges()
        return bool(len(edges)) and bool(np.all(counts == 2))

    def _edges(self) -> tuple[IntArray, IntArray]:
        """Unique undirected edges (E, 2) and the number of faces at each (E,)."""
        pairs = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        edges, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
        return edges, counts
