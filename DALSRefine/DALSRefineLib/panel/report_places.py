"""The places of a report, for the panel."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.panel.report_rows import distance_title, stray_title

MARKED_MM = 4.0
"""A hand draws no closer than this: nearer places are not marked."""


class ReportPlace(NamedTuple):
    """Where a surface is far from what was drawn.

    Attributes
    ----------
    millimetres : float
    place : tuple of 3 float
        RAS mm.
    text : str
        What is there, for people.
    row : str
        Name of the row of the report's table that tells of it.
    """

    millimetres: float
    place: tuple[float, float, float]
    text: str
    row: str


def places_of(report: Mapping[str, Any] | None) -> list[ReportPlace]:
    """The places of a report, the worst first; those that make no sense, in an edited report, are left out."""
    rows = report.get("places") if isinstance(report, Mapping) else None
    found = [place for row in rows if (place := _place(row)) is not None] if isinstance(rows, list) else []
    return sorted(found, key=lambda place: -place.millimetres)


def _place(row: Any) -> ReportPlace | None:
    words = {
        "missed": _("The contour '{name}' is {distance:.1f} mm from the surface here."),
        "straying": _("The surface is {distance:.1f} mm from the contour '{name}' here, on its plane."),
    }
    try:
        r, a, s = (float(value) for value in row["ras_mm"])
        distance, text = float(row["mm"]), words[row["what"]]
        if not all(isfinite(value) for value in (r, a, s, distance)):
            return None
        name = str(row["name"])
        title = distance_title(name) if row["what"] == "missed" else stray_title()
        return ReportPlace(distance, (r, a, s), text.format(name=name, distance=distance), title)
    except (KeyError, TypeError, ValueError):
        return None
