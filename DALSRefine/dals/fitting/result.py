"""Progress and result of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from dals.fit_settings import FitSettings
from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState

Stage = Literal["shared", "local"]


@dataclass(frozen=True)
class FitStep:
    """Passed to the callback after each step.

    Attributes
    ----------
    stage : "shared" or "local"
    step, total : int
        Completed steps and steps in all.
    """

    stage: Stage
    step: int
    total: int
    _loss: Callable[[], float]
    _mesh: Callable[[], TriangleMesh]

    def loss_mm(self) -> float:
        """Root of the task loss in millimetres; waits for the device."""
        return self._loss()

    def mesh(self) -> TriangleMesh:
        """The current surface, RAS mm; waits for the device."""
        return self._mesh()


OnStep = Callable[[FitStep], "bool | None"]
"""Returns False to cancel the fit."""


@dataclass(frozen=True)
class FitResult:
    """A finished fit.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm.
    state : FitState
    task_loss : float
        Of the final mesh, in squares of the final canonical unit.
    steps : int
        Optimiser steps of all stages and initialisations.
    seconds : float
    device : str
    settings : FitSettings
        The settings used, with weights adapted to the evidence (`dals.fitting.evidence`).
    improbability : float
        Smaller is more probable. Comparable between fits of the same observation with the same settings.
    plain : TriangleMesh or None
        The surface of one latent for all vertices with which the local stage began, RAS mm; None for a fit that went
        on from an earlier one, and for the paper's method.
    """

    mesh: TriangleMesh
    state: FitState
    task_loss: float
    steps: int
    seconds: float
    device: str
    settings: FitSettings
    improbability: float = field(default=math.nan, kw_only=True)
    plain: TriangleMesh | None = field(default=None, kw_only=True)

    @property
    def is_earlier(self) -> bool:
        """Whether it is an earlier fit's surface as it was, which took no step."""
        return self.steps == 0

    def as_fields(self) -> dict[str, Any]:
        """Entries for a report that this kind of fit adds."""
        return {}
