"""Runs fits in the worker process, where torch is available."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from dals.errors import FitCancelledError
from dals.model.prior import ShapePrior, load_prior
from dals.ops.device import choose_device
from dals.refinement import refine
from DALSRefineLib.process.fit_progress import StepTeller
from DALSRefineLib.process.jobs import Event, FitFinished, FitStarted, Request
from DALSRefineLib.process.places import worst_places


class Fitter:
    """Runs fits. Caches loaded priors per device until their files change."""

    def __init__(self) -> None:
        self._priors: dict[tuple[Path, torch.device], tuple[int, ShapePrior]] = {}

    def run(self, request: Request, *, tell: Callable[[Event], None], wanted: Callable[[], bool]) -> FitFinished:
        """Run one fit.

        Parameters
        ----------
        request : Request
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
        began = time.monotonic()
        device = choose_device(request.device)
        tell(FitStarted(str(device)))
        prior = self._prior(request.prior, device)
        seconds = time.monotonic() - began
        settings = request.observation.defaults.changed(**request.changes)
        local_steps = 0 if settings.single_latent else settings.local_steps
        steps = StepTeller(tell, wanted, local_steps=local_steps, preview_seconds=request.preview_seconds)
        result = refine(
            request.observation,
            prior,
            settings=settings,
            start=request.start,
            image=request.image,
            side=request.side,
            remesh=request.remesh,
            on_step=steps,
        )
        if not wanted():
            raise FitCancelledError("The refinement was cancelled; nothing was changed.")
        report = {**result.report, "previews": {"count": steps.previews, "seconds": steps.preview_seconds}}
        report["places"] = worst_places(request.observation, result.mesh)
        report["timings_s"] = {"prior": seconds, **result.report["timings_s"]}
        deviation = None if result.uncertainty is None else result.uncertainty.deviation_mm
        return FitFinished(result.mesh, report, result.state, result.warnings, deviation)

    def _prior(self, path: Path, device: torch.device) -> ShapePrior:
        changed = path.stat().st_mtime_ns if path.is_file() else -1
        known = self._priors.get((path, device))
        if known is None or known[0] != changed:
            known = changed, load_prior(path).to(device)
            self._priors[path, device] = known
        return known[1]
