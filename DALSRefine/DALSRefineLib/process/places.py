"""Where a surface is furthest from what was drawn."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from dals.evaluation.contour_residuals import Deviation, missed_contours, straying_sections
from dals.geometry.mesh import TriangleMesh
from dals.observations import Observation, PlanarContours

MISSED, STRAYING = "missed", "straying"


@singledispatch
def worst_places(observation: Observation, mesh: TriangleMesh) -> list[dict[str, Any]]:
    """Places for the report, the worst first; none unless a kind of observation has some.

    Returns
    -------
    list of dict
        `what` ("missed": a contour from the surface, "straying": the surface on a contour's plane), `name` of the
        contour, `mm`, and `ras_mm` (three numbers).
    """
    return []


@worst_places.register
def _(observation: PlanarContours, mesh: TriangleMesh) -> list[dict[str, Any]]:
    found = [_place(MISSED, each) for each in missed_contours(observation, mesh)]
    found += [_place(STRAYING, each) for each in straying_sections(observation, mesh)]
    return sorted(found, key=lambda place: -place["mm"])


def _place(what: str, found: Deviation) -> dict[str, Any]:
    return {"what": what, "name": found.name, "mm": found.millimetres, "ras_mm": [float(x) for x in found.place]}
