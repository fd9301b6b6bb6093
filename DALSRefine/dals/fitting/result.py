"""What a fit reports while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dals.fit_settings import FitSettings
from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState

Stage = Literal["shared", "local"]


@dataclass(frozen=True)
class FitStep:
    """Told to the caller after each step.

    Attributes
    ----------
    stage : "shared" or "local"
    step, total : int
        Steps done and steps in all.
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
        """The present surface, RAS mm; waits for the device."""
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
        Optimiser steps taken over all stages and starts.
    seconds : float
    device : str
    settings : FitSettings
        As they were used, with the weights that the amount of what was observed gave them.
    """

    mesh: TriangleMesh
    state: FitState
    task_loss: float
    steps: int
    seconds: float
    device: str
    settings: FitSettings
