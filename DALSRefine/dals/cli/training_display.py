"""What `dals train` shows while it runs."""

from __future__ import annotations

import csv
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from dals.cli.progress import ProgressBar

if TYPE_CHECKING:
    from dals.training.checkpoint import TrainingProgress
    from dals.training.reports import StepStatus
    from dals.training.validation import HeldOutError

_COLUMNS = ("step", "seconds", "cases", "points_mm", "planes_mm", "typical_mm")


class TrainingDisplay:
    """A bar for the set-up, a line on where the run starts, and a bar with loss, held-out error and time left.

    Parameters
    ----------
    title : str
        Of the second bar.
    folder : Path
        Of the training; held-out errors are added to its `validation.csv`.
    time_limit : float or None
        Seconds.
    quiet : bool
        Show nothing.
    """

    def __init__(self, title: str, *, folder: Path, time_limit: float | None, quiet: bool) -> None:
        self._title, self._table, self._limit, self._quiet = title, folder / "validation.csv", time_limit, quiet
        self._held_out = ""
        self._stack = ExitStack()
        self._bar = self._new_bar("Setting up")

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def on_set_up(self, share: float, text: str) -> None:
        """Show the set-up."""
        self._bar.update(share, 1.0, text)

    def on_start(self, progress: TrainingProgress, steps: int) -> None:
        """Say where the run starts, and go on to the second bar."""
        self._stack.close()
        if not self._quiet:
            print(_start(progress, steps, self._limit), file=sys.stderr, flush=True)
        self._bar = self._new_bar(self._title)
        self._bar.update(0.0, 1.0)

    def on_step(self, status: StepStatus) -> None:
        """Show the progress."""
        text = f"step {status.step}, loss {status.loss:.2e}{self._held_out}, {duration_text(status.seconds_left)} left"
        self._bar.update(status.fraction, 1.0, text)

    def on_held_out(self, error: HeldOutError, progress: TrainingProgress) -> None:
        """Show and keep a held-out error."""
        self._held_out = f", held out: {error.planes_mm:.2f} mm from 3 planes, {error.points_mm:.2f} mm from points"
        row = (progress.step, round(progress.seconds, 1), error.cases, error.points_mm, error.planes_mm)
        new = not self._table.exists()
        with self._table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(_COLUMNS)
            writer.writerow([*row[:3], *(f"{value:.4g}" for value in (*row[3:], error.typical_mm))])

    def _new_bar(self, title: str) -> ProgressBar:
        return self._stack.enter_context(ProgressBar(title, quiet=self._quiet))


def _start(progress: TrainingProgress, steps: int, limit: float | None) -> str:
    spent = "" if limit is None else f", {duration_text(progress.seconds)} of {duration_text(limit)} used"
    most = f"{steps}" if limit is None else f"at most {steps}"
    return f"{'Resuming' if progress.step else 'Starting'} from step {progress.step} of {most}{spent}."


def duration_text(seconds: float) -> str:
    """A duration in the largest fitting unit: 45 s, 12 min, 3.5 h."""
    minute, hour = 60.0, 3600.0
    if seconds < 2 * minute:
        return f"{seconds:.0f} s"
    return f"{seconds / minute:.0f} min" if seconds < 2 * hour else f"{seconds / hour:.1f} h"
