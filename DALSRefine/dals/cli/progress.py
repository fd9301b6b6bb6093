"""Progress: a bar on a terminal, a line every 10% in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_TENTHS = 10


class _Display(Protocol):
    def show(self, fraction: float, text: str) -> None:
        """Show the completed fraction, 0 to 1."""

    def close(self) -> None:
        """Restore the terminal."""


class ProgressBar:
    """Progress of a long task on standard error; a context manager.

    Parameters
    ----------
    title : str
        Description of the task, for instance ``"Refining liver"``.
    stream : text stream, optional
        Defaults to standard error. A terminal shows a bar with the remaining time; any other stream gets a line
        every 10%.
    quiet : bool, optional
        Show nothing.
    """

    def __init__(self, title: str, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        stream = sys.stderr if stream is None else stream
        self._display: _Display
        if quiet:
            self._display = _Silence()
        elif stream.isatty():
            self._display = _Bar(title, stream)
        else:
            self._display = _Lines(title, stream)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._display.close()

    def update(self, done: float, total: float, text: str = "") -> None:
        """Show that `done` of `total` is completed.

        Parameters
        ----------
        done, total : float
            In any unit; `total` may change from call to call.
        text : str, optional
            Shown beside the bar, for instance the loss.
        """
        self._display.show(min(max(done / total, 0.0), 1.0) if total > 0 else 0.0, text)


class _Silence:
    def show(self, fraction: float, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Bar:
    """A bar drawn by rich; it appears with the first update to avoid flicker."""

    def __init__(self, title: str, stream: TextIO) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=stream),
        )
        self._task = self._rich.add_task(title, total=1.0, text="")
        self._started = False

    def show(self, fraction: float, text: str) -> None:
        if not self._started:
            self._rich.start()
            self._started = True
        self._rich.update(self._task, completed=fraction, text=text)

    def close(self) -> None:
        if self._started:
            self._rich.stop()


class _Lines:
    """A plain line every 10%, with the seconds since the start."""

    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._start = time.monotonic()
        self._shown = -1

    def show(self, fraction: float, text: str) -> None:
        tenth = int(fraction * _TENTHS + 1e-9)
        if tenth <= self._shown:
            return
        self._shown = tenth
        seconds = time.monotonic() - self._start
        line = f"{self._title}: {100 * tenth // _TENTHS:3d}% after {seconds:.0f} s  {text}"
        print(line.rstrip(), file=self._stream, flush=True)

    def close(self) -> None:
        pass
