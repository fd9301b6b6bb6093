"""When the next fit starts while a contour is dragged."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_S = 0.15


class LiveRefit:
    """Lets each fit show one surface before the next one takes its place.

    Restarting at each movement of the mouse would never show anything; letting each fit come to its end would lag.

    Parameters
    ----------
    least_s : float
        Least time from one start to the next.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, *, least_s: float = LEAST_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._least_s, self._clock = least_s, clock
        self._started = -float("inf")
        self._shown = True

    def started(self) -> None:
        """A fit has started."""
        self._started, self._shown = self._clock(), False

    def shown(self) -> None:
        """The running fit has shown a surface, or has ended."""
        self._shown = True

    @property
    def due(self) -> bool:
        """Whether the next fit may start."""
        return self._shown and self._clock() - self._started >= self._least_s
