"""The surface at which a field on voxels has a value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from dals.geometry.mesh import TriangleMesh
from dals.geometry.vtk_bridge import mesh_of


def flying_edges(field: NDArray[Any], level: float) -> TriangleMesh:
    """Where the trilinear interpolation of a field crosses a level.

    Open where it meets the border of the grid.

    Parameters
    ----------
    field : (K, J, I)
    level : float

    Returns
    -------
    TriangleMesh
        In voxel indices (i, j, k). Faces are counter-clockwise seen from the lower values' side.
    """
    image = vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field).ravel(), deep=True))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, level)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    return mesh_of(contour.GetOutput())
