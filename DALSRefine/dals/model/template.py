"""The template sphere: subdivided icosahedra and their graph Laplacian."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dals.geometry.mesh import FloatArray, IntArray

MAX_LEVEL = 7
_GOLDEN = (1.0 + 5.0**0.5) / 2.0


@dataclass(frozen=True)
class Template:
    """An icosahedron subdivided `level` times and projected onto the unit sphere.

    Attributes
    ----------
    level : int
        0 is the icosahedron (12 vertices); 3 has 642 vertices, 4 has 2,562.
    vertices : (V, 3) float64
        Unit vectors. The vertices of level n are the first ones of level n + 1.
    faces : (F, 3) int64
        Counter-clockwise seen from outside.
    edges : (E, 2) int64
        Unique undirected edges, smaller index first.
    parents : (V, 2) int64
        The two ends of the coarser level's edge that a new vertex halves. A vertex of the coarser level is its
        own parent twice.
    """

    level: int
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    edges: NDArray[np.int64]
    parents: NDArray[np.int64]

    def prolong(self, coarse: Tensor) -> Tensor:
        """Interpolate a per-vertex field (V_coarse, C) from level - 1 to this level, the mean of the parents."""
        parents = torch.as_tensor(self.parents, device=coarse.device)
        return 0.5 * (coarse[parents[:, 0]] + coarse[parents[:, 1]])


def finer(vertices: FloatArray, level: int) -> tuple[FloatArray, IntArray]:
    """A surface on the template of the next level: vertices (V', 3), new ones in the middle of edges, and its faces.

    Above the finest template it stays as it is.
    """
    template = icosphere(min(level + 1, MAX_LEVEL))
    if template.level > level:
        vertices = np.asarray(template.prolong(torch.from_numpy(vertices)))
    return vertices, template.faces


@cache
def icosphere(level: int) -> Template:
    """Build the icosphere of a subdivision level.

    Raises
    ------
    ValueError
        If the level is negative or above `MAX_LEVEL`.
    """
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"the subdivision level must lie between 0 and {MAX_LEVEL}, not {level}")
    if level == 0:
        vertices, faces = _icosahedron()
        own = np.arange(len(vertices))
        return Template(0, vertices, faces, unique_edges(faces), np.stack([own, own], axis=1))
    coarse = icosphere(level - 1)
    count = len(coarse.vertices)
    midpoint_of = {(int(i), int(j)): count + k for k, (i, j) in enumerate(coarse.edges)}

    def midpoints(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        pairs = np.sort(np.stack([start, end], axis=1), axis=1)
        return np.array([midpoint_of[int(i), int(j)] for i, j in pairs], dtype=np.int64)

    a, b, c = coarse.faces.T
    ab, bc, ca = midpoints(a, b), midpoints(b, c), midpoints(c, a)
    faces = np.concatenate(
        [np.stack(corner, axis=1) for corner in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
    new = coarse.vertices[coarse.edges].mean(axis=1)
    vertices = np.concatenate([coarse.vertices, new / np.linalg.norm(new, axis=1, keepdims=True)])
    own = np.arange(count)
    parents = np.concatenate([np.stack([own, own], axis=1), coarse.edges])
    return Template(level, vertices, faces, unique_edges(faces), parents)


def unique_edges(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unique undirected edges (E, 2) of a triangle mesh, smaller index first."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.asarray(np.unique(np.sort(pairs, axis=1), axis=0))


def uniform_laplacian(template: Template, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random-walk Laplacian I - D^-1 A of the template's graph, sparse COO (V, V).

    D holds the vertex degrees, A the adjacency. Rows sum to zero and the diagonal is one, as in the authors' code:
    the paper's lambda_dir = 0.2 and 100 refer to this scale.
    """
    count = len(template.vertices)
    source = np.concatenate([template.edges[:, 0], template.edges[:, 1]])
    target = np.concatenate([template.edges[:, 1], template.edges[:, 0]])
    degree = np.bincount(source, minlength=count)
    own = np.arange(count)
    index = torch.as_tensor(np.stack([np.concatenate([own, source]), np.concatenate([own, target])]))
    value = torch.as_tensor(np.concatenate([np.ones(count), -1.0 / degree[source]]), dtype=dtype)
    return torch.sparse_coo_tensor(index, value, (count, count), check_invariants=False).coalesce()


def _icosahedron() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    g = _GOLDEN
    vertices = np.array(
        [(-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g),
         (0, -1, -g), (0, 1, -g), (g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)]
    )  # fmt: skip
    faces = np.array(
        [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11),
         (1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6), (7, 1, 8),
         (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9),
         (4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)]
    )  # fmt: skip
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces.astype(np.int64)
