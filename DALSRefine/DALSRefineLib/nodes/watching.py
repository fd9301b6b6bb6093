"""Notices that the user has changed curves and has then paused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from slicer import vtkMRMLMarkupsNode, vtkMRMLTransformableNode

PAUSE_S = 0.6
_EVENTS = (
    vtkMRMLMarkupsNode.PointModifiedEvent,
    vtkMRMLMarkupsNode.PointPositionDefinedEvent,
    vtkMRMLMarkupsNode.PointRemovedEvent,
    vtkMRMLTransformableNode.TransformModifiedEvent,
)


class ChangeWatcher:
    """Reports a change of watched nodes once, after a pause without further changes.

    Parameters
    ----------
    pause_s : float
        Length of that pause.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, *, pause_s: float = PAUSE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_s, self._clock = pause_s, clock
        self._observed: dict[str, tuple[Any, list[int]]] = {}
        self._changed_at: float | None = None

    def watch(self, nodes: list[Any]) -> None:
        """Watch exactly these nodes."""
        wanted = {node.GetID(): node for node in nodes}
        for identifier, (node, tags) in list(self._observed.items()):
            if wanted.get(identifier) is not node:  # another scene's node may have the same ID
                del self._observed[identifier]
                for tag in tags:
                    node.RemoveObserver(tag)
        for identifier in set(wanted) - set(self._observed):
            node = wanted[identifier]
            self._observed[identifier] = (node, [node.AddObserver(event, self._on_change) for event in _EVENTS])

    def due(self) -> bool:
        """Whether there was a change and the pause is over; true once for each change."""
        if self._changed_at is None or self._clock() - self._changed_at < self._pause_s:
            return False
        self._changed_at = None
        return True

    def forget(self) -> None:
        """Ignore the changes so far."""
        self._changed_at = None

    def close(self) -> None:
        """Watch nothing any more."""
        self.watch([])
        self.forget()

    def _on_change(self, _node: Any, _event: str) -> None:
        self._changed_at = self._clock()
