"""The closed surface at which a field on a grid of voxels is zero."""

from __future__ import annotations

import numpy as np
from vtkmodules.vtkFiltersCore import vtkPolyDataConnectivityFilter

from dals.errors import DalsError
from dals.geometry.isosurface import flying_edges
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import mesh_of, polydata_of


def zero_surface(field: FloatArray, origin: FloatArray, spacing: float) -> TriangleMesh:
    """Largest component of the surface around the positive values of a field.

    Parameters
    ----------
    field : (X, Y, Z)
        Positive inside; what lies beyond the grid is outside.
    origin : (3,)
        Position of the first sample.
    spacing : float

    Raises
    ------
    DalsError
        If nothing is inside.
    """
    padded = np.pad(field, 1, constant_values=-float(np.abs(field).mean()))
    indices = flying_edges(padded.transpose(2, 1, 0).astype(np.float64), 0.0)
    mesh = TriangleMesh(np.asarray(origin) + (indices.vertices - 1) * spacing, indices.faces)
    if len(mesh.faces) == 0:
        raise DalsError("The surface is empty.")
    return largest_component(mesh)


def largest_component(mesh: TriangleMesh) -> TriangleMesh:
    """The component with most faces, without the vertices of the others, its faces pointing outwards."""
    connectivity = vtkPolyDataConnectivityFilter()
    connectivity.SetInputData(polydata_of(mesh))
    connectivity.SetExtractionModeToLargestRegion()
    connectivity.Update()
    largest = mesh_of(connectivity.GetOutput())
    used, faces = np.unique(largest.faces, return_inverse=True)
    result = TriangleMesh(largest.vertices[used], faces.reshape(-1, 3))
    return result if result.volume >= 0 else TriangleMesh(result.vertices, result.faces[:, ::-1])
