"""Closed curves that stay on the slice on which the user began them."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer import vtkMRMLMarkupsClosedCurveNode, vtkMRMLMarkupsNode, vtkMRMLSliceNode

from dals.geometry.mesh import FloatArray
from dals.observations.contours import Plane
from DALSRefineLib.nodes.naming import unique_name

PLANE_ATTRIBUTE = "DALSRefine.plane"
SLICE_VIEWS = {"axial": "Red", "sagittal": "Yellow", "coronal": "Green"}
"""Slicer's names of the slice views."""

_ON_PLANE_MM = 1e-3
_STRAIGHT_DEG = 1.0
_FLAT_MM = 1e-2  # more than the rounding of a hardened transform
_EVENTS = (vtkMRMLMarkupsNode.PointPositionDefinedEvent, vtkMRMLMarkupsNode.PointModifiedEvent)


def slice_node_of(scene: Any, view: str) -> Any:
    """The slice node of a view by its layout name ("Red"), or None."""
    nodes = scene.GetNodesByClass("vtkMRMLSliceNode")
    nodes.UnRegister(None)  # GetNodesByClass hands over a reference
    found = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
    return next((node for node in found if node.GetLayoutName() == view), None)


def new_contour(scene: Any, slice_node: Any, *, colour: tuple[float, float, float]) -> Any:
    """An empty closed curve on the plane that a slice view shows, RAS mm.

    A `PlaneKeeper` keeps its points on that plane.
    """
    orientation = slice_node.GetOrientation() or "slice"
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", unique_name(scene, f"{orientation} contour"))
    _set_plane(node, plane_shown(slice_node))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is not None:
        display.SetSelectedColor(*colour)
        display.SetColor(*colour)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
    return node


def plane_shown(slice_node: Any) -> Plane:
    """The plane that a slice view shows, RAS mm."""
    matrix = slice_node.GetSliceToRAS()
    origin = [matrix.GetElement(row, 3) for row in range(3)]
    normal = [matrix.GetElement(row, 2) for row in range(3)]
    return Plane(np.array(origin), np.array(normal))


def view_scrolled_last(scene: Any) -> str | None:
    """The slice view among `SLICE_VIEWS`, by its layout name, whose slice has changed last; None without views."""
    found = {view: slice_node_of(scene, view) for view in SLICE_VIEWS.values()}
    times = {view: node.GetMTime() for view, node in found.items() if node is not None}
    return max(times, key=lambda view: times[view]) if times else None


def show_plane(scene: Any, plane: Plane) -> str | None:
    """Show a plane in the slice view that it suits, and jump to its origin in the others.

    A plane within a few degrees of an axial, sagittal or coronal one is shown as it is in that view. An oblique one
    turns the view of the closest direction.

    Returns
    -------
    str or None
        The view's layout name; None where there is no such view.
    """
    axis = int(np.argmax(np.abs(plane.normal)))
    view = SLICE_VIEWS[("sagittal", "coronal", "axial")[axis]]
    node = slice_node_of(scene, view)
    if node is None:
        return None
    vtkMRMLSliceNode.JumpAllSlices(scene, *plane.origin.tolist())
    if np.degrees(np.arccos(min(1.0, abs(float(plane.normal[axis]))))) > _STRAIGHT_DEG:
        across = np.eye(3)[(axis + 1) % 3]
        node.SetSliceToRASByNTP(*plane.normal.tolist(), *across.tolist(), *plane.origin.tolist(), 0)
    else:
        node.SetOrientation(("Sagittal", "Coronal", "Axial")[axis])
        node.JumpSlice(*plane.origin.tolist())
    node.Modified()  # as the view that was scrolled last, also where it has shown the plane already
    return view


def plane_of(node: Any) -> Plane | None:
    """The plane of a curve from `new_contour`, in the node's own coordinates; None for other curves."""
    try:
        values = np.array([float(text) for text in (node.GetAttribute(PLANE_ATTRIBUTE) or "").split()])
    except ValueError:  # edited by hand
        return None
    if values.shape != (6,) or not np.isfinite(values).all() or not np.linalg.norm(values[3:]) > 0:
        return None
    return Plane(values[:3], values[3:] / np.linalg.norm(values[3:]))


