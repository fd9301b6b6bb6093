"""Running one job with torch, in the fitting process."""

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
from DALSRefineLib.process.jobs import Event, Finished, Job, Started


class Fitter:
    """Fits jobs; keeps the priors it has loaded, per device, until their files change."""

    def __init__(self) -> None:
        self._priors: dict[tuple[Path, torch.device], tuple[int, ShapePrior]] = {}

    def run(self, job: Job, *, tell: Callable[[Event], None], wanted: Callable[[], bool]) -> Finished:
        """Fit one job.

        Parameters
        ----------
        job : Job
        tell
            Takes events that come before the last one.
        wanted
            Whether the job shall go on.

        Raises
        ------
        FitCancelledError
            If it shall not.
        DalsError
            For what a user can cause.
        """
        began = time.monotonic()
        device = choose_device(job.device)
        tell(Started(str(device), None))
        prior = self._prior(job.prior, device)
        seconds = time.monotonic() - began
        settings = job.observation.defaults.changed(**job.changes)
        local_steps = 0 if settings.single_latent else settings.local_steps
        steps = StepTeller(tell, wanted, local_steps=local_steps, preview_seconds=job.preview_seconds)
        result = refine(job.observation, prior, settings=settings, start=job.start, remesh=job.remesh, on_step=steps)
        if not wanted():
            raise FitCancelledError("The refinement was cancelled; nothing was changed.")
        report = {**result.report, "previews": {"count": steps.previews, "seconds": steps.preview_seconds}}
        report["timings_s"] = {"prior": seconds, **result.report["timings_s"]}
        return Finished(result.mesh, report, result.state, result.warnings)

    def _prior(self, path: Path, device: torch.device) -> ShapePrior:
        changed = path.stat().st_mtime_ns if path.is_file() else -1
        known = self._priors.get((path, device))
        if known is None or known[0] != changed:
            known = changed, load_prior(path).to(device)
            self._priors[path, device] = known
        return known[1]
