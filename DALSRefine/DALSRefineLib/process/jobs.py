"""What Slicer asks the fitting process for, and what it hears of it.

Nothing here imports torch: Slicer's own process never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import dals.errors
from dals.errors import DalsError
from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState
from dals.observations import Observation


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One fit.

    Attributes
    ----------
    observation : Observation
        RAS mm, world.
    prior : Path
        File of the shape prior.
    changes : mapping
        Fields of `dals.fit_settings.FitSettings` that differ from the observation's defaults.
    device : str
        "auto", "cpu", "cuda" or "mps".
    start : FitState or None
        End of an earlier fit with the same prior to go on from.
    remesh : bool
        Whether the result's triangles are evened out.
    preview_seconds : float
        Least time between two previews; infinity for none.
    """

    observation: Observation
    prior: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    start: FitState | None = None
    remesh: bool = False
    preview_seconds: float = 0.2


@dataclass(frozen=True)
class FitStarted:
    """The fit has its device."""

    device: str


@dataclass(frozen=True, eq=False)
class FitProgress:
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
class FitFinished:
    """A fit's result.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm, remeshed if that was asked for.
    report : dict
        That of `dals.refinement.Refinement`, with `previews` (count and seconds they took) and, in `timings_s`, the
        seconds of loading the prior.
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
class FitFailed:
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

    def exception(self) -> DalsError:
        """The error that it stands for, with its sentence."""
        named = getattr(dals.errors, self.error, None)
        kind = named if isinstance(named, type) and issubclass(named, DalsError) else DalsError
        error = kind(self.sentence)
        error.__cause__ = RuntimeError(self.details) if self.details else None
        return error


@dataclass(frozen=True)
class FitCancelled:
    """A fit was cancelled."""


Outcome: TypeAlias = FitFinished | FitFailed | FitCancelled
"""The last that is heard of a fit."""
Event: TypeAlias = FitStarted | FitProgress | Outcome
