"""Curves that outline only a part of the organ on their plane."""

from __future__ import annotations

from typing import Any

OPEN_PLANE_ATTRIBUTE = "DALSRefine.openPlane"


def is_incomplete(curve: Any) -> bool:
    """Whether the user has said that more of the organ lies on the curve's plane."""
    return bool(curve.GetAttribute(OPEN_PLANE_ATTRIBUTE) == "true")


def set_incomplete(curve: Any, incomplete: bool) -> None:
    """Say so, or take it back; saved with the curve's node."""
    if incomplete:
        curve.SetAttribute(OPEN_PLANE_ATTRIBUTE, "true")
    else:
        curve.RemoveAttribute(OPEN_PLANE_ATTRIBUTE)
