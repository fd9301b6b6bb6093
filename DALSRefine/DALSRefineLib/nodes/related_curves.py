"""Closed curves of the scene that outline the organ at hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from DALSRefineLib.nodes.inputs import placed_in_world

_Box = tuple[FloatArray, FloatArray]


def closed_curves(scene: Any) -> list[Any]:
    """All closed curves of at least three placed points that are not hidden from the user."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLMarkupsClosedCurveNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLMarkupsClosedCurveNode") for index in range(count)]
    return [node for node in nodes if not node.GetHideFromEditors() and len(placed_in_world(node)) >= 3]


def curves_of_organ(scene: Any, listed: list[Any]) -> list[Any]:
    """Closed curves that are not listed yet and lie about those that are; without any, all of the scene.

    Raises
    ------
    InputError
        If there is none, or nothing is listed and the scene's curves lie about several organs.
    """
    known = {node.GetID() for node in listed}
    new = [node for node in closed_curves(scene) if node.GetID() not in known]
    if not new:
        raise InputError("The scene has no other closed curve.")
    groups = _groups([node for node in (*listed, *new) if len(placed_in_world(node))])
    if not listed:
        if len(groups) > 1:
            raise InputError("The scene's closed curves outline several organs; add one of this organ first.")
        return new
    ours = [node for group in groups for node in group if any(each.GetID() in known for each in group)]
    found = [node for node in ours if node.GetID() not in known]
    if not found:
        raise InputError("The other closed curves of the scene lie about another organ.")
    return found


def _groups(nodes: list[Any]) -> list[list[Any]]:
    """Curves whose boxes overlap, directly or through others."""
    groups: list[list[Any]] = []
    for node in nodes:
        box = _box(node)
        touching = [group for group in groups if any(_overlap(box, _box(other)) for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([other for group in touching for other in group] + [node])
    return groups


def _box(node: Any) -> _Box:
    points = placed_in_world(node)
    return points.min(axis=0), points.max(axis=0)


def _overlap(first: _Box, second: _Box) -> bool:
    return bool(np.all(first[0] <= second[1]) and np.all(second[0] <= first[1]))
