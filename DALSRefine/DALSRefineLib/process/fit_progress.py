"""What a running fit tells of itself, and how often."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from DALSRefineLib.process.jobs import FitProgress

if TYPE_CHECKING:
    from dals.fitting import FitStep

_LOCAL_COST = 4.0  # of a step with a latent per vertex, in steps with one for all
_WINDOW = 20
_PROGRESS_SECONDS = 0.05
_LOSS_SECONDS = 1.0


class RemainingTime:
    """Estimates how long a fit still takes, from the mean duration of its latest steps.

    Parameters
    ----------
    local_steps : int
        How many of the last steps have a latent per vertex.
    """

    def __init__(self, local_steps: int) -> None:
        self._local_steps = local_steps
        self._stage = ""
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._step_seconds: float | None = None

    def after(self, stage: str, step: int, total: int, now: float) -> float | None:
        """Seconds until the last step, at the time `now` when `step` was done; None while unknown."""
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
    """Callback of a fit: tells its progress, shows previews now and then, and cancels it.

    Looking at the loss or the surface makes an accelerator wait; both happen together and rarely.

    Parameters
    ----------
    tell
        Takes each `FitProgress`.
    wanted
        Whether the fit shall go on.
    local_steps : int
        See `RemainingTime`.
    preview_seconds : float
        Least time between two previews; infinity for none.
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
        """Tell of a step; False if the fit shall end."""
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
