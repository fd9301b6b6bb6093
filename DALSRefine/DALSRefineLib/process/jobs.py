"""What Slicer asks the fitting process for, and what it hears of it.

Nothing here imports torch: Slicer's own process never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from dals.errors import DalsError
from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState
from dals.observations import Observation


@dataclass(frozen=True, eq=False)
class Job:
    """One fit.

    Attributes
    ----------
    prior : Path
        File of the shape prior.
    observation : Observation
    changes : mapping
        Fields of `dals.fitting.FitSettings` that differ from the observation's defaults.
    device : str
        "auto", "cpu", "cuda" or "mps".
    start : FitState or None
        End of an earlier fit with the same prior to go on from.
    remesh : bool
        Whether the result's triangles are evened out.
    preview_seconds : float
        Least time between two previews; infinity for none.
    """

    prior: Path
    observation: Observation
    changes: Mapping[str, object] = field(default_factory=dict)
    device: str = "auto"
    start: FitState | None = None
    remesh: bool = False
    preview_seconds: float = 0.2


@dataclass(frozen=True)
class Started:
    """The fit has its device; `total` steps if they are known yet, otherwise the first `Progress` tells."""

    device: str
    total: int | None


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a fit is.

    Attributes
    ----------
    stage : "shared" or "local"
    step, total : int
        Steps done and steps in all.
    loss_mm : float
        Root of the task loss in millimetres when it was last looked at.
    remaining_s : float or None
        Estimated seconds until the last step; None while nothing can be said.
    mesh : TriangleMesh or None
        A preview, RAS mm.
    """

    stage: str
    step: int
    total: int
    loss_mm: float
    remaining_s: float | None
    mesh: TriangleMesh | None = None


@dataclass(frozen=True, eq=False)
class Finished:
    """A fit's result.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm, remeshed if that was asked for.
    report : dict
        That of `dals.evaluation.report.make_report`, with `remeshed` (bool), `previews` (count and seconds they took)
        and `timings_s` (seconds of loading the prior, of fitting, remeshing and reporting).
    state : FitState
        Where it ended.
    warnings : tuple of str
        What a clinician should look at.
    """

    mesh: TriangleMesh
    report: dict[str, Any]
    state: FitState
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """A fit without a result.

    Attributes
    ----------
    sentence : str
        For the user.
    details : str
        For the log; may be empty.
    error : str
        Name of the class in `dals.errors`.
    """

    sentence: str
    details: str = ""
    error: str = DalsError.__name__


@dataclass(frozen=True)
class Cancelled:
    """A fit was cancelled."""


Event: TypeAlias = Started | Progress | Finished | Failed | Cancelled
