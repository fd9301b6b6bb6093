"""Fits that run in a process of their own while Slicer goes on."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from DALSRefineLib.process.interpreter import worker_python
from DALSRefineLib.process.jobs import Event, FitCancelled, FitFailed, FitProgress, Outcome, Request
from DALSRefineLib.process.messages import event_of, request_message
from DALSRefineLib.process.wire import Message, WireError, pack, unpack

_WORKER = Path(__file__).resolve().with_name("worker.py")


class WorkerProcess(Protocol):
    """A program with pipes; made with two functions, which take what it writes and what kept it from starting."""

    @property
    def process_id(self) -> int:
        """What the operating system knows it by."""
        ...

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start it; may find out at once or later that this fails."""
        ...

    def write(self, line: bytes) -> None:
        """Write to its standard input."""
        ...

    def wait(self, seconds: float) -> None:
        """Hand on what comes within so many seconds; may return sooner."""
        ...

    def stop(self) -> str:
        """End it and hand on nothing more; returns its exit status and the end of its standard error."""
        ...


MakeProcess = Callable[[Callable[[bytes], None], Callable[[str], None]], WorkerProcess]


class ProcessRunner:
    """Runs one fit at a time in a Python process that stays for the next one with torch loaded.

    If that process dies, the fit fails with a sentence, and the next one gets a new process.

    Parameters
    ----------
    make_process
        `QtProcess` in Slicer, `PlainProcess` where there is no Qt. It takes two functions: one for bytes that the
        process has written; one for its end, with the reason if it could not be started and else an empty text.
    python : str, optional
        The interpreter; Slicer's by default, or else the one that runs this.
    search_path : iterable of str, optional
        Where modules are looked for first; by default where this process does.

    Attributes
    ----------
    on_event : callable
        Told of each event as it comes, by Qt's event loop or from within `wait`.
    """

    def __init__(
        self, make_process: MakeProcess, *, python: str | None = None, search_path: Iterable[str] | None = None
    ) -> None:
        self.on_event: Callable[[Event], object] = lambda event: None
        self._make_process = make_process
        self._python = python or worker_python()
        self._search_path = [path for path in (sys.path if search_path is None else search_path) if path]
        self._process: WorkerProcess | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._partial = b""
        self._number = 0
        self._request: Request | None = None  # that runs
        self._heard = False  # of that fit
        self._deaths = 0  # of processes that were given it and never said a word
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether a fit has been started whose end has not been told."""
        return self._request is not None

    @property
    def process_id(self) -> int | None:
        """The process's number, if there is one."""
        return None if self._process is None else self._process.process_id

    def warm_up(self) -> None:
        """Start the process before it is needed, so that it loads torch while the user draws."""
        if self._closed:
            raise RuntimeError("the runner is closed")
        if self._process is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dals-", ignore_cleanup_errors=True)
            self._partial = b""
            self._process = self._make_process(self._take_output, self._take_end)
            arguments = ["-u", str(_WORKER), self._folder.name, *map(str, self._search_path)]
            self._process.start(self._python, arguments)

    def start(self, request: Request) -> None:
        """Start a fit; one that runs is abandoned, and nothing is heard of it any more."""
        self._number += 1
        self._request, self._heard, self._deaths = request, False, 0
        self._send(request)

    def wait(self, seconds: float) -> None:
        """Let events come, for scripts; returns after so many seconds or sooner."""
        if self._process is None:
            time.sleep(seconds)
        else:
            self._process.wait(seconds)

    def cancel(self) -> None:
        """Abandon the fit that runs, if any, and tell so at once."""
        if self._request is None:
            return
        if self._process is not None and self._folder is not None:
            self._process.write(pack(Message("cancel"), Path(self._folder.name)))
        self._tell(FitCancelled())

    def close(self) -> None:
        """End the process; nothing can be started afterwards."""
        self._closed, self._request = True, None
        self._discard()

    def _send(self, request: Request) -> None:
        self.warm_up()
        if self._process is None or self._folder is None:
            return  # it could not be started, which has been told
        try:
            line = pack(request_message(request, self._number), Path(self._folder.name))
        except OSError as error:
            sentence = f"The fit's temporary files cannot be written ({error.strerror}); please make room for them."
            self._tell(FitFailed(sentence, repr(error)))
        else:
            self._process.write(line)

    def _take_output(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        assert self._folder is not None
        try:
            messages = [unpack(line, Path(self._folder.name)) for line in lines]
            events = [(message.fields["number"], event_of(message)) for message in messages]
        except (WireError, KeyError) as error:
            self._fail("answered with something unreadable; please try again", repr(error))
            return
        for number, event in _without_old_previews(events):
            if self._request is not None and number == self._number:  # else it was abandoned
                self._heard = True
                self._tell(event)

    def _take_end(self, obstacle: str) -> None:
        request = self._request
        self._deaths += 1
        if obstacle:
            self._fail(f"could not be started with {self._python} ({obstacle}); please install the module again")
        elif request is None or self._heard:
            self._fail("ended unexpectedly, perhaps because memory ran out; please try again")
        elif self._deaths > 1:
            self._fail("ends as soon as it is started; the log tells the details")
        else:
            self._discard()  # it had died before, while nobody looked
            self._send(request)

    def _fail(self, what: str, details: str = "") -> None:
        """Give the process up; told only if a fit suffers from it."""
        words = self._discard()
        if self._request is not None:
            self._tell(FitFailed(f"The fitting process {what}.", f"{details}\n{words}".strip()))

    def _tell(self, event: Event) -> None:
        if isinstance(event, Outcome):
            self._request = None
        self.on_event(event)

    def _discard(self) -> str:
        """End the process; its last words."""
        process, self._process = self._process, None
        words = "" if process is None else process.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        return words


def _without_old_previews(events: list[tuple[Any, Event]]) -> list[tuple[Any, Event]]:
    """Of previews that came together, Slicer shows the last one only."""
    previews = [i for i, (_, event) in enumerate(events) if isinstance(event, FitProgress) and event.mesh is not None]
    for index in previews[:-1]:
        number, event = events[index]
        assert isinstance(event, FitProgress)
        events[index] = number, replace(event, mesh=None)
    return events
