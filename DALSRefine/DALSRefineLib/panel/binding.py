"""Widgets bound to a parameter node, and taken off it without a trace. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Binding:
    """Connects widgets with a parameter node until it is closed.

    Slicer's `disconnectGui` leaves an observer on the node that keeps the whole wrapper alive, and with it an observer
    for each parameter. The node outlives its scene: with each scene that is opened, every change of a parameter would
    cost more.

    Parameters
    ----------
    parameters
        A `parameterNodeWrapper`.
    widgets : dict
        Widgets by the names of parameters.
    on_change : callable
        Called when a parameter changes.
    """

    def __init__(self, parameters: Any, widgets: dict[str, Any], on_change: Callable[[], None]) -> None:
        self._parameters, self._node = parameters, parameters.parameterNode
        self._tags: list[int] = []
        parameters.AddObserver = self._add_observer  # on this object only: Slicer's wrapper calls it, and keeps no tag
        try:
            self._gui_tag = parameters.connectParametersToGui(widgets)
        finally:
            del parameters.AddObserver
        self._tags.append(self._node.AddObserver("ModifiedEvent", lambda *_: on_change()))

    def close(self) -> None:
        """Disconnect everything."""
        self._parameters.disconnectGui(self._gui_tag)
        for tag in self._tags:
            self._node.RemoveObserver(tag)
        self._tags = []

    def _add_observer(self, event: Any, callback: Callable[..., None], priority: float = 0.0) -> int:
        tag = int(self._node.AddObserver(event, callback, priority))
        self._tags.append(tag)
        return tag
