"""The time that a training has had, over all starts and processes."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.distributed as dist


class TrainingClock:
    """Seconds of training, set-up included.

    Parameters
    ----------
    clock : callable
        Seconds, such as `time.process_time`.
    started : float or None
        What `clock` said when this start began; by default now.
    limit : float or None
        Seconds over all starts.
    device : torch.device
        For what processes tell each other.
    processes : int
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        started: float | None = None,
        limit: float | None = None,
        device: torch.device | None = None,
        processes: int = 1,
    ) -> None:
        self.limit = limit
        self._clock, self._device, self._processes = clock, device, processes
        self._started = clock() if started is None else started

    def resume(self, earlier: float) -> None:
        """Count the seconds of earlier starts."""
        self._started -= earlier

    def elapsed(self) -> float:
        """Seconds by this process."""
        return self._clock() - self._started

    def agreed(self) -> float:
        """Seconds by the first process: all must decide alike."""
        elapsed = self.elapsed()
        if self._processes == 1:
            return elapsed
        shared = torch.tensor([elapsed], device=self._device)
        dist.broadcast(shared, 0)
        return float(shared)

    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self.agreed() >= self.limit


class Pace:
    """Says when something costly is due that may take a small share of the time.

    Parameters
    ----------
    share : float
        The next one waits until the last one was no more than this share of the time since it began.
    first : float
        Seconds from the start to the first one.
    """

    def __init__(self, share: float, *, first: float) -> None:
        self._share, self._due = share, first

    def is_due(self, now: float) -> bool:
        """Whether to do it at this time."""
        return now >= self._due

    def done(self, began: float, ended: float) -> None:
        """It took from `began` to `ended`."""
        self._due = began + (ended - began) / self._share
