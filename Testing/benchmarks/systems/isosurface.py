"""The zero level of a field by flying edges, with few evaluations away from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.systems.voxel_surface import zero_surface
from dals.geometry.mesh import TriangleMesh

Field = Callable[[NDArray[np.float32]], NDArray[np.float32]]

HALF_SIDE = 1.05
_FACTOR = 3


def surface_of(field: Field, *, cells: int = 128) -> TriangleMesh:
    """The largest component of a field's zero level in the cube around the unit sphere.

    The field is taken on a grid with a third of the resolution, and on the full one only around cells whose corners
    differ in sign or that are close to zero; elsewhere it is interpolated.

    Parameters
    ----------
    field : callable
        Signed distances (N,), negative inside, at points (N, 3).
    cells : int
        Along each axis at least; rounded up to a multiple of three.

    Returns
    -------
    TriangleMesh
        Faces counter-clockwise seen from outside; empty if the field has no zero.
    """
    coarse_cells = -(-cells // _FACTOR)
    nodes = _FACTOR * coarse_cells + 1
    spacing = 2 * HALF_SIDE / (nodes - 1)
    coarse = field(_nodes(np.indices([coarse_cells + 1] * 3).reshape(3, -1).T * _FACTOR, spacing))
    coarse = coarse.reshape([coarse_cells + 1] * 3)
    fine = ndimage.zoom(coarse, (nodes / len(coarse)), order=1, grid_mode=False).astype(np.float32)
    wanted = np.argwhere(_near_zero(coarse, 0.3 * _FACTOR * spacing))
    fine[tuple(wanted.T)] = field(_nodes(wanted, spacing))
    # Closed at the border of the cube, whatever the field does there.
    border = np.pad(np.zeros([nodes - 2] * 3, dtype=np.bool_), 1, constant_values=True)
    fine[border] = np.maximum(fine[border], spacing)
    if fine.min() >= 0:
        return TriangleMesh(np.empty((0, 3)), np.empty((0, 3), dtype=np.int64))
    return zero_surface(-fine.astype(np.float64), np.full(3, -HALF_SIDE), spacing)


def _nodes(index: NDArray[np.int64], spacing: float) -> NDArray[np.float32]:
    return (index * spacing - HALF_SIDE).astype(np.float32)


def _near_zero(coarse: NDArray[np.float32], margin: float) -> NDArray[np.bool_]:
    """Which fine nodes belong to a coarse cell in which there may be a zero."""
    corners = [coarse[tuple(slice(o, len(coarse) - 1 + o) for o in offset)] for offset in np.ndindex(2, 2, 2)]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    crossed = (low < margin) & (high > -margin)
    for axis in range(3):
        crossed = np.repeat(crossed, _FACTOR, axis=axis)
    wanted = np.pad(crossed, ((0, 1),) * 3)
    for axis in range(3):
        wanted = wanted | np.roll(wanted, 1, axis=axis)
    return wanted
