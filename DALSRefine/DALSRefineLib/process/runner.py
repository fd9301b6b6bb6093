"""Fits that run while Slicer goes on: started, polled from a timer, cancelled.

Nothing here uses a thread: threads of Slicer stand still while Qt works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import dals.errors
from dals.errors import DalsError, FitCancelledError
from DALSRefineLib.process.child_process import ChildProcess
from DALSRefineLib.process.interpreter import worker_python
from DALSRefineLib.process.jobs import Cancelled, Event, Failed, Finished, Job
from DALSRefineLib.process.messages import event_of, job_message
from DALSRefineLib.process.wire import Message, WireError

_WORKER = Path(__file__).resolve().with_name("worker.py")
_CANCELLED = "The refinement was cancelled; nothing was changed."


class Runner(Protocol):
    """Runs one fit at a time."""

    @property
    def running(self) -> bool:
        """Whether a job has been started whose end `poll` has not told yet."""
        ...

    def warm_up(self) -> None:
        """Get ready for a job before there is one; returns at once."""
        ...

    def start(self, job: Job) -> None:
        """Start a job; one that runs is abandoned, and nothing is heard of it any more."""
        ...

    def poll(self) -> list[Event]:
        """What has happened since the last time, in order; never waits."""
        ...

    def cancel(self) -> None:
        """Abandon the job that runs, if any; returns at once, and `poll` then gives one `Cancelled`."""
        ...

    def close(self) -> None:
        """Let go of everything; nothing can be started afterwards."""
        ...


class ProcessRunner:
    """Runs fits in a Python process of its own, which stays for the next fit with torch loaded.

    If that process dies, the job fails with a sentence, and the next one gets a new process.

    Parameters
    ----------
    python : str, optional
        The interpreter; Slicer's by default, or else the one that runs this.
    environment : mapping, optional
        All environment variables of the process; those of this one by default.
    """

    def __init__(self, python: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._python = python or worker_python()
        self._environment = environment
        self._child: ChildProcess | None = None
        self._number = 0
        self._active: int | None = None
        self._pending: list[Event] = []
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether a job has been started whose end `poll` has not told yet."""
        return self._active is not None

    @property
    def process_id(self) -> int | None:
        """The process's number, if there is one."""
        return None if self._child is None else self._child.process_id

    def warm_up(self) -> None:
        """Start the process before it is needed, so that it loads torch while the user draws."""
        if self._closed:
            raise RuntimeError("the runner is closed")
        if self._child is not None and self._child.has_ended:
            self._discard()
        if self._child is None:
            try:
                self._child = ChildProcess([self._python, "-u", str(_WORKER)], self._environment)
            except OSError as error:
                raise DalsError(
                    f"The fitting process could not be started with {self._python} ({error.strerror or error}); "
                    "please install the module again."
                ) from error

    def start(self, job: Job) -> None:
        """Start a job; one that runs is abandoned, and nothing is heard of it any more."""
        self._number += 1
        self._active, self._pending = None, []
        message = job_message(job, self._number)
        try:
            self._send_afresh(message)
        except DalsError as error:
            self._pending = [Failed(str(error), str(error.__cause__))]
        else:
            self._active = self._number

    def poll(self) -> list[Event]:
        """What has happened since the last time, in order; never waits."""
        events, self._pending = self._pending, []
        if self._child is None:
            return events
        try:
            messages, ended = self._child.receive()
            for message in messages:
                events += self._events_in(message)
        except WireError as error:
            return events + self._failure("answered with something unreadable", repr(error))
        if ended:
            events += self._failure("ended unexpectedly, perhaps because memory ran out")
        return events

    def cancel(self) -> None:
        """Abandon the job that runs, if any; returns at once, and `poll` then gives one `Cancelled`."""
        if self._active is None:
            return
        number, self._active = self._active, None
        self._pending = [Cancelled()]
        if self._child is not None:
            try:
                self._child.send(Message("cancel", {"job": number}))
            except OSError:  # it has ended, which is a way to be cancelled
                self._discard()

    def close(self) -> None:
        """End the process; nothing can be started afterwards."""
        self._closed, self._active, self._pending = True, None, []
        self._discard()

    def _send_afresh(self, message: Message) -> None:
        """Send a job to a process that lives; one that has died unnoticed is replaced once."""
        for attempt in range(2):
            self.warm_up()
            assert self._child is not None
            try:
                return self._child.send(message)
            except OSError as error:
                words = self._discard()
                if attempt:
                    sentence = "The fitting process ends as soon as it is started; the log tells the details."
                    raise DalsError(sentence) from RuntimeError(f"{error}\n{words}")
        return None

    def _events_in(self, message: Message) -> list[Event]:
        if self._active is None or message.fields.get("job") != self._active:
            return []  # of an abandoned job
        event = event_of(message)
        if isinstance(event, (Finished, Failed, Cancelled)):
            self._active = None
        return [event]

    def _failure(self, what: str, details: str = "") -> list[Event]:
        """Give the process up; an event only if a job suffers from it."""
        words = self._discard()
        if self._active is None:
            return []
        self._active = None
        return [Failed(f"The fitting process {what}; please try again.", f"{details}\n{words}".strip())]

    def _discard(self) -> str:
        """End the process; its last words."""
        child, self._child = self._child, None
        return "" if child is None else child.stop()


def error_of(failed: Failed) -> DalsError:
    """The exception that a failure stands for, with its sentence."""
    named = getattr(dals.errors, failed.error, None)
    kind = named if isinstance(named, type) and issubclass(named, DalsError) else DalsError
    error = kind(failed.sentence)
    error.__cause__ = RuntimeError(failed.details) if failed.details else None
    return error


def wait(
    runner: Runner,
    *,
    on_event: Callable[[Event], object] | None = None,
    timeout: float | None = None,
    pause: float = 0.02,
) -> Finished:
    """Poll until the job that runs has ended; for scripts and tests, as Slicer polls from a timer.

    Parameters
    ----------
    runner : Runner
    on_event : callable, optional
        Told of each event, the last one as well.
    timeout : float, optional
        Seconds after which the job is cancelled.
    pause : float
        Seconds between two polls.

    Raises
    ------
    FitCancelledError
        If the job was cancelled.
    DalsError
        If it failed; of the class that it failed with.
    TimeoutError
    """
    began = time.monotonic()
    while True:
        waiting = runner.running
        events = runner.poll()
        for event in events:
            if on_event is not None:
                on_event(event)
            if isinstance(event, Finished):
                return event
            if isinstance(event, Failed):
                raise error_of(event)
            if isinstance(event, Cancelled):
                raise FitCancelledError(_CANCELLED)
        if not (waiting or events or runner.running):
            raise DalsError("There is no fit to wait for.")
        if timeout is not None and time.monotonic() - began > timeout:
            runner.cancel()
            raise TimeoutError(f"the fit took longer than {timeout:g} s")
        time.sleep(pause)
