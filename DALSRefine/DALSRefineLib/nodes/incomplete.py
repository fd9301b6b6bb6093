"""Curves that outline only a part of the organ on their plane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

OPEN_ATTRIBUTE = "DALSRefine.open"


def is_incomplete(curve: Any) -> bool:
    """Whether the user has said that more of the organ lies on the curve's plane."""
    return bool(curve.GetAttribute(OPEN_ATTRIBUTE))


def set_incomplete(curve: Any, incomplete: bool) -> None:
    """Say so, or take it back; saved with the curve's node."""
    if incomplete:
        curve.SetAttribute(OPEN_ATTRIBUTE, "1")
    else:
        curve.RemoveAttribute(OPEN_ATTRIBUTE)


def open_planes_of(curves: Iterable[Any]) -> tuple[str, ...]:
    """Names of the curves whose planes are outlined in part only."""
    return tuple(curve.GetName() for curve in curves if is_incomplete(curve))
