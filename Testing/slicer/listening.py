"""Waiting for what a runner tells."""

from __future__ import annotations

import time
from typing import TypeVar

from DALSRefineLib.process.jobs import Event, FitFailed, FitFinished, FitProgress, Outcome, Request
from DALSRefineLib.process.runner import ProcessRunner

PATIENCE = 120.0
E = TypeVar("E", bound=Event)


class Listener:
    """Hears a runner's events; `events` has them in order."""

    def __init__(self, runner: ProcessRunner) -> None:
        self.runner = runner
        self.events: list[Event] = []
        runner.on_event = self.events.append

    def until(self, *kinds: type[E]) -> E:
        """Wait for an event of one of the kinds; forgets all that came before it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, kinds):
                    return event
            self.runner.wait(0.02)
        raise TimeoutError(kinds)

    def silence(self, seconds: float = 0.3) -> list[Event]:
        """What comes within a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.runner.wait(0.02)
        events, self.events[:] = list(self.events), []
        return events

    def finish(self, request: Request) -> tuple[FitFinished, list[Event]]:
        """Run a fit to its end: the result and all events; what it fails with is raised."""
        self.events.clear()
        self.runner.start(request)
        end = time.monotonic() + PATIENCE
        while self.runner.running and time.monotonic() < end:
            self.runner.wait(0.02)
        events, self.events[:] = list(self.events), []
        outcome = events[-1]
        if isinstance(outcome, FitFailed):
            raise outcome.exception()
        assert isinstance(outcome, FitFinished), outcome
        assert not any(isinstance(event, Outcome) for event in events[:-1])
        return outcome, events


def previews(events: list[Event]) -> list[FitProgress]:
    """Events that bring a surface."""
    return [event for event in events if isinstance(event, FitProgress) and event.mesh is not None]
