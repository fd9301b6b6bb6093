"""Finished refinements, the models that show them, and the reports on these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.fit_state import FitState
from DALSRefineLib.nodes.appearance import smoothed
from DALSRefineLib.nodes.curve_points import CurveState, bring_back, states_of
from DALSRefineLib.nodes.outputs import new_model, show_mesh
from DALSRefineLib.nodes.uncertainty import set_deviation
from DALSRefineLib.priors import Organ
from DALSRefineLib.process.jobs import FitFinished, OrganTask, Request

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
    told : tuple of str
        Warnings about the input.
    warnings : tuple of str
        Those of the fit.
    curves : tuple of CurveState
        The curves that it was made from.
    gesture : int or None
        See `RefineSession.start`.
    deviation : (V,) float64 or None
        Standard deviation of each vertex, mm.
    key : str
        See `FitFinished`.
    label_map : LabelMap or None
        See `FitFinished`.
    suggested : tuple of int
        Indices of the edits that the program has carried out.
    others : tuple of Result
        Of other organs that were refined together with it.
    """

    mesh: TriangleMesh
    report: Mapping[str, Any]
    state: FitState
    prior: Path
    told: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    curves: tuple[CurveState, ...] = ()
    gesture: int | None = None
    deviation: FloatArray | None = None
    key: str = ""
    label_map: LabelMap | None = None
    suggested: tuple[int, ...] = ()
    others: tuple[Result, ...] = ()

    @property
    def parts(self) -> tuple[Result, ...]:
        """The result of each organ."""
        return (self, *self.others)

    @property
    def chosen(self) -> tuple[tuple[int, ...], ...]:
        """For each organ, the indices of the edits of its segmentation that are carried out."""
        return tuple(_applied(part.report) for part in self.parts)

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """About the input, and of the fit."""
        return (*self.told, *self.warnings)

    def renewed(self, event: FitFinished) -> Result:
        """The same with the surfaces and reports of an event."""
        first, *others = (
            replace(
                part,
                mesh=found.mesh,
                report=found.report,
                state=found.state,
                warnings=found.warnings,
                deviation=found.deviation_mm,
                label_map=found.label_map,
            )
            for part, found in zip(self.parts, (event, *event.others), strict=True)
        )
        return replace(first, key=event.key, others=tuple(others))


def result_of(
    event: FitFinished,
    request: Request,
    *,
    told: tuple[str, ...] = (),
    curves: tuple[CurveState, ...] = (),
    gesture: int | None = None,
) -> Result:
    """The result of a request."""
    tasks: tuple[Request | OrganTask, ...] = (request, *request.others)
    found = (event, *event.others)
    first, *others = (
        Result(each.mesh, each.report, each.state, task.prior, suggested=_applied(each.report))
        for each, task in zip(found, tasks, strict=True)
    )
    return replace(first, told=told, curves=curves, gesture=gesture, others=tuple(others)).renewed(event)


