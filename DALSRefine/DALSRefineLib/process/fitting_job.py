"""Runs fits in the worker process, where torch is available."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dals.errors import FitCancelledError, InputError
from dals.fit_settings import FitSettings
from dals.fitting import FitStep, OnStep
from dals.geometry.label_map import BoolArray, LabelMap
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Observation
from dals.ops.device import choose_device
from dals.refinement import Refinement, choose_edits, refine, refine_together
from DALSRefineLib.process.fit_progress import StepTeller
from DALSRefineLib.process.jobs import (
    KEPT,
    Choice,
    Event,
    FitFinished,
    FitProgress,
    FitStarted,
    Job,
    OrganTask,
    Request,
)
from DALSRefineLib.process.places import worst_places


@dataclass(frozen=True, eq=False)
class _Kept:
    """A finished refinement of segmentations."""

    refinements: tuple[Refinement, ...]
    observations: tuple[Observation, ...]
    names: tuple[str, ...]


class Fitter:
    """Runs fits. Caches loaded priors per device until their files change, and the last refinements with edits."""

    def __init__(self) -> None:
        self._priors: dict[tuple[Path, torch.device], tuple[int, ShapePrior]] = {}
        self._kept: dict[str, _Kept] = {}
        self._wanted: Callable[[], bool] = lambda: True

    def run(self, job: Job, *, tell: Callable[[Event], None], wanted: Callable[[], bool]) -> FitFinished:
        """Run one fit, or carry out another choice of edits.

        Parameters
        ----------
        job : Request or Choice
        tell
            Receives all events except the last one.
        wanted
            Returns False if the fit is to be cancelled.

        Raises
        ------
        FitCancelledError
            If the fit was cancelled.
        DalsError
            For errors that a user can cause.
        """
        self._wanted = wanted
        found = self._choose(job, tell) if isinstance(job, Choice) else self._fit(job, tell, wanted)
        self._stop_if_unwanted()
        return found

    def _stop_if_unwanted(self) -> None:
        if not self._wanted():
            raise FitCancelledError

    def _fit(self, request: Request, tell: Callable[[Event], None], wanted: Callable[[], bool]) -> FitFinished:
        began = time.monotonic()
        device = choose_device(request.device)
        tell(FitStarted(str(device)))
        tasks: tuple[Request | OrganTask, ...] = (request, *request.others)
        priors = [self._prior(task.prior, device) for task in tasks]
        seconds = time.monotonic() - began
        settings = [task.observation.defaults.changed(**task.changes) for task in tasks]
        steps = [
            StepTeller(tell, wanted, local_steps=_local_steps(each), preview_seconds=request.preview_seconds)
            for each in settings
        ]
        if request.others:
            results = refine_together(
                [task.observation for task in tasks],
                priors,
                names=[task.name for task in tasks],
                settings=settings,
                sides=[task.side for task in tasks],
                remesh=request.remesh,
                on_step=lambda index: _of_several(steps[index], index, len(tasks)),
            )
        else:
            result = refine(
                request.observation,
                priors[0],
                settings=settings[0],
                start=request.start,
                image=request.image,
                side=request.side,
                remesh=request.remesh,
                on_step=steps[0],
            )
            results = [result]
        told = [{"count": each.previews, "seconds": each.preview_seconds} for each in steps]
        results = [
            replace(
                result,
                report={
                    **result.report,
                    "previews": previews,
                    "timings_s": {"prior": seconds, **result.report["timings_s"]},
                },
            )
            for result, previews in zip(results, told, strict=True)
        ]
        self._stop_if_unwanted()  # or what nobody hears of would take the place of a result that is shown
        kept = _Kept(tuple(results), tuple(t.observation for t in tasks), tuple(t.name for t in tasks))
        return _finished(kept, self._keep(kept))

    def _choose(self, choice: Choice, tell: Callable[[Event], None]) -> FitFinished:
        """Carry out a choice; where several organs have to be parted, show the edited ones before."""
        kept = self._kept.get(choice.key)
        if kept is None:
            raise InputError("The edits of this result can no longer be changed; please refine once more.")
        if len(kept.refinements) > 1:
            for refinement, chosen in zip(kept.refinements, choice.chosen, strict=True):
                plan = refinement.edit_plan
                if plan is not None and set(chosen) != set(plan.applied):
                    tell(FitProgress("edits", 0, 1, 0.0, None, plan.carried_out(chosen).mesh))
        results = choose_edits(kept.refinements, choice.chosen, names=kept.names)
        return _finished(replace(kept, refinements=tuple(results)), choice.key)

    def _keep(self, kept: _Kept) -> str:
        """Remember a refinement if it has edits; returns its key."""
        if not any(each.edits for each in kept.refinements):
            return ""
        key = uuid.uuid4().hex
        self._kept[key] = kept
        for old in list(self._kept)[:-KEPT]:
            del self._kept[old]
        return key

    def _prior(self, path: Path, device: torch.device) -> ShapePrior:
        changed = path.stat().st_mtime_ns if path.is_file() else -1
        known = self._priors.get((path, device))
        if known is None or known[0] != changed:
            known = changed, load_prior(path).to(device)
            # The report of a fit decodes shapes, too, and has no steps: a contour that is dragged on must not wait for
            # it. Copies of the decoder share the function.
            known[1].decoder.register_forward_pre_hook(lambda *_: self._stop_if_unwanted())
            self._priors[path, device] = known
        return known[1]


def _finished(kept: _Kept, key: str) -> FitFinished:
    """The event of a refinement."""
    first, *others = (
        FitFinished(
            result.mesh,
            {**result.report, "places": worst_places(observation, result.mesh)},
            result.state,
            result.warnings,
            None if result.uncertainty is None else result.uncertainty.deviation_mm,
            label_map=label_map,
        )
        for result, observation, label_map in zip(
            kept.refinements, kept.observations, _label_maps(kept.refinements), strict=True
        )
    )
    return replace(first, key=key, others=tuple(others))


def _label_maps(refinements: Sequence[Refinement]) -> list[LabelMap | None]:
    """Those of segmentations, cropped; a voxel of several organs on the same grid is the first one's."""
    found: list[LabelMap | None] = []
    taken: dict[tuple[int, ...], BoolArray] = {}
    for whole in (each.label_map for each in refinements):
        if whole is None:
            found.append(None)
            continue
        before = taken.get(whole.array.shape, np.zeros_like(whole.array))
        taken[whole.array.shape] = before | whole.array
        own = whole.with_array(whole.array & ~before)
        found.append(None if own.is_empty else own.cropped())
    return found


def _local_steps(settings: FitSettings) -> int:
    return 0 if settings.single_latent else settings.local_steps


def _of_several(told: OnStep, index: int, count: int) -> OnStep:
    """A step callback of one of several fits, which counts all of them as one."""

    def tell(step: FitStep) -> bool | None:
        return told(replace(step, step=step.step + index * step.total, total=count * step.total))

    return tell
