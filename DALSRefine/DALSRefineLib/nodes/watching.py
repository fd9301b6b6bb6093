"""Notices that the user changes curves, drags a point, and pauses."""

from __future__ import annotations

import math
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
    """Reports a change of watched nodes once, after a pause without further changes or when a point is let go.

    Parameters
    ----------
    pause_s : float
        Length of that pause.
    clock : callable
        Seconds, monotonic.
    on_released : callable
        Told of a curve that was changed by dragging a point of it, when the point is let go.

    Attributes
    ----------
    dragging : bool
        Whether a point is being dragged.
    gesture : int
        Counts such movements.
    released : int or None
        The movement whose last change `due` has told of; None if that change was no such movement.
    """

    def __init__(
        self,
        *,
        pause_s: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
        on_released: Callable[[Any], None] = lambda node: None,
    ) -> None:
        self._pause_s, self._clock, self._on_released = pause_s, clock, on_released
        self.dragging, self.gesture = False, 0
        self.released: int | None = None
        self._observed: dict[str, tuple[Any, list[int]]] = {}
        self._changed_at: float | None = None

    def watch(self, nodes: list[Any]) -> None:
        """Watch exactly these nodes."""
        wanted = {node.GetID(): node for node in nodes}
        for identifier, (node, tags) in list(self._observed.items()):
            if wanted.get(identifier) is not node:  # another scene's node may have the same ID
                del self._observed[identifier]
                self.dragging = False  # nobody tells when a point of it is let go
                for tag in tags:
                    node.RemoveObserver(tag)
        for identifier in set(wanted) - set(self._observed):
            node = wanted[identifier]
            tags = [node.AddObserver(event, self._on_change) for event in _EVENTS]
            tags.append(node.AddObserver(vtkMRMLMarkupsNode.PointStartInteractionEvent, self._on_start))
            tags.append(node.AddObserver(vtkMRMLMarkupsNode.PointEndInteractionEvent, self._on_end))
            self._observed[identifier] = (node, tags)

    def due(self) -> bool:
        """Whether there was a change and the pause is over; true once for each change."""
        if self._changed_at is None or self._clock() - self._changed_at < self._pause_s:
            return False
        self.released = self.gesture if self._changed_at == -math.inf else None
        self._changed_at = None
        return True

    @property
    def pending(self) -> bool:
        """Whether there was a change that nobody has been told of."""
        return self._changed_at is not None

    def touch(self) -> None:
        """Count something else that matters as a change."""
        self._changed_at = self._clock()

    def forget(self) -> None:
        """Ignore the changes so far."""
        self._changed_at = None

    def close(self) -> None:
        """Watch nothing any more."""
        self.watch([])
        self.forget()
        self.dragging = False

    def _on_change(self, _node: Any, _event: str) -> None:
        self._changed_at = self._clock()

    def _on_start(self, _node: Any, _event: str) -> None:
        self.dragging, self.gesture = True, self.gesture + 1

    def _on_end(self, node: Any, _event: str) -> None:
        self.dragging = False
        if self._changed_at is not None:
            self._changed_at = -math.inf  # the hand has come to rest
        self._on_released(node)
