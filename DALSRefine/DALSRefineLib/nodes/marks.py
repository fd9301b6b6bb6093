"""The place where a surface is furthest from what was drawn, as a point in the views."""

from __future__ import annotations

from typing import Any

from slicer import vtkMRMLSliceNode

from DALSRefineLib.nodes.naming import unique_name

MARK_ATTRIBUTE = "DALSRefine.mark"
_COLOUR = (1.0, 0.85, 0.0)

Place = tuple[float, float, float]
"""RAS millimetres."""


def show_mark(scene: Any, place: Place, text: str, *, name: str) -> Any:
    """Mark a place with a locked point; there is one mark in a scene, which moves.

    Parameters
    ----------
    scene : vtkMRMLScene
    place : tuple of 3 float
        World RAS millimetres.
    text : str
        Shown beside the point.
    name : str
        Of a new node.
    """
    node = mark_of(scene)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", unique_name(scene, name))
        node.SetAttribute(MARK_ATTRIBUTE, "1")
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)  # it must not be selectable as an input
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetSelectedColor(*_COLOUR)
        display.SetColor(*_COLOUR)
    node.SetLocked(False)
    node.RemoveAllControlPoints()
    node.AddControlPoint(*place, text)
    node.SetLocked(True)
    return node


def remove_mark(scene: Any) -> None:
    """Take the mark away."""
    node = mark_of(scene)
    if node is not None:
        display = node.GetDisplayNode()
        scene.RemoveNode(node)
        if display is not None and display.GetScene() is scene:
            scene.RemoveNode(display)


def mark_of(scene: Any) -> Any:
    """The mark's node, or None."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLMarkupsFiducialNode")
        if node.GetAttribute(MARK_ATTRIBUTE):
            return node
    return None


def jump_to_place(scene: Any, place: Place) -> None:
    """Show the slices through a place in all slice views."""
    vtkMRMLSliceNode.JumpAllSlices(scene, *place)
