"""How often a closed surface winds around each voxel: what it encloses, also where it overlaps itself.

Counted by parity, as `dals.geometry.voxelisation` does, a place that two lobes share is outside. Here the crossings of
a line towards a voxel are counted with their directions. A place that two lobes share counts twice, and one that lies
within a part of the surface that is inside out counts less than nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dals.geometry.label_map import LabelMap, voxels_around
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.geometry.transforms import apply_matrix

_AT_ONCE = 1_000_000
"""Pairs of a face and a line that are tested together."""


def enclosed(mesh: TriangleMesh, grid: LabelMap) -> LabelMap:
    """Mark the voxels whose centres a closed surface winds around; parameters as in `winding_numbers`.

    Returns
    -------
    LabelMap
        On the grid of `grid`, with its name.
    """
    return grid.with_array(winding_numbers(mesh, grid) > 0)


def winding_numbers(mesh: TriangleMesh, grid: LabelMap) -> NDArray[np.int32]:
    """How often a surface winds around the centre of each voxel.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed and consistently oriented, RAS mm. The sign is that of a surface whose faces point outwards.
    grid : LabelMap
        Gives shape and geometry; its own mask is ignored.

    Returns
    -------
    (K, J, I) int32
    """
    found = np.zeros(grid.array.shape, dtype=np.int32)
    if len(mesh.faces) == 0:
        return found
    vertices = apply_matrix(grid.ras_to_ijk, mesh.vertices)
    around = voxels_around(vertices[mesh.faces.ravel()], found.shape)
    if around is None:
        return found
    first, last = around
    box = tuple(slice(int(low), int(high) + 1) for low, high in zip(first[::-1], last[::-1], strict=True))
    numbers = _winding(vertices - first, mesh.faces, last - first + 1)
    found[box] = numbers if TriangleMesh(vertices, mesh.faces).volume > 0 else -numbers
    return found


def _winding(vertices: FloatArray, faces: IntArray, shape: IntArray) -> NDArray[np.int32]:
    """How often a surface winds around each voxel of a grid of (I, J, K) voxels; (K, J, I)."""
    i, j, k = (int(n) for n in shape)
    steps = np.zeros(k * j * (i + 1), dtype=np.int32)
    corners = vertices[faces]
    low = np.maximum(np.ceil(corners[:, :, 1:].min(axis=1)), 0).astype(int)
    high = np.minimum(np.floor(corners[:, :, 1:].max(axis=1)), shape[1:] - 1).astype(int)
    size = np.maximum(high - low + 1, 0)
    lines = size.prod(axis=1)
    ends = np.cumsum(lines)
    for start in range(0, int(ends[-1]), _AT_ONCE):
        pair = np.arange(start, min(start + _AT_ONCE, int(ends[-1])))
        face = np.searchsorted(ends, pair, side="right")
        number = pair - (ends - lines)[face]
        row = low[face, 0] + number % size[face, 0]
        layer = low[face, 1] + number // size[face, 0]
        turn, crossing = _crossings(vertices, faces[face], np.stack([row, layer], axis=1))
        met = turn != 0
        # A line comes from the far end of the first axis: voxels before the crossing have passed it.
        before = np.clip(np.floor(crossing[met]).astype(int) + 1, 0, i)
        at = (layer[met] * j + row[met]) * (i + 1)
        np.add.at(steps, at, turn[met])
        np.add.at(steps, at + before, -turn[met])
    return np.asarray(np.cumsum(steps.reshape(k, j, i + 1), axis=2, dtype=np.int32)[:, :, :-1])


def _crossings(vertices: FloatArray, faces: IntArray, lines: IntArray) -> tuple[IntArray, FloatArray]:
    """Where lines along the first axis, at (N, 2), cross faces (N, 3): direction, 0 if they do not, and place."""
    sides, areas = np.empty((3, len(faces)), dtype=np.int64), np.empty((3, len(faces)))
    for corner in range(3):
        tail, head = faces[:, (corner + 1) % 3], faces[:, (corner + 2) % 3]
        # Both faces at an edge take it in the same direction, so that no line slips between them.
        swapped = tail > head
        a, b = (vertices[np.where(swapped, *ends), 1:] for ends in ((head, tail), (tail, head)))
        along, offset = b - a, lines - a
        area = along[:, 0] * offset[:, 1] - along[:, 1] * offset[:, 0]
        # A line through an edge or a corner passes beside it, by less than any number; along one axis more than along
        # the other.
        beside = np.where(along[:, 1] != 0, along[:, 1] < 0, along[:, 0] > 0)
        direction = np.where(swapped, -1, 1)
        left = np.where(area == 0, beside, area > 0)
        sides[corner], areas[corner] = np.where(left, direction, -direction), area * direction
    turn = np.where((sides == sides[0]).all(axis=0), sides[0], 0)
    total = areas.sum(axis=0)
    heights = vertices[faces, 0].T
    return turn, (areas * heights).sum(axis=0) / np.where(total == 0, 1.0, total)
