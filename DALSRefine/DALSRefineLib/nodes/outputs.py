"""Meshes to model nodes and back, and to files.

A model node keeps its mesh in its own coordinates. All meshes that these functions take and return are in world
coordinates (RAS millimetres), whatever transform the node is under.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from slicer import vtkMRMLDisplayNode
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkTriangleMeshPointNormals

from dals.errors import InputError
from dals.geometry.mesh import TriangleMesh
from dals.geometry.vtk_bridge import mesh_of, polydata_of
from dals.io.coordinates import Space
from dals.io.meshes import write_mesh
from DALSRefineLib.nodes.colouring import colour_by_distance, colour_plainly
from DALSRefineLib.nodes.deviations import DEVIATION_ARRAY, IN_FILES, deviation_of
from DALSRefineLib.nodes.naming import unique_name
from DALSRefineLib.nodes.segment_nodes import new_segmentation, write_segment
from DALSRefineLib.nodes.transforms import is_mirrored, points_from_world, points_to_world

__all__ = [
    "Colour",
    "colour_by_distance",
    "colour_plainly",
    "export_model",
    "mesh_of_model",
    "new_model",
    "new_segmentation",
    "show_mesh",
    "write_segment",
]

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""


def new_model(scene: Any, mesh: TriangleMesh, *, name: str, colour: Colour, opacity: float = 1.0) -> Any:
    """Add a mesh to the scene as a smoothly shaded model, outlined in the slice views.

    Parameters
    ----------
    scene : vtkMRMLScene
    mesh : TriangleMesh
        World RAS millimetres.
    name : str
        Made unique in the scene.
    colour : tuple of 3 float
    opacity : float, optional
        Of the surface in 3D, 0 to 1.

    Returns
    -------
    vtkMRMLModelNode
    """
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", unique_name(scene, name))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*colour)
    display.SetOpacity(opacity)
    display.SetInterpolation(vtkMRMLDisplayNode.GouraudInterpolation)
    display.SetVisibility2D(True)
    display.SetSliceIntersectionThickness(2)
    show_mesh(node, mesh)
    return node


def show_mesh(model_node: Any, mesh: TriangleMesh) -> None:
    """Give a model another surface, quickly where only the vertices have moved.

    With the same faces, and as many vertices, the model keeps its `vtkPolyData` and cells and gets new points and
    normals. Colours by distance are taken off: they would belong to the surface before.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
    mesh : TriangleMesh
        World RAS millimetres, whatever transform the model is under.
    """
    faces = mesh.faces[:, ::-1] if is_mirrored(model_node) else mesh.faces
    local = TriangleMesh(points_from_world(model_node, mesh.vertices), faces)
    state = model_node.StartModify()  # one update of the views, not one per array
    try:
        colour_plainly(model_node)
        polydata = model_node.GetPolyData()
        if polydata is not None:
            polydata.GetPointData().RemoveArray(DEVIATION_ARRAY)  # of the surface before
        if polydata is not None and _has_faces(polydata, local):
            polydata.GetPointData().SetNormals(_normals(local))
            points = vtkPoints()
            points.SetDataTypeToDouble()
            points.SetData(numpy_to_vtk(local.vertices, deep=True))
            polydata.SetPoints(points)
            polydata.Modified()
        else:
            polydata = polydata_of(local)
            polydata.GetPointData().SetNormals(_normals(local))
            model_node.SetAndObservePolyData(polydata)
    finally:
        model_node.EndModify(state)


def mesh_of_model(model_node: Any) -> TriangleMesh:
    """The surface of a model in world coordinates, RAS millimetres.

    Raises
    ------
    InputError
        If there is no model, or it has no faces or coordinates that are not finite.
    """
    if model_node is None or not model_node.IsA("vtkMRMLModelNode"):
        raise InputError("No model is chosen.")
    polydata = model_node.GetPolyData()
    mesh = None if polydata is None else mesh_of(polydata)
    if mesh is None or len(mesh.faces) == 0:
        raise InputError(f"The model '{model_node.GetName()}' has no surface.")
    vertices = points_to_world(model_node, mesh.vertices)
    if not np.isfinite(vertices).all():
        raise InputError(f"The model '{model_node.GetName()}' has coordinates that are not finite numbers.")
    return TriangleMesh(vertices, mesh.faces[:, ::-1] if is_mirrored(model_node) else mesh.faces)


def export_model(model_node: Any, path: str | os.PathLike[str], *, space: Space = "LPS") -> None:
    """Write a model to a .stl, .ply, .obj or .vtp file, in world coordinates.

    Where it is known how far its points may be off, .ply and .vtp files say so (`uncertainty_mm`).

    Parameters
    ----------
    model_node : vtkMRMLModelNode
    path : path-like
        Replaced as a whole once the new file is complete.
    space : "LPS" or "RAS"
        The coordinate system of the file, which names it.

    Raises
    ------
    InputError
        If the model has no surface.
    OutputError
        For an unknown extension or a place where nothing can be written.
    """
    mesh, deviation = mesh_of_model(model_node), deviation_of(model_node)
    write_mesh(path, mesh, space=space, point_values=None if deviation is None else {IN_FILES: deviation})


def _has_faces(polydata: vtkPolyData, mesh: TriangleMesh) -> bool:
    """Whether a surface has exactly the faces and the number of points of a mesh."""
    cells = polydata.GetPolys()
    if polydata.GetNumberOfPoints() != len(mesh.vertices) or polydata.GetNumberOfCells() != len(mesh.faces):
        return False
    if cells.GetNumberOfCells() != len(mesh.faces) or cells.IsHomogeneous() != 3:
        return False
    return np.array_equal(vtk_to_numpy(cells.GetConnectivityArray()), mesh.faces.ravel())


def _normals(mesh: TriangleMesh) -> Any:
    """Normals of the vertices, means of their faces' by area, as a VTK array."""
    normals = vtkTriangleMeshPointNormals()
    normals.SetInputData(polydata_of(mesh))
    normals.Update()
    return normals.GetOutput().GetPointData().GetNormals()
