"""Cross-sections of a mesh with a plane."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPlane
from vtkmodules.vtkFiltersCore import vtkCutter, vtkStripper

from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import points_of, polydata_of


def section_loops(mesh: TriangleMesh, origin: FloatArray, normal: FloatArray) -> list[FloatArray]:
    """Closed loops in which a plane cuts a mesh.

    Parameters
    ----------
    mesh : TriangleMesh
    origin, normal : (3,)
        The plane, in the mesh's coordinates.

    Returns
    -------
    list of (N, 3) float64
        In order along each loop, the first point not repeated; empty if the plane misses the mesh.
    """
    plane = vtkPlane()
    plane.SetOrigin(*origin)
    plane.SetNormal(*normal)
    cutter = vtkCutter()
    cutter.SetInputData(polydata_of(mesh))
    cutter.SetCutFunction(plane)
    stripper = vtkStripper()
    stripper.SetInputConnection(cutter.GetOutputPort())
    stripper.SetMaximumLength(len(mesh.faces) + 1)
    stripper.JoinContiguousSegmentsOn()
    stripper.Update()
    section = stripper.GetOutput()
    if not section.GetNumberOfLines():
        return []
    positions = points_of(section)
    offsets = vtk_to_numpy(section.GetLines().GetOffsetsArray())
    order = vtk_to_numpy(section.GetLines().GetConnectivityArray())
    lines = [order[start:end] for start, end in pairwise(offsets)]
    return [np.asarray(positions[line[:-1]]) for line in lines if len(line) > 3 and line[0] == line[-1]]
