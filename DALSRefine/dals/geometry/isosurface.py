"""The surface on which a field of voxels has one value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from dals.geometry.mesh import TriangleMesh
from dals.geometry.vtk_bridge import mesh_of


def flying_edges(
    field: NDArray[Any], level: float, *, origin: ArrayLike = (0.0, 0.0, 0.0), spacing: float = 1.0
) -> TriangleMesh:
    """Where the trilinear interpolation of a field crosses a level.

    Open where it meets the border of the grid.

    Parameters
    ----------
    field : (K, J, I)
    level : float
    origin : (3,) array_like
        Position (x, y, z) of the first voxel.
    spacing : float
        Distance between voxels; by default the result is in voxel indices (i, j, k).

    Returns
    -------
    TriangleMesh
        Faces are counter-clockwise seen from the lower values' side.
    """
    image = vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.SetOrigin(*np.asarray(origin, dtype=np.float64))
    image.SetSpacing(spacing, spacing, spacing)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field).ravel(), deep=True))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, level)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    return mesh_of(contour.GetOutput())