class PlaneKeeper:
    """Keeps the points of curves on their planes while the user places and drags them.

    It works in the node's own coordinates, so that a transform may move the curve. If most points leave the plane
    at once, because a transform is hardened or an interaction handle is dragged, the plane follows them.
    """

    def __init__(self) -> None:
        self._observed: dict[str, tuple[Any, list[int]]] = {}
        self._busy = False

    def keep(self, nodes: list[Any]) -> None:
        """Watch exactly these curves."""
        wanted = {node.GetID(): node for node in nodes if plane_of(node) is not None}
        for identifier, (node, _tags) in list(self._observed.items()):
            if wanted.get(identifier) is not node:  # another scene's node may have the same ID
                self._release(identifier)
        for identifier, node in wanted.items():
            if identifier not in self._observed:
                tags = [node.AddObserver(event, self._on_points) for event in _EVENTS]
                self._observed[identifier] = (node, tags)

    def close(self) -> None:
        """Watch nothing any more."""
        self.keep([])

    def _release(self, identifier: str) -> None:
        node, tags = self._observed.pop(identifier)
        for tag in tags:
            node.RemoveObserver(tag)

    def _on_points(self, node: Any, _event: str) -> None:
        if self._busy:  # `put_on_plane` moves points, which is the same event
            return
        self._busy = True
        try:
            put_on_plane(node)
        finally:
            self._busy = False


def put_on_plane(node: Any) -> None:
    """Project the placed control points of a curve onto its plane.

    If most of three or more points are off the plane, the curve was moved as a whole: it gets the plane of its points,
    or none if they have no common plane. A point that still follows the mouse stays, since moving it would place it.
    """
    plane = plane_of(node)
    placed = _placed(node)
    if plane is None or not placed:
        return
    points = np.array([node.GetNthControlPointPosition(index) for index in placed])
    distances = plane.distances(points)
    away = np.abs(distances) > _ON_PLANE_MM
    if len(placed) > 2 and away.sum() > len(placed) / 2:
        _set_plane(node, _common_plane(points))
        return
    for index in np.flatnonzero(away):
        node.SetNthControlPointPosition(placed[index], *(points[index] - distances[index] * plane.normal))


def start_placing(scene: Any, node: Any) -> None:
    """Clicks in the views place points of a curve until Escape or a right click."""
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    if selection is None or interaction is None:
        return
    selection.SetReferenceActivePlaceNodeClassName(vtkMRMLMarkupsClosedCurveNode().GetClassName())
    selection.SetActivePlaceNodeID(node.GetID())
    interaction.SetPlaceModePersistence(1)
    interaction.SetCurrentInteractionMode(interaction.Place)


def is_placing(scene: Any) -> bool:
    """Whether clicks in the views place points."""
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    return interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place


def stop_placing(scene: Any) -> None:
    """Clicks in the views no longer place points."""
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    if interaction is not None and is_placing(scene):
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def jump_to(scene: Any, node: Any) -> None:
    """Show the slices through the middle of a curve in all slice views."""
    points = [tuple(node.GetNthControlPointPositionWorld(index)) for index in _placed(node)]
    if points:
        vtkMRMLSliceNode.JumpAllSlices(scene, *np.mean(np.array(points), axis=0))


def _placed(node: Any) -> list[int]:
    """Indices of the control points with a defined position."""
    count = node.GetNumberOfControlPoints()
    return [i for i in range(count) if node.GetNthControlPointPositionStatus(i) == node.PositionDefined]


def _set_plane(node: Any, plane: Plane | None) -> None:
    if plane is None:
        node.RemoveAttribute(PLANE_ATTRIBUTE)
    else:
        node.SetAttribute(PLANE_ATTRIBUTE, " ".join(f"{value:.9g}" for value in (*plane.origin, *plane.normal)))


def _common_plane(points: FloatArray) -> Plane | None:
    """The plane of points (N >= 3, 3); None if they are not coplanar, or collinear."""
    origin = points.mean(axis=0)
    _, spread, axes = np.linalg.svd(points - origin, full_matrices=False)
    plane = Plane(origin, axes[2])
    flat = spread[1] > _FLAT_MM and float(np.abs(plane.distances(points)).max()) < _FLAT_MM
    return plane if flat else None
