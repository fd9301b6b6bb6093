"""A runner that says what a test tells it to, in place of a process that fits."""

from __future__ import annotations

import numpy as np

from dals.geometry.mesh import TriangleMesh
from DALSRefineLib.process.jobs import Cancelled, Event, Failed, Finished, FitState, Job, Progress

REPORT = {
    "volume_ml": 113.1,
    "surface_cm2": 113.2,
    "residuals_mm": [{"name": "axial", "mean": 0.5, "maximum": 1.25}],
    "iterations": 110,
    "seconds": 1.5,
    "device": "cpu",
}


class ScriptedRunner:
    """The `Runner` protocol; `say` gives what the next poll tells of the job that runs."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.closed = False
        self.running = False
        self._events: list[Event] = []

    def warm_up(self) -> None:
        assert not self.closed

    def start(self, job: Job) -> None:
        assert not self.closed
        self.jobs.append(job)
        self.running, self._events = True, []

    def say(self, *events: Event) -> None:
        assert self.running, "nothing is heard of an abandoned job"
        self._events += events

    def poll(self) -> list[Event]:
        events, self._events = self._events, []
        if any(isinstance(event, (Finished, Failed, Cancelled)) for event in events):
            self.running = False
        return events

    def cancel(self) -> None:
        if self.running:
            self.running, self._events = False, [Cancelled()]

    def close(self) -> None:
        self.closed, self.running, self._events = True, False, []


def finished(mesh: TriangleMesh, *, warnings=(), **report) -> Finished:
    """A result; keyword arguments go into its report."""
    return Finished(mesh, {**REPORT, **report}, start_state(float(mesh.area)), tuple(warnings))


def start_state(scale: float) -> FitState:
    return FitState(scale, np.zeros(3), np.eye(3), np.zeros(3, dtype=np.float32), None, 3)


def progress(mesh: TriangleMesh | None = None, step=1) -> Progress:
    return Progress("shared", step, 10, 2.5, 1.0, mesh)
