"""The edits of a report, for a table."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from dals.evaluation.formatting import volume_text
from DALSRefineLib.i18n import tr as _


class EditRow(NamedTuple):
    """One edit of a segmentation.

    Attributes
    ----------
    number : int
        Its index in the report.
    place : tuple of 3 float
        RAS mm.
    cells : tuple of 5 str
        Kind, place, volume in ml, depth in mm, and how unlikely input and result are there.
    applied : bool
    """

    number: int
    place: tuple[float, float, float]
    cells: tuple[str, str, str, str, str]
    applied: bool


def edit_rows(report: Mapping[str, Any] | None) -> list[EditRow]:
    """The edits of a report; those that make no sense, in an edited report, are left out."""
    edits = report.get("edits") if isinstance(report, Mapping) else None
    if not isinstance(edits, list):
        return []
    return [row for index, edit in enumerate(edits) if (row := _row(index, edit)) is not None]


def place_text(place: tuple[float, float, float]) -> str:
    """A place with the letters of the sides, in whole millimetres: "R 35, P 12, S 1040"."""
    return ", ".join(
        f"{sides[value < 0]} {abs(value):.0f}" for sides, value in zip(("RL", "AP", "SI"), place, strict=True)
    )


def _row(number: int, edit: Any) -> EditRow | None:
    kinds = {
        "island removed": _("island removed"),
        "hole filled": _("hole filled"),
        "leak cut": _("leak cut"),
        "missing part restored": _("missing part restored"),
        "slice steps smoothed": _("slice steps smoothed"),
    }
    try:
        kind = kinds[edit["kind"]]
        r, a, s = (float(value) for value in edit["centre_mm"])
        volume, depth = float(edit["volume_ml"]), float(edit["depth_mm"])
        if not all(isfinite(value) for value in (r, a, s, volume, depth)):
            return None
        parts = int(edit.get("parts", 1))
        name = kind if parts == 1 else _("{kind} ({parts} parts)").format(kind=kind, parts=parts)
        unlikely = _unlikely(edit.get("input_deviations"), edit.get("result_deviations"))
        cells = (name, place_text((r, a, s)), volume_text(volume), f"{depth:.1f}", unlikely)
        return EditRow(number, (r, a, s), cells, bool(edit["applied"]))
    except (KeyError, TypeError, ValueError):
        return None


def _unlikely(before: Any, after: Any) -> str:
    """Standard deviations of the input and, where that differs, of the result."""
    if before is None or after is None:
        return ""
    first, second = f"{float(before):.1f}", f"{float(after):.1f}"
    return first if first == second else f"{first} → {second}"
