"""Nodes of the scene as observations, in world coordinates (RAS millimetres)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.observations import PlanarContours, PointCloud
from dals.observations.contours import Contour, Plane
from DALSRefineLib.nodes.incomplete import is_incomplete
from DALSRefineLib.nodes.label_map_nodes import segment_label_map
from DALSRefineLib.nodes.segment_observations import contours_from_painted_segment, segmentation_from_node
from DALSRefineLib.nodes.transforms import points_to_world
from DALSRefineLib.nodes.volume_nodes import grid_of_volume

__all__ = [
    "CurvePlane",
    "contours_from_curves",
    "contours_from_painted_segment",
    "described",
    "grid_of_volume",
    "placed_in_world",
    "plane_of_curve",
    "planes_of_curves",
    "points_from_node",
    "segment_label_map",
    "segmentation_from_node",
]

OBLIQUE_DEG = 10.0
"""A plane that is tilted further out of the axial, coronal and sagittal ones is called oblique."""
_PLANES = ("sagittal", "coronal", "axial")


class CurvePlane(NamedTuple):
    """The plane of a curve, for a table.

    Attributes
    ----------
    name : str
        "axial", "coronal", "sagittal" or "oblique"; "" for an unfinished curve.
    position_mm : float or None
        Of the plane along S, A or R; None unless the plane is one of the three.
    points : int
        Number of placed control points.
    """

    name: str
    position_mm: float | None
    points: int


def contours_from_curves(nodes: Iterable[Any]) -> PlanarContours:
    """Curves as contours, as Slicer draws them: closed ones as outlines, open ones as stretches of outlines.

    Control points that are unplaced or still follow the mouse are ignored.

    Parameters
    ----------
    nodes : iterable of vtkMRMLMarkupsCurveNode
        Under any transforms; `set_incomplete` says which planes are incomplete.

    Returns
    -------
    PlanarContours
        World RAS millimetres, with control points; named after the nodes.

    Raises
    ------
    InputError
        If a node is no curve or has fewer than three control points; if the contours are not planar,
        lie on fewer than two planes or contradict each other.
    """
    return PlanarContours(tuple(_contour(node) for node in nodes))


def plane_of_curve(node: Any) -> CurvePlane:
    """The plane of a curve in words, for a table; never raises for an unfinished curve."""
    if node is None or not node.IsA("vtkMRMLMarkupsNode"):
        return CurvePlane("", None, 0)
    count = len(_placed_points(node))
    try:
        plane = _contour(node).plane
    except InputError:
        return CurvePlane("", None, count)
    return described(plane, count)


def described(plane: Plane, points: int = 0) -> CurvePlane:
    """A plane in words, for a table."""
    axis = int(np.argmax(np.abs(plane.normal)))
    if np.degrees(np.arccos(min(1.0, abs(float(plane.normal[axis]))))) > OBLIQUE_DEG:
        return CurvePlane("oblique", None, points)
    return CurvePlane(_PLANES[axis], float(plane.origin[axis]), points)


def planes_of_curves(nodes: Iterable[Any]) -> list[Plane]:
    """Planes of closed curves, world RAS mm; unfinished curves are left out."""
    planes = []
    for node in nodes:
        with contextlib.suppress(InputError):
            planes.append(_contour(node).plane)
    return planes


def placed_in_world(node: Any) -> FloatArray:
    """Control points of markups with a defined position, (N, 3) world RAS mm."""
    return _placed_points(node)


def points_from_node(node: Any) -> PointCloud:
    """The placed control points of any markups, or the points of a model, in world coordinates.

    Parameters
    ----------
    node : vtkMRMLMarkupsNode or vtkMRMLModelNode
        Under any transform.

    Raises
    ------
    InputError
        If the node is of another kind, or has fewer than three different points or values that are not finite.
    """
    if node is None:
        raise InputError("No points are chosen.")
    if node.IsA("vtkMRMLMarkupsNode"):
        points = _placed_points(node)
    elif node.IsA("vtkMRMLModelNode"):
        mesh = node.GetMesh()
        points = points_to_world(node, _array(mesh.GetPoints() if mesh is not None else None))
    else:
        raise InputError(f"'{node.GetName()}' is neither a point list nor a model.")
    if len(points) < 3:
        raise InputError(f"'{node.GetName()}' has {len(points)} point(s); at least 3 are needed.")
    return PointCloud(points)


def _contour(node: Any) -> Contour:
    """One curve in world coordinates."""
    if node is None:
        raise InputError("No curve is chosen.")
    name = node.GetName()
    if not node.IsA("vtkMRMLMarkupsCurveNode"):
        raise InputError(f"'{name}' is no curve; please draw the outline of the organ as a closed curve.")
    closed = node.IsA("vtkMRMLMarkupsClosedCurveNode")
    control = _placed_points(node)
    if len(control) < 3:
        kind = "a closed curve" if closed else "an open curve"
        raise InputError(f"The curve '{name}' has {len(control)} placed point(s); {kind} needs at least 3.")
    return Contour(_drawn_points(node), control, name, closed=bool(closed), open_plane=is_incomplete(node))


def _drawn_points(node: Any) -> FloatArray:
    """The curve between its placed control points, (N, 3) world RAS mm."""
    preview = [
        index for index in range(node.GetNumberOfControlPoints()) if _status(node, index) == node.PositionPreview
    ]
    if not preview:
        return _array(node.GetCurvePointsWorld())
    # The point that follows the mouse bends the curve: a copy outside of the scene is drawn without it.
    copy = node.NewInstance()
    copy.CopyContent(node)
    for index in reversed(preview):
        copy.RemoveNthControlPoint(index)
    return points_to_world(node, _array(copy.GetCurvePoints()))


def _placed_points(node: Any) -> FloatArray:
    """Control points with a defined position, (N, 3) world RAS mm."""
    points = []
    for index in range(node.GetNumberOfControlPoints()):
        if _status(node, index) == node.PositionDefined:
            position = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(index, position)
            points.append(position)
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _status(node: Any, index: int) -> int:
    return int(node.GetNthControlPointPositionStatus(index))


def _array(points: Any) -> FloatArray:
    """A `vtkPoints`, or None, as (N, 3) float64."""
    if points is None or points.GetNumberOfPoints() == 0:
        return np.empty((0, 3))
    return np.array(vtk_to_numpy(points.GetData()), dtype=np.float64).reshape(-1, 3)
