"""The zero level of a field by flying edges, with few evaluations away from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkPolyDataConnectivityFilter

from dals.mesh import TriangleMesh
from dals.vtk_bridge import mesh_of

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
        Facets counter-clockwise seen from outside; empty if the field has no zero.
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
    return _zero_level(fine, spacing)


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


def _zero_level(values: NDArray[np.float32], spacing: float) -> TriangleMesh:
    image = vtkImageData()
    image.SetDimensions(*values.shape)
    image.SetSpacing(spacing, spacing, spacing)
    image.SetOrigin(-HALF_SIDE, -HALF_SIDE, -HALF_SIDE)
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(order="F"), deep=True))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.0)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    largest = vtkPolyDataConnectivityFilter()
    largest.SetInputConnection(contour.GetOutputPort())
    largest.SetExtractionModeToLargestRegion()
    largest.Update()
    mesh = mesh_of(largest.GetOutput())
    if not len(mesh.facets):
        return mesh
    used, index = np.unique(mesh.facets, return_inverse=True)
    mesh = TriangleMesh(mesh.vertices[used], index.reshape(mesh.facets.shape))
    return TriangleMesh(mesh.vertices, mesh.facets[:, ::-1]) if mesh.volume < 0 else mesh
