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
    return SignedDistance(mesh).at(points)


class SignedDistance:
    """The signed distance from a closed surface, negative inside; to be kept where it is asked for more than once.

    Parameters
    ----------
    mesh : TriangleMesh
    """

    def __init__(self, mesh: TriangleMesh) -> None:
        self._implicit = vtkImplicitPolyDataDistance()
        self._implicit.SetInput(polydata_of(mesh))
        self._sign = 1.0 if mesh.volume >= 0 else -1.0  # faces that face inwards

    def at(self, points: FloatArray) -> FloatArray:
        """Its values (N,) at points (N, 3)."""
        values = vtkDoubleArray()
        self._implicit.FunctionValue(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True), values)
        return self._sign * np.array(vtk_to_numpy(values), dtype=np.float64)

    def gradients(self, points: FloatArray) -> FloatArray:
        """Its gradients (N, 3) at points (N, 3)."""
        found = [self._implicit.FunctionGradient(point) for point in points]
        return self._sign * np.array(found, dtype=np.float64).reshape(-1, 3)
