"""Removing overlaps between the surfaces of neighbouring organs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

from dals.errors import InputError
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.geometry.neighbours import neighbour_average
from dals.geometry.surface_distance import signed_distances
from dals.geometry.vtk_bridge import polydata_of

GAP_MM = 0.2
_STARTED, _DONE = 0.5, 0.25  # overlap, as a share of the gap, at which a surface starts and stops to move
_SAMPLES_MM = 2.0
_LEAST_SLOPE = 0.3
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
    parted = list(meshes)
    for _ in range(len(parted) - 1):  # a mesh that retreats from one may press into another
        for i, j in combinations(range(len(parted)), 2):
            pair = _retreat(parted[i], parted[j], gap), _retreat(parted[j], parted[i], gap)
            if pair[0] is None or pair[1] is None:
                a, b = (names[k] if names else str(k + 1) for k in (i, j))
                advice = "check that each label has its own organ's prior, or refine them one at a time"
                raise InputError(f"The surfaces of {a} and {b} lie too deep within each other to be parted; {advice}.")
            parted[i], parted[j] = pair[0], pair[1]
    return parted


def _retreat(mesh: TriangleMesh, other: TriangleMesh, gap: float) -> TriangleMesh | None:
    """The mesh, moved back to midway between both less half the gap; None if that fails."""
    low, high = other.vertices.min(axis=0) - gap, other.vertices.max(axis=0) + gap
    corners, faces, moved = mesh.corners, mesh.faces, mesh
    near = faces[np.all((corners.max(axis=1) >= low) & (corners.min(axis=1) <= high), axis=1)]
    shift, held = np.zeros_like(mesh.vertices), np.zeros(len(mesh.vertices))
    average, edge = neighbour_average(mesh), mesh.mean_edge_length
    for _ in range(_ROUNDS):
        need = _needs(moved, near, (mesh, other), gap)
        if need.max() <= (_DONE if held.any() else _STARTED) * gap:
            return moved
        points, moving = moved.vertices[need > 0], need > 0
        slope = _gradients(points, mesh) - _gradients(points, other)
        shift[moving] -= slope * (need[moving] / np.maximum((slope**2).sum(axis=1), _LEAST_SLOPE**2))[:, None]
        held[moving] = 1.0
        rings, band = int(np.clip(2 * np.linalg.norm(shift, axis=1).max() / edge, 1, 10)) + 1, held
        for _ in range(rings):
            band = band + average @ band
        fading = (band > 0) & (held == 0)
        for _ in range(3 * rings):
            shift[fading] = (average @ shift)[fading]
        moved = TriangleMesh(mesh.vertices + shift, faces)
    return None


def _needs(moved: TriangleMesh, near: IntArray, pair: tuple[TriangleMesh, TriangleMesh], gap: float) -> FloatArray:
    """How far each vertex has to retreat, (V,), millimetres.

    Vertices come first. Once they have retreated, samples within the faces `near` (N, 3) count for their corners.
    """
    used, values = np.unique(near), np.full(len(moved.vertices), -np.inf)
    values[used] = _excess(moved.vertices[used], *pair, gap)
    if values.max() > _DONE * gap or not len(used):
        return np.maximum(values, 0.0)
    corners = moved.vertices[near]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(axis=1)
    close = values[near].min(axis=1) > -2 * longest  # the difference of two distances has a slope of at most 2
    n = int(np.clip(np.ceil(longest[close].max(initial=0.0) / _SAMPLES_MM), 2, 8))
    lattice = np.array([(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]) / n
    over = _excess(np.reshape(lattice @ corners[close], (-1, 3)), *pair, gap).reshape(-1, len(lattice), 1)
    need = np.zeros(len(values))
    np.maximum.at(need, near[close], np.where(lattice > 0, over, 0.0).max(axis=1, initial=0.0))
    return need


def _excess(points: FloatArray, mesh: TriangleMesh, other: TriangleMesh, gap: float) -> FloatArray:
    return np.asarray(signed_distances(points, mesh) - signed_distances(points, other) + gap)


def _gradients(points: FloatArray, mesh: TriangleMesh) -> FloatArray:
    """Gradients (N, 3) of the signed distance from a mesh at points (N, 3)."""
    distance = vtkImplicitPolyDataDistance()
    distance.SetInput(polydata_of(mesh))
    return np.asarray(np.sign(mesh.volume) * np.array([distance.FunctionGradient(point) for point in points]))