class History:
    """The results of a session, of which one is shown; undo and redo go through them with their curves.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._done: list[Result] = []
        self._undone: list[Result] = []

    @property
    def last(self) -> Result | None:
        """The one that is shown."""
        return self._done[-1] if self._done else None

    @property
    def can_go_back(self) -> bool:
        """Whether there is an earlier one."""
        return len(self._done) > 1

    @property
    def can_go_forward(self) -> bool:
        """Whether there is a later one."""
        return bool(self._undone)

    def add(self, result: Result) -> None:
        """A fit has ended; results of one movement of the hand count as one."""
        self._undone.clear()
        last = self.last
        if result.gesture is not None and self.can_go_back and last is not None and last.gesture == result.gesture:
            self._done.pop()
        self._done.append(result)
        del self._done[:-_MOST_UNDOS]

    def change(self, result: Result) -> None:
        """Put another one in place of the one that is shown."""
        self._done[-1] = result

    def go_back(self) -> Result:
        """Take back the last one, and return the one before it."""
        self._undone.append(self._with_present_curves(self._done.pop()))
        return self._shown_again()

    def go_forward(self) -> Result:
        """Return the one that was taken back last."""
        self._done[-1] = self._with_present_curves(self._done[-1])
        self._done.append(self._undone.pop())
        return self._shown_again()

    def clear(self) -> None:
        """Forget all."""
        self._done.clear()
        self._undone.clear()

    def _shown_again(self) -> Result:
        bring_back(self._scene, self._done[-1].curves)
        return self._done[-1]

    def _with_present_curves(self, result: Result) -> Result:
        """A result with its curves as they are now, for its return."""
        nodes = (self._scene.GetNodeByID(curve.identifier) for curve in result.curves)
        return replace(result, curves=states_of(node for node in nodes if node is not None))


class ResultModels:
    """The nodes that show a result, one for each organ.

    Parameters
    ----------
    scene : vtkMRMLScene

    Attributes
    ----------
    nodes : list of vtkMRMLModelNode
        As many as the result has parts; some may have been deleted from the scene.
    organs : tuple of Organ
        Theirs.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.nodes: list[Any] = []
        self.organs: tuple[Organ, ...] = ()

    @property
    def first(self) -> Any:
        """The first organ's node if it is still in the scene, else None."""
        return self.nodes[0] if self.nodes and is_in(self._scene, self.nodes[0]) else None

    def index_of(self, node: Any) -> int | None:
        """Of a node's organ; None for a node of something else."""
        return next((index for index, each in enumerate(self.nodes) if each is node and node is not None), None)

    def receiver(self, chosen: Any) -> Any:
        """The node for the first organ's next surface, where the user has chosen a node; None for a new one."""
        return chosen if self.index_of(chosen) is None else self.first

    def take(self, result: Result, organs: Sequence[Organ], wanted: Any) -> bool:
        """Find or make a node for each part of a new result; returns whether they are the former ones.

        Parameters
        ----------
        result : Result
        organs : sequence of Organ
            One for each part.
        wanted : vtkMRMLModelNode or None
            For the first part; None for a new one.
        """
        again = wanted is not None and self.nodes and wanted is self.nodes[0] and tuple(organs) == self.organs
        former = [wanted, *(self.nodes[1:] if again else [None] * len(result.others))]
        nodes = [
            node
            if is_in(self._scene, node)
            else new_model(self._scene, part.mesh, name=organ.name, colour=organ.colour)
            for node, part, organ in zip(former, result.parts, organs, strict=True)
        ]
        same = len(nodes) == len(self.nodes) and all(a is b for a, b in zip(nodes, self.nodes, strict=True))
        self.nodes, self.organs = nodes, tuple(organs)
        return same

    def show(self, result: Result, *, smoothing: float) -> None:
        """Show a result's parts, with their reports."""
        for node, part in zip(self.nodes, result.parts, strict=True):
            if is_in(self._scene, node):
                show_mesh(node, smoothed(part.mesh, smoothing))
                set_deviation(node, part.deviation)
                node.SetAttribute(REPORT_ATTRIBUTE, report_text(part))

    def clear(self) -> None:
        """Another scene."""
        self.nodes, self.organs = [], ()


def is_in(scene: Any, node: Any) -> bool:
    """Whether a node is in a scene."""
    return node is not None and node.GetScene() is scene


def _applied(report: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(index for index, edit in enumerate(report.get("edits", ())) if edit["applied"])


def report_text(result: Result) -> str:
    """The report of a result with its warnings, as it is saved with the model."""
    return json.dumps({**result.report, WARNINGS: list(result.all_warnings)})


def report_of(model: Any) -> Mapping[str, Any] | None:
    """The report of a result, also after the scene was saved and loaded; None if there is none."""
    try:
        report = json.loads(model.GetAttribute(REPORT_ATTRIBUTE) or "null") if model is not None else None
    except ValueError:  # edited by hand
        return None
    return report if isinstance(report, dict) else None
