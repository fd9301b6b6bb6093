"""The surface of a running fit, as a node of its own."""

from __future__ import annotations

from typing import Any

from dals.geometry.mesh import TriangleMesh
from DALSRefineLib.nodes.outputs import Colour, new_model, show_mesh

_OPACITY = 0.5


class Preview:
    """Shows a surface while it changes; it is neither saved nor selectable.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._node: Any = None
        self._stands_in_for: Any = None
        self._hidden: Any = None  # the display node that is switched off meanwhile

    def stand_in_for(self, model: Any) -> None:
        """From its first surface on, show the preview in place of a model."""
        self._stands_in_for = model

    def show(self, mesh: TriangleMesh, *, name: str, colour: Colour) -> None:
        """Show a surface, world RAS mm; the first one makes the node."""
        if not _is_in(self._scene, self._node):
            self._node = new_model(self._scene, mesh, name=name, colour=colour, opacity=_OPACITY)
            self._node.SetSaveWithScene(False)
            self._node.SetHideFromEditors(True)  # it must not be selectable as an input
            if self._node.GetDisplayNode() is not None:
                self._node.GetDisplayNode().SetSaveWithScene(False)
        else:
            show_mesh(self._node, mesh)
        display = self._stands_in_for.GetDisplayNode() if _is_in(self._scene, self._stands_in_for) else None
        if self._hidden is None and display is not None and display.GetVisibility():
            display.SetVisibility(False)
            self._hidden = display

    def close(self) -> None:
        """Remove the preview, and show what it stood in for."""
        hidden, self._hidden, self._stands_in_for = self._hidden, None, None
        if _is_in(self._scene, hidden):
            hidden.SetVisibility(True)
        node, self._node = self._node, None
        if _is_in(self._scene, node):
            display = node.GetDisplayNode()
            self._scene.RemoveNode(node)
            if _is_in(self._scene, display):
                self._scene.RemoveNode(display)


def _is_in(scene: Any, node: Any) -> bool:
    return node is not None and node.GetScene() is scene
