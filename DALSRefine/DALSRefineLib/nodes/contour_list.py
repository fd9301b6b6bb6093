"""The curves to refine, as references of the parameter node."""

from __future__ import annotations

from typing import Any

from DALSRefineLib.nodes.surface_contours import is_proposed

ROLE = "contour"


class ContourList:
    """Curves referenced by a parameter node: saved with the scene, dropped when their node is deleted.

    Parameters
    ----------
    parameter_node : vtkMRMLScriptedModuleNode
    """

    def __init__(self, parameter_node: Any) -> None:
        self._node = parameter_node

    @property
    def nodes(self) -> list[Any]:
        """The curves in the order in which they were added."""
        count = self._node.GetNumberOfNodeReferences(ROLE)
        found = (self._node.GetNthNodeReference(ROLE, index) for index in range(count))
        return [node for node in found if node is not None]

    @property
    def accepted(self) -> list[Any]:
        """Those that are no mere proposals, and have a point: who begins a curve may think better of it."""
        return [node for node in self.nodes if not is_proposed(node) and node.GetNumberOfDefinedControlPoints()]

    def add(self, curve: Any) -> None:
        """Append a curve unless it is in the list."""
        if curve.GetID() not in [node.GetID() for node in self.nodes]:
            self._node.AddNodeReferenceID(ROLE, curve.GetID())

    def remove(self, curve: Any) -> None:
        """Remove a curve from the list; its node stays in the scene."""
        for index in reversed(range(self._node.GetNumberOfNodeReferences(ROLE))):
            if self._node.GetNthNodeReferenceID(ROLE, index) == curve.GetID():
                self._node.RemoveNthNodeReferenceID(ROLE, index)
