"""Running one job with torch, in the fitting process."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from dals.errors import DalsWarning, FitCancelledError, InputError
from dals.evaluation.confidence import judged
from dals.evaluation.report import make_report, warn_of_unusual_size
from dals.fitting import FitResult, FitSettings, FitState, fit, task_of
from dals.geometry.mesh import TriangleMesh
from dals.geometry.remeshing import remesh
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.observations.observations import Segmentation
from dals.observations.segmentation_checks import check_segmentation
from dals.ops.device import choose_device
from DALSRefineLib.process.fit_progress import StepTeller
from DALSRefineLib.process.jobs import Event, Finished, Job, Observation, Started, StartState
from DALSRefineLib.process.noticed import noticed


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
        times = [time.monotonic()]
        device = choose_device(job.device)
        tell(Started(str(device), None))
        with noticed() as told:
            prior = self._prior(job.prior, device)
            times.append(time.monotonic())
            settings = FitSettings.for_task(task_of(job.observation)).changed(**job.changes)
            local_steps = 0 if settings.single_latent else settings.local_steps
            steps = StepTeller(tell, wanted, local_steps=local_steps, preview_seconds=job.preview_seconds)
            result = _fit(job, prior, settings, steps)
            times.append(time.monotonic())
            mesh = _surface(job, result, wanted)
            times.append(time.monotonic())
            found = judged(result, job.observation, prior, mesh)
            report = make_report(result, job.observation, prior, mesh, judged=found)
            times.append(time.monotonic())
        names = ("prior", "fit", "remesh", "report")
        report["remeshed"] = mesh is not result.mesh
        report["previews"] = {"count": steps.previews, "seconds": steps.preview_seconds}
        report["timings_s"] = {name: end - begin for name, begin, end in zip(names, times, times[1:], strict=False)}
        return Finished(mesh, report, start_state(result.state), tuple(told))

    def _prior(self, path: Path, device: torch.device) -> ShapePrior:
        changed = path.stat().st_mtime_ns if path.is_file() else -1
        known = self._priors.get((path, device))
        if known is None or known[0] != changed:
            known = changed, load_prior(path).to(device)
            self._priors[path, device] = known
        return known[1]


def start_state(state: FitState) -> StartState:
    """The end of a fit without torch."""
    pose = state.pose
    local = None if state.local is None else state.local.numpy()
    return StartState(pose.scale, pose.translation, pose.rotation, state.shared.numpy(), local, state.level)


def fit_state(state: StartState, prior: ShapePrior) -> FitState:
    """The end of an earlier fit with torch.

    Raises
    ------
    InputError
        If its latents are none of the prior.
    """
    if state.shared.shape != prior.latent_mean.shape:
        raise InputError("The earlier result was made with another prior; start afresh instead of going on from it.")
    pose = Pose(state.scale, state.translation, state.rotation)
    local = None if state.local is None else torch.from_numpy(state.local)
    return FitState(pose, torch.from_numpy(state.shared), local, state.level)


def _fit(job: Job, prior: ShapePrior, settings: FitSettings, steps: StepTeller) -> FitResult:
    warn_of_parts(job.observation)
    warn_of_unusual_size(job.observation, prior)
    start = None if job.start is None else fit_state(job.start, prior)
    return fit(prior, job.observation, settings=settings, start=start, callback=steps)


def warn_of_parts(observation: Observation) -> None:
    """Warn of large separate parts of a segmentation; at the image's border its node has been looked at already.

    Raises
    ------
    InputError
        If every voxel is marked.
    """
    if not isinstance(observation, Segmentation):
        return
    for finding in check_segmentation(observation.label_map):
        if finding.is_fatal:
            raise InputError(finding.message)
        if finding.kind != "cut":
            advice = "Split them with the effect Islands of the Segment Editor to refine another one."
            warnings.warn(f"{finding.message} {advice}", DalsWarning, stacklevel=2)


def _surface(job: Job, result: FitResult, wanted: Callable[[], bool]) -> TriangleMesh:
    mesh = remesh(result.mesh) if job.remesh and wanted() else result.mesh
    if not wanted():
        raise FitCancelledError("The refinement was cancelled; nothing was changed.")
    return mesh
