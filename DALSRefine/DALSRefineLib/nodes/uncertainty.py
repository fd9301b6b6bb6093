"""How far a surface may be off: a value for each point of a model, shown as colour and as a band of two outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer import vtkMRMLDisplayNode
from vtkmodules.vtkCommonDataModel import vtkDataObject

from dals.geometry.mesh import FloatArray, TriangleMesh
from DALSRefineLib.nodes.colouring import colour_plainly, colour_table
from DALSRefineLib.nodes.deviations import DEVIATION_ARRAY, deviation_of, set_deviation
from DALSRefineLib.nodes.outputs import mesh_of_model, new_model, show_mesh

__all__ = [
    "DEVIATION_ARRAY",
    "colour_by_deviation",
    "deviation_of",
    "remove_band",
    "set_deviation",
    "show_band",
]

BAND_ATTRIBUTE = "DALSRefine.band"
BAND = 1.645
"""Standard deviations on either side that hold 90% of a normal distribution."""
_SHIPPED_TABLE = "vtkMRMLColorTableNodeFileViridis.txt"
_OWN_TABLE = "Deviation (dark to bright)"
_OWN_COLOURS = ((0.27, 0.00, 0.33), (0.13, 0.57, 0.55), (0.99, 0.91, 0.14))
_PERCENTILE = 98.0
_LEAST_LIMIT_MM = 1.0
"""The colours span at least this much, so that a surface that is known well looks calm."""
_BAND_COLOUR = (1.0, 1.0, 0.6)


def colour_by_deviation(model_node: Any) -> float:
    """Colour a model by its standard deviations, bright where it is a guess; returns the brightest value in mm.

    Raises
    ------
    ValueError
        If it has none.
    """
    values = deviation_of(model_node)
    if values is None:
        raise ValueError("the model has no standard deviations")
    colour_plainly(model_node)
    limit = max(_LEAST_LIMIT_MM, float(np.percentile(values, _PERCENTILE)))
    model_node.CreateDefaultDisplayNodes()
    display = model_node.GetDisplayNode()
    state = display.StartModify()
    display.SetActiveScalar(DEVIATION_ARRAY, vtkDataObject.POINT)
    table = colour_table(model_node.GetScene(), _SHIPPED_TABLE, _OWN_TABLE, _OWN_COLOURS)
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetScalarRangeFlag(vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(0.0, limit)
    display.SetScalarVisibility(True)
    display.EndModify(state)
    return limit


def show_band(scene: Any, model_node: Any, *, names: tuple[str, str]) -> None:
    """Outline, in the slice views, the two surfaces between which the true one lies with a probability of 90%.

    Parameters
    ----------
    scene : vtkMRMLScene
    model_node : vtkMRMLModelNode
        With standard deviations.
    names : tuple of 2 str
        Of the inner and the outer surface.
    """
    values = deviation_of(model_node)
    if values is None:
        remove_band(scene)
        return
    mesh = mesh_of_model(model_node)
    normals = _normals(mesh)
    for side, sign, name in (("inner", -1.0, names[0]), ("outer", 1.0, names[1])):
        moved = TriangleMesh(mesh.vertices + sign * BAND * values[:, None] * normals, mesh.faces)
        node = _band_node(scene, side)
        if node is not None:
            show_mesh(node, moved)
            continue
        node = new_model(scene, moved, name=name, colour=_BAND_COLOUR)
        node.SetAttribute(BAND_ATTRIBUTE, side)
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)  # it must not be selectable as an input
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetVisibility3D(False)
        display.SetSliceIntersectionThickness(1)


def remove_band(scene: Any) -> None:
    """Take both outlines away."""
    for side in ("inner", "outer"):
        node = _band_node(scene, side)
        if node is not None:
            display = node.GetDisplayNode()
            scene.RemoveNode(node)
            if display is not None and display.GetScene() is scene:
                scene.RemoveNode(display)


def _band_node(scene: Any, side: str) -> Any:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
        if node.GetAttribute(BAND_ATTRIBUTE) == side:
            return node
    return None


def _normals(mesh: TriangleMesh) -> FloatArray:
    """Unit normals of the vertices (V, 3), means of their faces' by area."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(mesh.vertices)
    for corner in range(3):
        np.add.at(total, mesh.faces[:, corner], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
