"""Finished refinements, and their reports on the models that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.fit_state import FitState
from DALSRefineLib.nodes.curve_points import CurveState

REPORT_ATTRIBUTE = "DALSRefine.report"
WARNINGS = "warnings"
"""Key of the warnings in the report that is saved with the model."""


@dataclass(frozen=True, eq=False)
class Result:
    """A finished refinement.

    Attributes
    ----------
    mesh : TriangleMesh
        Not smoothed.
    report : mapping
    state : FitState
    prior : Path
    warnings : tuple of str
    curves : tuple of CurveState
        The curves that it was made from.
    gesture : int or None
        See `RefineSession.start`.
    deviation : (V,) float64 or None
        Standard deviation of each vertex, mm.
    """

    mesh: TriangleMesh
    report: Mapping[str, Any]
    state: FitState
    prior: Path
    warnings: tuple[str, ...]
    curves: tuple[CurveState, ...] = ()
    gesture: int | None = None
    deviation: FloatArray | None = None


def report_text(result: Result) -> str:
    """The report of a result with its warnings, as it is saved with the model."""
    return json.dumps({**result.report, WARNINGS: list(result.warnings)})


def report_of(model: Any) -> Mapping[str, Any] | None:
    """The report of a result, also after the scene was saved and loaded; None if there is none."""
    try:
        report = json.loads(model.GetAttribute(REPORT_ATTRIBUTE) or "null") if model is not None else None
    except ValueError:  # edited by hand
        return None
    return report if isinstance(report, dict) else None
