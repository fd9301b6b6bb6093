"""Runs fits in a worker process while Slicer stays responsive."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from dals.geometry.volume import Volume
from DALSRefineLib.process.interpreter import worker_python
from DALSRefineLib.process.jobs import Event, FitCancelled, FitFailed, FitProgress, Job, Outcome, Request
from DALSRefineLib.process.messages import event_of, job_message
from DALSRefineLib.process.wire import Message, WireError, pack, unpack

_WORKER = Path(__file__).resolve().with_name("worker.py")


class WorkerProcess(Protocol):
    """A process with pipes, created with two callbacks (see `ProcessRunner`)."""

    @property
    def process_id(self) -> int:
        """Process id, 0 before the start."""
        ...

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start the process; a failure may be reported immediately or later."""
        ...

    def write(self, line: bytes) -> None:
        """Write to standard input."""
        ...

    def wait(self, seconds: float) -> None:
        """Deliver output that arrives within `seconds`; may return sooner."""
        ...

    def stop(self) -> str:
        """End the process and deliver nothing more; returns its exit status and the end of stderr."""
        ...


MakeProcess = Callable[[Callable[[bytes], None], Callable[[str], None]], WorkerProcess]


class ProcessRunner:
    """Runs one fit at a time in a Python process that stays alive, with torch loaded, for the next one.

    If the process dies, the fit fails with a message for the user, and the next fit starts a new process.

    Parameters
    ----------
    make_process
        `QtProcess` in Slicer, `PlainProcess` without Qt. It takes two callbacks. The first receives bytes of the
        process's standard output. The second is called when the process ends, with the reason if it could not be
        started and an empty string otherwise.
    python : str, optional
        The interpreter; defaults to `worker_python()`.
    search_path : iterable of str, optional
        Where the worker looks for modules first; defaults to `sys.path`.

    Attributes
    ----------
    on_event : callable
        Called with each event, from Qt's event loop or from within `wait`.
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
        self._request: Job | None = None  # of the running fit
        self._heard = False  # whether that fit has sent an event
        self._deaths = 0  # processes that died with that request before they sent anything
        self._image: Volume | None = None  # that the process was sent last
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether a fit has started and has not ended."""
        return self._request is not None

    @property
    def process_id(self) -> int | None:
        """Id of the process, if there is one."""
        return None if self._process is None else self._process.process_id

    def warm_up(self) -> None:
        """Start the process early, so that it loads torch while the user draws."""
        if self._closed:
            raise RuntimeError("the runner is closed")
        if self._process is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dals-", ignore_cleanup_errors=True)
            self._partial = b""
            self._process = self._make_process(self._take_output, self._take_end)
            arguments = ["-u", str(_WORKER), self._folder.name, *map(str, self._search_path)]
            self._process.start(self._python, arguments)

    def start(self, request: Job) -> None:
        """Start a fit. A running fit is abandoned without further events."""
        self._number += 1
        self._request, self._heard, self._deaths = request, False, 0
        self._send(request)

    def wait(self, seconds: float) -> None:
        """Process events for up to `seconds`, for scripts; may return sooner."""
        if self._process is None:
            time.sleep(seconds)
        else:
            self._process.wait(seconds)

    def cancel(self) -> None:
        """Abandon the running fit, if any, and send `FitCancelled` immediately."""
        if self._request is None:
            return
        if self._process is not None and self._folder is not None:
            self._process.write(pack(Message("cancel"), Path(self._folder.name)))
        self._tell(FitCancelled())

    def close(self) -> None:
        """End the process; the runner cannot be used afterwards."""
        self._closed, self._request = True, None
        self._discard()

    def _send(self, request: Job) -> None:
        self.warm_up()
        if self._process is None or self._folder is None:
            return  # it could not be started; the failure has been reported
        try:
            line = pack(job_message(request, self._number, known=self._image), Path(self._folder.name))
        except OSError as error:
            sentence = f"The fit's temporary files cannot be written ({error.strerror}); please make room for them."
            self._tell(FitFailed(sentence, repr(error)))
        else:
            self._process.write(line)
            if isinstance(request, Request) and request.image is not None:
                self._image = request.image

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
            if self._request is not None and number == self._number:  # otherwise it was abandoned
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
            self._discard()  # it had died unnoticed before this request
            self._send(request)

    def _fail(self, what: str, details: str = "") -> None:
        """Discard the process; a running fit fails."""
        output = self._discard()
        if self._request is not None:
            self._tell(FitFailed(f"The fitting process {what}.", f"{details}\n{output}".strip()))

    def _tell(self, event: Event) -> None:
        if isinstance(event, Outcome):
            self._request = None
        self.on_event(event)

    def _discard(self) -> str:
        """End the process; returns its exit status and the end of stderr."""
        process, self._process, self._image = self._process, None, None
        output = "" if process is None else process.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        return output


def _without_old_previews(events: list[tuple[Any, Event]]) -> list[tuple[Any, Event]]:
    """Drop all previews but the last of those that arrived together."""
    previews = [i for i, (_, event) in enumerate(events) if isinstance(event, FitProgress) and event.mesh is not None]
    for index in previews[:-1]:
        number, event = events[index]
        assert isinstance(event, FitProgress)
        events[index] = number, replace(event, mesh=None)
    return events
