"""Distances of points from a surface."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkDoubleArray
from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import polydata_of


def surface_distances(points: FloatArray, mesh: TriangleMesh) -> FloatArray:
    """Unsigned distance (N,) of points (N, 3) from the nearest point of a surface, in the points' unit."""
    return np.abs(signed_distances(points, mesh))


def signed_distances(points: FloatArray, mesh: TriangleMesh) -> FloatArray:
    """`surface_distances` from a closed surface, negative inside."""
    distance, values = vtkImplicitPolyDataDistance(), vtkDoubleArray()
    distance.SetInput(polydata_of(mesh))
    distance.FunctionValue(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True), values)
    signed = np.array(vtk_to_numpy(values), dtype=np.float64)
    return signed if mesh.volume >= 0 else -signed  # faces that face inwards
