"""Removing overlaps between the surfaces of neighbouring organs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dals.errors import InputError
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.geometry.neighbours import neighbour_average
from dals.geometry.surface_distance import SignedDistance

BoolArray: TypeAlias = NDArray[np.bool_]

GAP_MM = 0.2
_STARTED, _DONE = 0.5, 0.25  # overlap, as a share of the gap, at which a surface starts and stops to move
_SAMPLES_MM = 2.0
_LEAST_SLOPE = 0.3
_RINGS = 3  # of neighbours that lead where there is no slope
_ROUNDS = 20


def separate(meshes: Sequence[TriangleMesh], *, gap: float = GAP_MM, names: Sequence[str] = ()) -> list[TriangleMesh]:
    """Move closed surfaces apart where they overlap.

    Each surface retreats to the one midway between both, less half the gap. The displacement fades out around the
    overlap. Faces stay as they are.

    Parameters
    ----------
    meshes : sequence of TriangleMesh
        Closed, RAS millimetres.
    gap : float
        Distance between two surfaces that overlapped, millimetres.
    names : sequence of str
        Names of the organs, for messages.

    Returns
    -------
    list of TriangleMesh
        A mesh that keeps at least half the gap from all others comes back unchanged.

    Raises
    ------
    InputError
        If two surfaces overlap so deeply that none lies midway.
    """
    parted = [_Surface(mesh) for mesh in meshes]
    for _ in range(len(parted) - 1):  # a mesh that retreats from one may press into another
        for i, j in combinations(range(len(parted)), 2):
            one, other = _Retreat(parted[i], parted[j], gap).mesh(), _Retreat(parted[j], parted[i], gap).mesh()
            if one is None or other is None:
                a, b = (names[k] if names else str(k + 1) for k in (i, j))
                advice = "check that each label has its own organ's prior, or refine them one at a time"
                raise InputError(f"The surfaces of {a} and {b} lie too deep within each other to be parted; {advice}.")
            for k, mesh in ((i, one), (j, other)):
                parted[k] = parted[k] if mesh is parted[k].mesh else _Surface(mesh)
    return [surface.mesh for surface in parted]


class _Surface:
    """A mesh with what all its neighbours ask of it, made once."""

    def __init__(self, mesh: TriangleMesh) -> None:
        self.mesh = mesh
        self.low, self.high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        self._distance: SignedDistance | None = None
        self._tree: cKDTree | None = None
        self._longest = 0.0

    @property
    def distance(self) -> SignedDistance:
        self._distance = self._distance or SignedDistance(self.mesh)
        return self._distance

    @property
    def longest_edge(self) -> float:
        self._longest = self._longest or float(_edge_lengths(self.mesh.corners).max())
        return self._longest

    @property
    def tree(self) -> cKDTree:
        self._tree = self._tree or cKDTree(self.mesh.vertices)
        return self._tree


class _Retreat:
    """A surface that gives way to another one."""

    def __init__(self, own: _Surface, other: _Surface, gap: float) -> None:
        self._own, self._other, self._gap = own, other, gap
        mesh = own.mesh
        low, high = other.low - gap, other.high + gap
        corners = mesh.corners
        inside = np.all((corners.max(axis=1) >= low) & (corners.min(axis=1) <= high), axis=1)
        self._near = mesh.faces[inside]  # (N, 3)
        self._used = np.unique(self._near)
        self._lengths = _edge_lengths(corners[inside]).max(axis=1)
        # Upper bounds of what `_excess` says of vertices, or exactly that, and where they were then.
        self._values, self._places = np.full(len(mesh.vertices), -np.inf), mesh.vertices.copy()
        self._is_exact = np.zeros(len(mesh.vertices), dtype=np.bool_)
        if len(self._near):
            self._values[self._used] = self._first_bounds()

    def mesh(self) -> TriangleMesh | None:
        """The mesh, moved back to midway between both less half the gap; None if that fails."""
        mesh = moved = self._own.mesh
        if not np.isposinf(self._values).any():
            return mesh
        shift, held = np.zeros_like(mesh.vertices), np.zeros(len(mesh.vertices))
        average, edge = neighbour_average(mesh), mesh.mean_edge_length
        for _ in range(_ROUNDS):
            need = self._needs(moved)
            if need.max() <= (_DONE if held.any() else _STARTED) * self._gap:
                return moved
            moving = need > 0
            slope = self._slopes(moved, np.flatnonzero(moving), average)
            shift[moving] -= slope * (need[moving] / np.maximum((slope**2).sum(axis=1), _LEAST_SLOPE**2))[:, None]
            held[moving] = 1.0
            rings, band = int(np.clip(2 * np.linalg.norm(shift, axis=1).max() / edge, 1, 10)) + 1, held
            for _ in range(rings):
                band = band + average @ band
            fading = (band > 0) & (held == 0)
            of_fading = average[fading]
            for _ in range(3 * rings):
                shift[fading] = of_fading @ shift
            moved = TriangleMesh(mesh.vertices + shift, mesh.faces)
        return None

    def _slopes(self, moved: TriangleMesh, vertices: IntArray, average: csr_matrix) -> FloatArray:
        """Gradients (N, 3) of what `_excess` says, at vertices (N,) of the mesh.

        Where both surfaces have parallel steps, as on thick slices, it is flat: there the neighbours say which way.
        """
        slope = self._gradients(moved.vertices[vertices])
        flat = np.linalg.norm(slope, axis=1) < _LEAST_SLOPE
        if flat.any():
            around = average[vertices[flat]]
            for _ in range(_RINGS - 1):
                around = around @ average
            used = np.unique(around.indices)
            slope[flat] = around[:, used] @ self._gradients(moved.vertices[used])
        return slope

    def _gradients(self, points: FloatArray) -> FloatArray:
        return np.asarray(self._own.distance.gradients(points) - self._other.distance.gradients(points))

    def _first_bounds(self) -> FloatArray:
        """Upper bounds of what `_excess` says of the used vertices: infinite unless one is outside of the other mesh.

        A vertex is no nearer to that surface than to its nearest vertex, less the radius of a face. An edge does not
        cross it if its ends are, together, further away than it is long: one vertex tells the side of a whole patch.
        """
        mesh, count = self._own.mesh, len(self._own.mesh.vertices)
        radius = self._other.longest_edge / math.sqrt(3)
        most = self._gap + 2 * float(self._lengths.max())
        away = np.zeros(count)
        nearest = self._other.tree.query(mesh.vertices[self._used], distance_upper_bound=most + radius)[0]
        away[self._used] = np.minimum(nearest - radius, most)
        edges = np.concatenate([self._near[:, [0, 1]], self._near[:, [1, 2]], self._near[:, [2, 0]]])
        edges = edges[(away[edges] > self._gap).all(axis=1)]
        lengths = np.linalg.norm(mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]], axis=1)
        edges = edges[away[edges].sum(axis=1) > lengths]
        graph = csr_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
        patches = connected_components(graph, directed=False)[1]
        far = np.flatnonzero(away > self._gap)
        numbers, first = np.unique(patches[far], return_index=True)
        outside = self._other.distance.at(mesh.vertices[far[first]]) > 0
        bounds = np.full(count, np.inf)
        bounds[far] = np.where(outside[np.searchsorted(numbers, patches[far])], self._gap - away[far], np.inf)
        return np.asarray(bounds[self._used])

    def _needs(self, moved: TriangleMesh) -> FloatArray:
        """How far each vertex has to retreat, (V,), millimetres.

        Vertices come first. Once they have retreated, samples within the near faces count for their corners.
        """
        near = self._near
        went = np.any(moved.vertices != self._places, axis=1)
        changed = went[near].any(axis=1)
        self._lengths[changed] = _edge_lengths(moved.vertices[near[changed]]).max(axis=1)
        self._value_vertices(moved, went)
        need = np.maximum(self._values, 0.0)
        if self._values.max() > _DONE * self._gap:
            return need
        close = self._values[near].min(axis=1) > -2 * self._lengths
        n = int(np.clip(np.ceil(self._lengths[close].max(initial=0.0) / _SAMPLES_MM), 2, 8))
        faces = near[close]
        edges = np.unique(
            np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0
        )
        steps = np.arange(1, n)
        self._sample(need, moved, edges, np.stack([n - steps, steps], axis=1) / n)
        lattice = [(i, j, n - i - j) for i in range(1, n) for j in range(1, n - i)]
        self._sample(need, moved, faces, np.reshape(np.array(lattice) / n, (-1, 3)))
        return need

    def _value_vertices(self, moved: TriangleMesh, went: BoolArray) -> None:
        """Bring the values up to date: exactly where they may be positive.

        The difference of two distances has a slope of at most 2.
        """
        self._values[went] += 2 * np.linalg.norm(moved.vertices[went] - self._places[went], axis=1)
        self._places[went] = moved.vertices[went]
        self._is_exact[went] = False
        wanted = np.flatnonzero((self._values > 0) & ~self._is_exact)
        self._values[wanted] = self._excess(moved.vertices[wanted], self._is_shifted(moved)[wanted])
        self._is_exact[wanted] = True

    def _is_shifted(self, moved: TriangleMesh) -> BoolArray:
        return np.asarray(np.any(moved.vertices != self._own.mesh.vertices, axis=1))

    def _sample(
        self,
        need: FloatArray,
        moved: TriangleMesh,
        cells: IntArray,
        weights: FloatArray,
    ) -> None:
        """Raise what vertices need to what samples on their edges, or within their faces, do.

        Parameters
        ----------
        need : (V,)
            Is changed.
        moved : TriangleMesh
        cells : (N, 2) or (N, 3)
            Vertices of edges or faces.
        weights : (M, 2) or (M, 3)
            Of the vertices, for each sample.
        """
        corners = moved.vertices[cells]
        points = weights @ corners
        apart = np.linalg.norm(points[:, :, None] - corners[:, None], axis=-1)
        possible = (self._values[cells][:, None] + 2 * apart).min(axis=2) > 0
        over = np.zeros(possible.shape)
        cell = np.nonzero(possible)[0]
        over[possible] = self._excess(points[possible], np.any(self._is_shifted(moved)[cells[cell]], axis=1))
        worst = over.max(axis=1, initial=0.0)
        for column in cells.T:
            np.maximum.at(need, column, worst)

    def _excess(self, points: FloatArray, shifted: BoolArray) -> FloatArray:
        """How far points (N, 3) are beyond the surface midway between both, less half the gap, twice; millimetres."""
        own = np.zeros(len(points))  # of points that are still on the surface
        own[shifted] = self._own.distance.at(points[shifted])
        return np.asarray(own - self._other.distance.at(points) + self._gap)


def _edge_lengths(corners: FloatArray) -> FloatArray:
    """Of faces (N, 3, 3), (N, 3)."""
    return np.asarray(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1))
