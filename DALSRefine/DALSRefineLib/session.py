"""A refinement in a scene: its preview, its result and the earlier results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.fit_state import FitState
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.appearance import smoothed
from DALSRefineLib.nodes.curve_points import CurveState, bring_back, states_of
from DALSRefineLib.nodes.outputs import new_model, show_mesh
from DALSRefineLib.nodes.preview import Preview
from DALSRefineLib.nodes.suggestions import show_deviation
from DALSRefineLib.nodes.view_focus import bring_into_view
from DALSRefineLib.priors import Organ
from DALSRefineLib.process.jobs import Event, FitFinished, FitProgress, Outcome, Request
from DALSRefineLib.process.runner import ProcessRunner

REPORT_ATTRIBUTE = "DALSRefine.report"
WARNINGS = "warnings"
"""Key of the warnings in the report that is saved with the model."""
_MOST_UNDOS = 20


@dataclass(frozen=True, eq=False)
class Result:
    """A finished refinement.

    Attributes
    ----------
    mesh : TriangleMesh
        Not smoothed.
    report : mapping
    state : FitState
    prior : Path
    warnings : tuple of str
    curves : tuple of CurveState
        The curves that it was made from.
    gesture : int or None
        See `RefineSession.start`.
    uncertainty_mm : (V,) float64 or None
        Standard deviation of each vertex along its normal.
    """

    mesh: TriangleMesh
    report: Mapping[str, Any]
    state: FitState
    prior: Path
    warnings: tuple[str, ...]
    curves: tuple[CurveState, ...] = ()
    gesture: int | None = None
    uncertainty_mm: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class _Target:
    """Destination of a result, and the warnings about its input."""

    organ: Organ
    model: Any
    warnings: tuple[str, ...]
    curves: tuple[CurveState, ...] = ()
    gesture: int | None = None


class RefineSession:
    """Runs one refinement at a time and keeps the scene up to date.

    During a fit, a separate node shows the preview. The result's node changes only when the fit finishes; a cancelled
    or failed fit leaves it unchanged.

    Parameters
    ----------
    scene : vtkMRMLScene
    runner : ProcessRunner

    Attributes
    ----------
    listeners : list of callable
        Called with each event after the scene has been updated.
    """

    def __init__(self, scene: Any, runner: ProcessRunner) -> None:
        self.scene, self._runner = scene, runner
        self.listeners: list[Callable[[Event], object]] = []
        self._request: Request | None = None
        self._target: _Target | None = None
        self._preview = Preview(scene)
        self._model: Any = None
        self._results: list[Result] = []
        self._undone: list[Result] = []
        self._smoothing = 0.0
        self._in_view = False
        self._outcome: Outcome | None = None
        runner.on_event = self._take

    @property
    def outcome(self) -> Outcome | None:
        """Last event of the last refinement; None during a refinement and before the first."""
        return self._outcome

    @property
    def request(self) -> Request | None:
        """Request of the running refinement, else None."""
        return self._request

    @property
    def running(self) -> bool:
        """Whether a refinement is running."""
        return self._request is not None

    @property
    def model(self) -> Any:
        """Node of the last result if it is still in the scene, else None."""
        return self._model if _is_in(self.scene, self._model) else None

    @property
    def result(self) -> Result | None:
        """The result that the model shows, else None."""
        return self._results[-1] if self._results else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the last result."""
        return self._results[-1].warnings if self._results else ()

    def warm_up(self) -> None:
        """Make the worker load torch while the user draws; returns immediately."""
        self._runner.warm_up()

    def start(
        self,
        request: Request,
        *,
        organ: Organ,
        model: Any = None,
        warm: bool = False,
        warnings: tuple[str, ...] = (),
        curves: Iterable[Any] = (),
        gesture: int | None = None,
    ) -> None:
        """Start a refinement; a running one is abandoned.

        Parameters
        ----------
        request : Request
        organ : Organ
            Name and colour of the result.
        model : vtkMRMLModelNode or None
            Receives the result; None creates a new node.
        warm : bool
            Continue from the last result if it was made with the same prior; the preview then stands in for it.
        warnings : tuple of str
            Warnings about the input, kept with the result.
        curves : iterable of vtkMRMLMarkupsClosedCurveNode
            What the request was made from; undo brings them back with the surface.
        gesture : int, optional
            Number of a movement of the hand: results of one movement are undone together.
        """
        self._outcome = None
        if self._target is not None and self._target.organ != organ:
            self._end()  # otherwise its preview would show the new fit
        last = self.result
        if warm and last is not None and last.prior == request.prior and self.model is not None:
            request = replace(request, start=last.state)
        else:
            warm = False
        self._request = request
        self._target = _Target(organ, model, warnings, states_of(curves), gesture)
        if warm:
            self._preview.stand_in_for(self.model)
        self._runner.start(request)

    def wait(self, seconds: float) -> None:
        """Process events for up to `seconds`, for scripts; may return sooner."""
        self._runner.wait(seconds)

    def cancel(self) -> None:
        """Cancel the refinement; the last result stays. Returns immediately."""
        self._runner.cancel()

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier result to return to."""
        return len(self._results) > 1 and self.model is not None and not self.running

    def undo(self) -> None:
        """Return to the previous result, and to the curves that it was made from."""
        if self.can_undo:
            self._undone.append(self._with_present_curves(self._results.pop()))
            self._go_back_to(self._results[-1])

    @property
    def can_redo(self) -> bool:
        """Whether a result was undone that can be shown again."""
        return bool(self._undone) and self.model is not None and not self.running

    def redo(self) -> None:
        """Return to the result that was undone last, and to its curves."""
        if self.can_redo:
            self._results[-1] = self._with_present_curves(self._results[-1])
            self._results.append(self._undone.pop())
            self._go_back_to(self._results[-1])

    @property
    def smoothing(self) -> float:
        """How much shown results are smoothed, 0 to 1."""
        return self._smoothing

    @smoothing.setter
    def smoothing(self, amount: float) -> None:
        if amount != self._smoothing:
            self._smoothing = amount
            if self.model is not None and self._results:
                self._show_result(self._results[-1])

    def forget(self) -> None:
        """Cancel the refinement and drop all results, after the scene was closed."""
        self._runner.cancel()
        self._results.clear()
        self._undone.clear()
        self._model, self._in_view = None, False

    def close(self) -> None:
        """Forget everything and end the worker."""
        self.forget()
        self._runner.close()

    def _take(self, event: Event) -> None:
        """Update the scene with an event of the runner."""
        target, request = self._target, self._request
        if target is None or request is None:
            return
        try:
            if isinstance(event, FitProgress) and event.mesh is not None:
                self._show_preview(event.mesh, target.organ)
            elif isinstance(event, FitFinished):
                self._finish(event, request, target)
        finally:
            if isinstance(event, Outcome):
                self._end()
                self._outcome = event
        for listener in list(self.listeners):
            listener(event)

    def _finish(self, event: FitFinished, request: Request, target: _Target) -> None:
        wanted = target.model if _is_in(self.scene, target.model) else None
        if wanted is None:
            wanted = new_model(self.scene, event.mesh, name=target.organ.name, colour=target.organ.colour)
        if wanted is not self._model:
            self._results.clear()  # undo works on one node only
        self._undone.clear()
        if target.gesture is not None and len(self._results) > 1 and self._results[-1].gesture == target.gesture:
            self._results.pop()  # of the same movement of the hand
        self._model = wanted
        warnings = (*target.warnings, *event.warnings)
        self._results.append(
            Result(
                event.mesh,
                event.report,
                event.state,
                request.prior,
                warnings,
                target.curves,
                gesture=target.gesture,
                uncertainty_mm=event.uncertainty_mm,
            )
        )
        del self._results[:-_MOST_UNDOS]
        self._show_result(self._results[-1])

    def _show_result(self, result: Result) -> None:
        show_mesh(self._model, smoothed(result.mesh, self._smoothing))
        show_deviation(self._model, result.uncertainty_mm)
        report = {**result.report, WARNINGS: list(result.warnings)}
        self._model.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))
        self._look_at(result.mesh)

    def _go_back_to(self, result: Result) -> None:
        bring_back(self.scene, result.curves)
        self._show_result(result)

    def _with_present_curves(self, result: Result) -> Result:
        """A result with its curves as they are now, for its return."""
        nodes = (self.scene.GetNodeByID(curve.identifier) for curve in result.curves)
        return replace(result, curves=states_of(node for node in nodes if node is not None))

    def _look_at(self, mesh: TriangleMesh) -> None:
        """Once in a scene, the 3D views turn to a surface that they do not show."""
        if not self._in_view:
            self._in_view = True
            bring_into_view(self.scene, mesh)

    def _show_preview(self, mesh: TriangleMesh, organ: Organ) -> None:
        name = _("{organ} (being refined)").format(organ=organ.name)
        self._preview.show(mesh, name=name, colour=organ.colour)
        self._look_at(mesh)

    def _end(self) -> None:
        self._request = self._target = None
        self._preview.close()


def report_of(model: Any) -> Mapping[str, Any] | None:
    """The report of a result, also after the scene was saved and loaded; None if there is none."""
    try:
        report = json.loads(model.GetAttribute(REPORT_ATTRIBUTE) or "null") if model is not None else None
    except ValueError:  # edited by hand
        return None
    return report if isinstance(report, dict) else None


def _is_in(scene: Any, node: Any) -> bool:
    return node is not None and node.GetScene() is scene
