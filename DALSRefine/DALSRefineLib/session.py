"""A refinement in a scene: its preview, its result and the earlier results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.curve_points import CurveState, states_of
from DALSRefineLib.nodes.preview import Preview
from DALSRefineLib.nodes.view_focus import bring_into_view, show_whole_depth
from DALSRefineLib.priors import Organ
from DALSRefineLib.process.jobs import KEPT, Choice, Event, FitFinished, FitProgress, Outcome, Request
from DALSRefineLib.process.runner import ProcessRunner
from DALSRefineLib.results import REPORT_ATTRIBUTE, WARNINGS, History, Result, ResultModels, is_in, report_of, result_of

__all__ = ["REPORT_ATTRIBUTE", "WARNINGS", "EditsChosen", "RefineSession", "Result", "SessionEvent", "report_of"]


@dataclass(frozen=True, eq=False)
class _Target:
    """Destination of a result, and the warnings about its input."""

    organ: Organ
    model: Any
    warnings: tuple[str, ...]
    curves: tuple[CurveState, ...] = ()
    gesture: int | None = None
    others: tuple[Organ, ...] = ()


@dataclass(frozen=True)
class EditsChosen:
    """The result shows another choice of its edits."""


SessionEvent: TypeAlias = Event | EditsChosen


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
    models : ResultModels
        Nodes of the last result.
    """

    def __init__(self, scene: Any, runner: ProcessRunner) -> None:
        self.scene, self._runner = scene, runner
        self.listeners: list[Callable[[SessionEvent], object]] = []
        self._request: Request | None = None
        self._target: _Target | None = None
        self._preview = Preview(scene)
        self._choice: Choice | None = None
        self._choosing: Organ | None = None
        self._kept: list[tuple[str, int | None]] = []  # keys of results whose edits a worker still has, and its process
        self.models, self._history = ResultModels(scene), History(scene)
        self._smoothing = 0.0
        self._in_view = self._depth_is_open = False
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
        """Node of the last result, of its first organ, if it is still in the scene, else None."""
        return self.models.first

    @property
    def result(self) -> Result | None:
        """The result that the model shows, else None."""
        return self._history.last

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the last result; those of further organs begin with their names."""
        result, organs = self.result, self.models.organs
        if result is None:
            return ()
        others = zip(organs[1:], result.others, strict=True)
        return (
            *result.all_warnings,
            *(f"{organ.name}: {each}" for organ, part in others for each in part.all_warnings),
        )

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
        others: Iterable[Organ] = (),
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
        others : iterable of Organ
            One for each of `request.others`; each gets a model of its own.
        """
        self._outcome = None
        self._end_choice()
        if self._target is not None and self._target.organ != organ:
            self._end()  # otherwise its preview would show the new fit
        last = self.result
        if warm and last is not None and last.prior == request.prior and self.model is not None:
            request = replace(request, start=last.state)
        else:
            warm = False
        self._request = request
        self._target = _Target(organ, model, warnings, states_of(curves), gesture, tuple(others))
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
        return self._history.can_go_back and self.model is not None and not self.running

    def undo(self) -> None:
        """Return to the previous result, and to the curves that it was made from."""
        if self.can_undo:
            self._give_up_choice()
            self._show_result(self._history.go_back())

    @property
    def can_redo(self) -> bool:
        """Whether a result was undone that can be shown again."""
        return self._history.can_go_forward and self.model is not None and not self.running

    def redo(self) -> None:
        """Return to the result that was undone last, and to its curves."""
        if self.can_redo:
            self._give_up_choice()
            self._show_result(self._history.go_forward())

    @property
    def can_choose(self) -> bool:
        """Whether edits of the shown result can be chosen: the worker remembers those of the last few."""
        result = self.result
        if result is None or self.model is None or self.running:
            return False
        return (result.key, self._runner.process_id) in self._kept

    @property
    def chosen(self) -> tuple[tuple[int, ...], ...]:
        """For each organ, the edits that are carried out, or soon will be."""
        if self._choice is not None:
            return self._choice.chosen
        return () if self.result is None else self.result.chosen

    def choose(self, organ: int, edits: Iterable[int]) -> None:
        """Carry out other edits of one organ, by their indices; listeners get `EditsChosen` when they are shown."""
        result = self.result
        if result is None or not self.can_choose:
            return
        chosen = list(self.chosen)
        chosen[organ] = tuple(sorted(edits))
        self._choice = Choice(result.key, tuple(chosen))
        self._preview.stand_in_for(self.models.nodes[organ])
        self._choosing = self.models.organs[organ]
        self._runner.start(self._choice)

    def label_map_of(self, model: Any) -> LabelMap | None:
        """Exactly the voxels that a model shows, RAS mm; None where only its surface tells."""
        index, result = self.models.index_of(model), self.result
        if index is None or result is None or self._smoothing or model.GetParentTransformNode() is not None:
            return None
        return result.parts[index].label_map

    @property
    def smoothing(self) -> float:
        """How much shown results are smoothed, 0 to 1."""
        return self._smoothing

    @smoothing.setter
    def smoothing(self, amount: float) -> None:
        if amount != self._smoothing:
            self._smoothing = amount
            if self.model is not None and self.result is not None:
                self._show_result(self.result)

    def forget(self) -> None:
        """Cancel the refinement and drop all results, after the scene was closed."""
        self._runner.cancel()
        self._history.clear()
        self.models.clear()
        self._kept = []
        self._in_view = False

    def close(self) -> None:
        """Forget everything and end the worker."""
        self.forget()
        self._runner.close()

    def _take(self, event: Event) -> None:
        """Update the scene with an event of the runner."""
        if self._choice is not None:
            self._take_choice(event)
            return
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
        self._tell(event)

    def _tell(self, event: SessionEvent) -> None:
        for listener in list(self.listeners):
            listener(event)

    def _take_choice(self, event: Event) -> None:
        """Update the scene with an event of a choice of edits."""
        told: SessionEvent = event
        try:
            if isinstance(event, FitProgress) and event.mesh is not None and self._choosing is not None:
                self._show_preview(event.mesh, self._choosing)
            elif isinstance(event, FitFinished) and self.result is not None:
                self._history.change(self.result.renewed(event))
                self._show_result(self.result)
                told = EditsChosen()
        finally:
            if isinstance(event, Outcome):
                self._end_choice()
        if isinstance(event, Outcome):  # a choice has no steps to tell of
            self._tell(told)

    def _end_choice(self) -> None:
        if self._choice is not None:
            self._choice = None
            self._preview.close()

    def _give_up_choice(self) -> None:
        """What was ticked a moment ago belongs to the result that is left."""
        if self._choice is not None:
            self._runner.cancel()

    def _finish(self, event: FitFinished, request: Request, target: _Target) -> None:
        result = result_of(event, request, told=target.warnings, curves=target.curves, gesture=target.gesture)
        wanted = target.model if is_in(self.scene, target.model) else None
        if not self.models.take(result, (target.organ, *target.others), wanted):
            self._history.clear()  # undo works on the same nodes only
        self._history.add(result)
        if result.key:
            self._kept = [*self._kept, (result.key, self._runner.process_id)][-KEPT:]
        self._show_result(result)

    def _show_result(self, result: Result) -> None:
        self.models.show(result, smoothing=self._smoothing)
        self._look_at(result.mesh)

    def _look_at(self, mesh: TriangleMesh) -> None:
        """Once in a scene, the 3D views turn to a surface that they do not show."""
        if not self._in_view:
            self._in_view = True
            self._depth_is_open = bring_into_view(self.scene, mesh) > 0
        elif self._depth_is_open:
            self._depth_is_open = False
            show_whole_depth(self.scene)

    def _show_preview(self, mesh: TriangleMesh, organ: Organ) -> None:
        name = _("{organ} (being refined)").format(organ=organ.name)
        self._preview.show(mesh, name=name, colour=organ.colour)
        self._look_at(mesh)

    def _end(self) -> None:
        self._request = self._target = None
        self._preview.close()
