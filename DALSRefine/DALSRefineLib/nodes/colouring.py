"""Models coloured by their signed distance from another surface."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer import vtkMRMLDisplayNode
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkDataObject

from dals.errors import InputError
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import signed_distances
from dals.geometry.vtk_bridge import points_of
from DALSRefineLib.nodes.deviations import DEVIATION_ARRAY
from DALSRefineLib.nodes.transforms import points_to_world

SCALARS = "Displacement (mm)"
_SHIPPED_TABLE = "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
_OWN_TABLE = "Displacement (blue to red)"
_OWN_COLOURS = ((0.23, 0.30, 0.75), (0.87, 0.87, 0.87), (0.71, 0.02, 0.15))
_PERCENTILE = 98.0
_LEAST_LIMIT_MM = 1.0
"""The colours span at least this much: the steps of voxels are no displacement, and a surface that has hardly moved
looks grey."""


def colour_by_distance(model_node: Any, reference: TriangleMesh, *, limit_mm: float | None = None) -> float:
    """Colour a model by its displacement from a reference: blue inside of it, red outside.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        Under any transform.
    reference : TriangleMesh
        Closed surface, world RAS millimetres.
    limit_mm : float or None
        Displacement at both ends of the colours; None takes the 98th percentile, so that a few vertices that
        moved far do not turn all others grey.

    Returns
    -------
    float
        The displacement at the ends of the colours, millimetres.

    Raises
    ------
    InputError
        If the model has no surface.
    """
    polydata = model_node.GetPolyData()
    if polydata is None or polydata.GetNumberOfPoints() == 0:
        raise InputError(f"The model '{model_node.GetName()}' has no surface.")
    model_node.CreateDefaultDisplayNodes()  # does nothing where there is one
    values = signed_distances(points_to_world(model_node, points_of(polydata)), reference)
    limit = max(_LEAST_LIMIT_MM, float(np.percentile(np.abs(values), _PERCENTILE))) if limit_mm is None else limit_mm
    scalars = numpy_to_vtk(values, deep=True)
    scalars.SetName(SCALARS)
    polydata.GetPointData().AddArray(scalars)
    display = model_node.GetDisplayNode()
    state = display.StartModify()
    display.SetActiveScalar(SCALARS, vtkDataObject.POINT)
    table = colour_table(model_node.GetScene(), _SHIPPED_TABLE, _OWN_TABLE, _OWN_COLOURS)
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetScalarRangeFlag(vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(-limit, limit)
    display.SetScalarVisibility(True)
    display.EndModify(state)
    return limit


def colour_plainly(model_node: Any) -> None:
    """Show a model in its own single colour again, and drop the displacements that coloured it."""
    polydata, display = model_node.GetPolyData(), model_node.GetDisplayNode()
    if display is not None and display.GetActiveScalarName() in (SCALARS, DEVIATION_ARRAY):
        display.SetScalarVisibility(False)
        display.SetActiveScalarName(None)
    if polydata is not None and polydata.GetPointData().HasArray(SCALARS):
        polydata.GetPointData().RemoveArray(SCALARS)


def colour_table(scene: Any, shipped: str, name: str, colours: tuple[tuple[float, float, float], ...]) -> Any:
    """One of Slicer's colour tables by its ID; where it is not there, one of our own through three colours."""
    found = scene.GetNodeByID(shipped)
    if found is not None:
        return found
    own = scene.GetFirstNodeByName(name)
    if own is not None and own.IsA("vtkMRMLColorTableNode"):
        return own
    table = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    table.SetTypeToUser()
    table.SetNumberOfColors(256)
    for index in range(256):
        colour = [np.interp(index / 255, [0.0, 0.5, 1.0], channel) for channel in zip(*colours, strict=True)]
        table.SetColor(index, f"{index}", *colour, 1.0)
    return table
