"""A runner that says what a test tells it to, in place of a process that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from DALSRefineLib.process.jobs import Event, FitCancelled, FitFinished, FitProgress, Outcome, Request

REPORT = {
    "volume_ml": 113.1,
    "surface_cm2": 113.2,
    "residuals_mm": [{"name": "axial", "mean": 0.5, "maximum": 1.25}],
    "iterations": 110,
    "seconds": 1.5,
    "device": "cpu",
}


class ScriptedRunner:
    """In place of a `ProcessRunner`; `say` tells of the fit that runs."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closed = False
        self.running = False
        self.process_id: int | None = 7
        self.on_event: Callable[[Event], object] = lambda event: None

    def warm_up(self) -> None:
        assert not self.closed

    def start(self, request: Request) -> None:
        assert not self.closed
        self.requests.append(request)
        self.running = True

    def say(self, *events: Event) -> None:
        for event in events:
            assert self.running, "nothing is heard of an abandoned fit"
            self.running = not isinstance(event, Outcome)
            self.on_event(event)

    def wait(self, seconds: float) -> None:
        assert seconds > 0

    def cancel(self) -> None:
        if self.running:
            self.say(FitCancelled())

    def close(self) -> None:
        self.closed, self.running = True, False


def finished(mesh: TriangleMesh, *, warnings=(), **report) -> FitFinished:
    """A result; keyword arguments go into its report."""
    return FitFinished(mesh, {**REPORT, **report}, start_state(float(mesh.area)), tuple(warnings))


def start_state(scale: float) -> FitState:
    return FitState(Pose(scale, np.zeros(3), np.eye(3)), np.zeros(3, dtype=np.float32), None, 3)


def progress(mesh: TriangleMesh | None = None, step=1) -> FitProgress:
    return FitProgress("shared", step, 10, 2.5, 1.0, mesh)
