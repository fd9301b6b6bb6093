"""The use case: an observation and a prior in, an organ's surface with its report out.

The command line, batches, several organs at once, Slicer's worker and the benchmarks all come through here.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dals.errors import DalsWarning, collected_warnings
from dals.evaluation.confidence import Confidence, confidence_in
from dals.evaluation.report import make_report, unusual_size
from dals.fit_settings import FitSettings
from dals.fitting import FitResult, FitState, OnStep, fit
from dals.geometry.mesh import TriangleMesh
from dals.geometry.remeshing import remesh as even_out
from dals.geometry.separation import separate
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Observation
from dals.ops.device import choose_device


@dataclass(frozen=True, eq=False, kw_only=True)
class Refinement:
    """An organ's surface, and what is to be said of it.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm.
    report : dict
        Plain values for JSON: volume, surface, residuals, confidence, settings, times
        (`dals.evaluation.report.make_report`).
    warnings : tuple of str
        What a clinician should look at, one sentence each.
    confidence : Confidence or None
        How far the surface can be trusted, where that can be told.
    state : FitState
        Where the fit ended; `refine(..., start=state)` goes on from there.
    """

    mesh: TriangleMesh
    report: dict[str, Any]
    warnings: tuple[str, ...]
    confidence: Confidence | None
    state: FitState


def refine(
    observation: Observation,
    prior: ShapePrior | str | Path,
    *,
    settings: FitSettings | None = None,
    start: FitState | None = None,
    pose: Pose | None = None,
    remesh: bool = False,
    device: str = "auto",
    on_step: OnStep | None = None,
) -> Refinement:
    """Turn what was observed of an organ into its whole surface.

    Parameters
    ----------
    observation : PlanarContours, Segmentation or PointCloud
        RAS mm.
    prior : ShapePrior, str or Path
        A prior, the name of one that ships ("liver"), or its file.
    settings : FitSettings, optional
        Those of the kind of observation unless given: ``observation.defaults.changed(seed=1)``.
    start : FitState, optional
        `state` of an earlier refinement with the same prior, to go on from.
    pose : Pose, optional
        The organ's true position and size, where they are known.
    remesh : bool
        Whether to even out the triangles (needs gpytoolbox).
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute; "auto" takes CUDA where it is there, and leaves a loaded prior where it is.
    on_step : callable, optional
        Told of each step (`dals.fitting.FitStep`); returning False cancels.

    Returns
    -------
    Refinement

    Raises
    ------
    DalsError
        With a sentence for the user: an unknown prior, a device that is not there, a cancelled fit.

    Examples
    --------
    A sphere of 60 mm, seen at 400 points, and one step in place of many:

    >>> import dals, numpy as np
    >>> directions = np.random.default_rng(0).normal(size=(400, 3))
    >>> points = 60 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    >>> cloud = dals.PointCloud(points)
    >>> quick = cloud.defaults.changed(shared_steps=1, local_steps=1, level=2)
    >>> result = dals.refine(cloud, "liver", settings=quick, device="cpu")
    >>> result.mesh.vertices.shape, result.report["task"]
    ((162, 3), 'points')
    """
    with collected_warnings() as told:
        prior = _on_device(prior, device)
        fitted = _fit(observation, prior, settings=settings, start=start, pose=pose, remesh=remesh, on_step=on_step)
        described = _describe(fitted, fitted.mesh)
    return replace(described, warnings=(*told, *described.warnings))


def refine_together(
    observations: Sequence[Observation],
    priors: Sequence[ShapePrior | str | Path],
    *,
    names: Sequence[str],
    settings: Sequence[FitSettings | None] | None = None,
    remesh: bool = False,
    device: str = "auto",
    on_step: Callable[[int], OnStep | None] | None = None,
) -> list[Refinement]:
    """Refine several organs of one patient; where two surfaces overlap, both give way half-way.

    Parameters
    ----------
    observations, priors
        One for each organ, as in `refine`.
    names : sequence of str
        For messages, one for each organ.
    settings : sequence of FitSettings or None, optional
        One for each organ.
    remesh, device
        As in `refine`.
    on_step : callable, optional
        Takes the index of an organ, returns what is told of its steps.

    Returns
    -------
    list of Refinement
        Each report has `gave_way_mm`: how far the surface gave way, at most.
    """
    chosen = settings or [None] * len(observations)
    notices, fits = [], []
    for index, observation in enumerate(observations):
        with collected_warnings() as told:
            prior = _on_device(priors[index], device)
            tell = None if on_step is None else on_step(index)
            fits.append(_fit(observation, prior, settings=chosen[index], remesh=remesh, on_step=tell))
        notices.append(told)
    with collected_warnings() as told:
        meshes = separate([fitted.mesh for fitted in fits], names=list(names))
    notices[0] += told
    results = []
    for fitted, mesh, noticed in zip(fits, meshes, notices, strict=True):
        described = _describe(fitted, mesh)
        moved = np.linalg.norm(mesh.vertices - fitted.mesh.vertices, axis=1)
        report = {**described.report, "gave_way_mm": float(moved.max())}
        results.append(replace(described, report=report, warnings=(*noticed, *described.warnings)))
    return results


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A fit whose surface has not been described yet."""

    observation: Observation
    prior: ShapePrior
    result: FitResult
    mesh: TriangleMesh  # perhaps remeshed
    remesh_seconds: float


def _fit(
    observation: Observation,
    prior: ShapePrior,
    *,
    settings: FitSettings | None,
    start: FitState | None = None,
    pose: Pose | None = None,
    remesh: bool,
    on_step: OnStep | None,
) -> _Fitted:
    for sentence in (*observation.notices, unusual_size(observation, prior)):
        if sentence is not None:
            warnings.warn(sentence, DalsWarning, stacklevel=2)
    result = fit(prior, observation, settings=settings, pose=pose, start=start, on_step=on_step)
    began = time.monotonic()
    mesh = even_out(result.mesh) if remesh else result.mesh
    return _Fitted(observation, prior, result, mesh, time.monotonic() - began)


def _describe(fitted: _Fitted, mesh: TriangleMesh) -> Refinement:
    """What is to be said of a surface as it is handed over."""
    began = time.monotonic()
    observation, prior, result = fitted.observation, fitted.prior, fitted.result
    confidence = confidence_in(observation, result, prior, mesh)
    report = make_report(result, observation, prior, mesh, confidence=confidence)
    report["remeshed"] = fitted.mesh is not result.mesh
    seconds = {"fit": result.seconds, "remesh": fitted.remesh_seconds, "report": time.monotonic() - began}
    reasons = () if confidence is None else confidence.reasons
    return Refinement(
        mesh=mesh,
        report={**report, "timings_s": seconds},
        warnings=reasons,
        confidence=confidence,
        state=result.state,
    )


def _on_device(prior: ShapePrior | str | Path, device: str) -> ShapePrior:
    if isinstance(prior, ShapePrior):
        return prior if device == "auto" else prior.to(choose_device(device))
    return load_prior(prior).to(choose_device(device))
