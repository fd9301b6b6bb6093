"""Progress events of a running fit."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from DALSRefineLib.process.jobs import FitProgress

if TYPE_CHECKING:
    from dals.fitting import FitStep

_LOCAL_COST = 4.0  # of a local step, relative to a shared one
_WINDOW = 20
_PROGRESS_SECONDS = 0.05
_LOSS_SECONDS = 1.0


class RemainingTime:
    """Estimates the remaining time of a fit from the mean duration of its latest steps.

    Parameters
    ----------
    local_steps : int
        Number of local steps at the end of the fit.
    """

    def __init__(self, local_steps: int) -> None:
        self._local_steps = local_steps
        self._stage = ""
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._step_seconds: float | None = None

    def after(self, stage: str, step: int, total: int, now: float) -> float | None:
        """Estimated seconds until the last step, after `step` ended at time `now`; None while unknown."""
        if stage != self._stage:
            if self._step_seconds is not None and stage == "local":
                self._step_seconds *= _LOCAL_COST
            self._stage = stage
            self._times.clear()
        self._times.append(now)
        if len(self._times) > 1:
            self._step_seconds = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        if self._step_seconds is None:
            return None
        left = total - step
        local = 0 if stage == "local" else min(self._local_steps, left)
        return self._step_seconds * (left - local + _LOCAL_COST * local)


class StepTeller:
    """Step callback of a fit: sends progress and previews, and cancels the fit on request.

    Reading the loss or the surface makes an accelerator wait; therefore both are read together and rarely.

    Parameters
    ----------
    tell
        Receives each `FitProgress`.
    wanted
        Returns False if the fit is to be cancelled.
    local_steps : int
        See `RemainingTime`.
    preview_seconds : float
        Minimum time between previews; infinity for no previews.
    clock
        Seconds, for tests.
    """

    def __init__(
        self,
        tell: Callable[[FitProgress], None],
        wanted: Callable[[], bool],
        *,
        local_steps: int,
        preview_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._wanted, self._clock = tell, wanted, clock
        self._remaining = RemainingTime(local_steps)
        self._previewing = math.isfinite(preview_seconds)
        self._pause = preview_seconds if self._previewing else _LOSS_SECONDS
        self._next_look = self._next_word = -math.inf
        self._loss_mm = math.nan
        self.previews = 0
        self.preview_seconds = 0.0

    def __call__(self, status: FitStep) -> bool:
        """Report a step; returns False to cancel the fit."""
        if not self._wanted():
            return False
        now = self._clock()
        remaining = self._remaining.after(status.stage, status.step, status.total, now)
        looking = now >= self._next_look
        if looking or now >= self._next_word or status.step == status.total:
            mesh = None
            if looking:
                self._loss_mm = status.loss_mm()
                mesh = status.mesh() if self._previewing else None
            self._tell(FitProgress(status.stage, status.step, status.total, self._loss_mm, remaining, mesh))
            done = self._clock()
            self._next_word = done + _PROGRESS_SECONDS
            if looking:
                self._next_look = done + self._pause
                self.previews += mesh is not None
                self.preview_seconds += done - now
        return True
