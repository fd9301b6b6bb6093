"""Drawing a closed curve by tracing it with the mouse in a slice view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from DALSRefineLib.nodes.curve_points import set_points
from DALSRefineLib.nodes.strokes import outline_of_stroke
from DALSRefineLib.nodes.transforms import points_from_world

STEP_PX = 5.0
"""A point is placed each time the mouse has moved so far."""
LEAST_POINTS = 8
"""A stroke of fewer points is a click with a trembling hand."""
_FIRST = 10.0
"""Priority of the observers: before Slicer's own, which scroll, zoom and change the window."""
_ENDS = ("Return", "KP_Enter", "Escape")


class FreehandPen:
    """Places points of a curve while the mouse is dragged in a slice view; a click places one.

    When the button is let go after a stroke, few control points take the place of the many, and the pen ends. A double
    click, a right click, Enter or Escape ends it, too. Other views stay as they are.

    Parameters
    ----------
    interactor : vtkRenderWindowInteractor
        That of the slice view.
    slice_node : vtkMRMLSliceNode
    curve : vtkMRMLMarkupsClosedCurveNode
    on_end : callable
        Called once, when the pen has ended by itself.
    """

    def __init__(self, interactor: Any, slice_node: Any, curve: Any, on_end: Callable[[], None]) -> None:
        self._interactor, self._slice_node, self.curve, self._on_end = interactor, slice_node, curve, on_end
        self._stroke: list[Any] = []
        self._last: Any = None  # where the last point was placed, in pixels, while the button is down
        actions: dict[str, Callable[[], bool]] = {
            "LeftButtonPressEvent": self._on_press,
            "MouseMoveEvent": self._on_move,
            "LeftButtonReleaseEvent": self._on_release,
            "LeftButtonDoubleClickEvent": self._on_finished,  # which would make the view fill the window
            "RightButtonPressEvent": lambda: True,
            "RightButtonReleaseEvent": self._on_finished,  # only now: it opens the view's menu
            "KeyPressEvent": self._on_key,
        }
        self._tags = {event: interactor.AddObserver(event, self._heard, _FIRST) for event in actions}
        self._actions = actions

    @property
    def active(self) -> bool:
        """Whether the pen is still drawing."""
        return bool(self._tags)

    def close(self) -> None:
        """Stop drawing; the points so far stay."""
        for tag in self._tags.values():
            self._interactor.RemoveObserver(tag)
        self._tags = {}

    def _heard(self, _caller: Any, event: str) -> None:
        if event not in self._tags:
            return
        command = self._interactor.GetCommand(self._tags[event])
        if self._actions[event]() and command is not None:
            command.SetAbortFlag(1)  # nobody else hears of it

    def _on_press(self) -> bool:
        if self.curve.GetScene() is None:  # deleted meanwhile
            self._end()
            return False
        self._stroke = []
        self._place()
        return True

    def _on_move(self) -> bool:
        if self._last is None:
            return False
        if np.linalg.norm(self._pixel() - self._last) >= STEP_PX:
            self._place()
        return True

    def _on_release(self) -> bool:
        if self._last is None:
            return False
        self._last = None
        if len(self._stroke) >= LEAST_POINTS and self.curve.GetScene() is not None:
            stroke = points_from_world(self.curve, np.array(self._stroke))
            set_points(self.curve, outline_of_stroke(stroke))
            self._end()
        return True

    def _on_finished(self) -> bool:
        self._end()
        return True

    def _on_key(self) -> bool:
        if self._interactor.GetKeySym() not in _ENDS:
            return False
        self._end()
        return True

    def _place(self) -> None:
        self._last = self._pixel()
        point = self._slice_node.GetXYToRAS().MultiplyPoint((*self._last.tolist(), 0.0, 1.0))[:3]
        self._stroke.append(point)
        self.curve.AddControlPoint(*points_from_world(self.curve, np.array([point]))[0].tolist())

    def _pixel(self) -> Any:
        return np.array(self._interactor.GetEventPosition(), dtype=np.float64)

    def _end(self) -> None:
        if self.active:
            self.close()
            self._on_end()
