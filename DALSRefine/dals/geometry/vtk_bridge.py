"""Triangle meshes to VTK and back."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkTriangleFilter

from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh


def polydata_of(mesh: TriangleMesh) -> vtkPolyData:
    """A `vtkPolyData` with copies of the mesh's vertices (double) and faces."""
    return polydata_of_polygons(mesh.vertices, mesh.faces.ravel(), np.full(len(mesh.faces), 3))


def polydata_of_polygons(vertices: FloatArray, connectivity: IntArray, sizes: IntArray) -> vtkPolyData:
    """A `vtkPolyData` of polygons.

    Parameters
    ----------
    vertices : (V, 3) float64
    connectivity : (sum(sizes),) int64
        Vertex indices of all polygons in sequence.
    sizes : (F,) int64
        Number of corners of each polygon.
    """
    points = vtkPoints()
    points.SetDataTypeToDouble()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(vertices, dtype=np.float64).reshape(-1, 3), deep=True))
    cells = vtkCellArray()
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(connectivity, dtype=np.int64), deep=True),
    )
    polydata = vtkPolyData()
    polydata.SetPoints(points)
    polydata.SetPolys(cells)
    return polydata


def points_of(polydata: vtkPolyData) -> FloatArray:
    """All points of a `vtkPolyData`, (N, 3) float64; (0, 3) if it has none."""
    points = polydata.GetPoints()
    if points is None or points.GetNumberOfPoints() == 0:
        return np.empty((0, 3))
    return np.array(vtk_to_numpy(points.GetData()), dtype=np.float64).reshape(-1, 3)


def mesh_of(polydata: vtkPolyData) -> TriangleMesh:
    """The surface of a `vtkPolyData` as triangles: splits polygons and strips, drops lines and vertices.

    Raises
    ------
    ValueError
        If a face refers to a point that is not there.
    """
    vertices = points_of(polydata)
    bare = vtkPolyData()  # without lines and data arrays
    bare.SetPoints(polydata.GetPoints())
    for cells, give in ((polydata.GetPolys(), bare.SetPolys), (polydata.GetStrips(), bare.SetStrips)):
        if cells.GetNumberOfCells():
            _check_cells(cells, len(vertices))
            give(cells)
    if len(vertices) == 0 or bare.GetNumberOfPolys() + bare.GetNumberOfStrips() == 0:
        return TriangleMesh(vertices, np.empty((0, 3), dtype=np.int64))
    triangulate = vtkTriangleFilter()
    triangulate.SetInputData(bare)
    triangulate.PassVertsOff()
    triangulate.PassLinesOff()
    triangulate.Update()
    result = triangulate.GetOutput()
    faces = vtk_to_numpy(result.GetPolys().GetConnectivityArray()).astype(np.int64).reshape(-1, 3)
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return TriangleMesh(points_of(result), faces[distinct])


def _check_cells(cells: vtkCellArray, point_count: int) -> None:
    ids = vtk_to_numpy(cells.GetConnectivityArray())
    offsets = vtk_to_numpy(cells.GetOffsetsArray())
    if offsets[0] != 0 or np.any(np.diff(offsets) < 0) or offsets[-1] > len(ids):
        raise ValueError("its faces overlap")
    if ids.size and (ids.min() < 0 or ids.max() >= point_count):
        raise ValueError("a face refers to a point that is not there")
