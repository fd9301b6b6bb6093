"""Control points of curves: all at once, and as they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dals.geometry.mesh import FloatArray
from DALSRefineLib.nodes.drawing import PLANE_ATTRIBUTE


@dataclass(frozen=True, eq=False)
class CurveState:
    """A curve as it was.

    Attributes
    ----------
    identifier, name : str
        Of its node.
    points : (N, 3) float64
        Placed control points, in the node's own coordinates.
    plane : str or None
        The attribute that keeps the points on their plane.
    """

    identifier: str
    name: str
    points: FloatArray
    plane: str | None


def placed_points(node: Any) -> FloatArray:
    """Control points with a defined position, (N, 3) in the node's own coordinates."""
    count = node.GetNumberOfControlPoints()
    placed = [i for i in range(count) if node.GetNthControlPointPositionStatus(i) == node.PositionDefined]
    return np.array([node.GetNthControlPointPosition(i) for i in placed], dtype=np.float64).reshape(-1, 3)


def set_points(node: Any, points: FloatArray, *, plane: str | None = "") -> None:
    """Replace all control points (N, 3) of a curve, in its own coordinates, in one step.

    Parameters
    ----------
    node : vtkMRMLMarkupsClosedCurveNode
    points : (N, 3)
    plane : str or None, optional
        The attribute of its plane: a text sets it, None removes it, an empty text leaves it alone.
    """
    state = node.StartModify()  # whoever keeps points on their plane sees the plane and all points together
    try:
        if plane is None:
            node.RemoveAttribute(PLANE_ATTRIBUTE)
        elif plane:
            node.SetAttribute(PLANE_ATTRIBUTE, plane)
        same = node.GetNumberOfControlPoints() == len(points)
        if not (same and len(placed_points(node)) == len(points)):
            node.RemoveAllControlPoints()
            for point in np.asarray(points, dtype=np.float64).tolist():
                node.AddControlPoint(*point)
            return
        for index, point in enumerate(np.asarray(points, dtype=np.float64).tolist()):
            node.SetNthControlPointPosition(index, *point)
    finally:
        node.EndModify(state)


def states_of(nodes: Iterable[Any]) -> tuple[CurveState, ...]:
    """The present states of curves."""
    return tuple(
        CurveState(node.GetID(), node.GetName(), placed_points(node), node.GetAttribute(PLANE_ATTRIBUTE))
        for node in nodes
    )


def bring_back(scene: Any, states: Iterable[CurveState]) -> int:
    """Give curves their former points; returns how many of them the scene no longer has.

    Where Slicer's own undo is switched on, it can take this back like any other edit.
    """
    missing, changed = 0, []
    for state in states:
        node = scene.GetNodeByID(state.identifier)
        if node is None or not node.IsA("vtkMRMLMarkupsCurveNode"):
            missing += 1
        elif not _is_so(node, state):
            changed.append((node, state))
    if changed:
        scene.SaveStateForUndo()
    for node, state in changed:
        set_points(node, state.points, plane=state.plane)
    return missing


def _is_so(node: Any, state: CurveState) -> bool:
    points = placed_points(node)
    same = points.shape == state.points.shape and np.array_equal(points, state.points)
    return bool(same and node.GetAttribute(PLANE_ATTRIBUTE) == state.plane)
