"""The use case: turn an observation and a prior into an organ's surface with a report.

The command line, Slicer's worker and the benchmarks all call these functions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dals.edits import Edit, EditedFit, EditPlan
from dals.errors import collected_warnings
from dals.evaluation import contour_confidence as _contours  # noqa: F401 (registers their confidence)
from dals.evaluation import point_confidence as _points  # noqa: F401
from dals.evaluation.confidence import Confidence, confidence_in
from dals.evaluation.plain_shape import with_plain
from dals.evaluation.report import make_report
from dals.evaluation.uncertainty import Uncertainty, judged_by, uncertainty_of
from dals.fit_settings import FitSettings
from dals.fitting import FitResult, FitState, OnStep
from dals.fitting.sides import SideChoice
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.separation import separate
from dals.geometry.volume import ImageSource
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Observation, PlanarContours
from dals.ops.device import choose_device
from dals.organ_fit import OrganFit, fit_organ, with_edits


@dataclass(frozen=True, eq=False, kw_only=True)
class Refinement:
    """An organ's surface with its report.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm.
    report : dict
        JSON-compatible values: volume, surface area, residuals, confidence, settings, times
        (`dals.evaluation.report.make_report`).
    warnings : tuple of str
        Points for the clinician to check, one sentence each.
    notes : tuple of str
        What else is worth a look, one sentence each, though the surface is likely to be good.
    confidence : Confidence or None
        Confidence in the surface; None for kinds of observation without an estimate.
    uncertainty : Uncertainty or None
        How far each vertex and the volume may be off; None for kinds of observation without an estimate.
    state : FitState
        End state of the fit; `refine(..., start=state)` continues from it.
    edits : tuple of Edit
        Where the result differs from a segmentation and where it perhaps should; empty for other kinds of observation.
    label_map : LabelMap or None
        The result of a segmentation on its own grid; None for other kinds of observation.
    edit_plan : EditPlan or None
        Carries out another choice of the edits; None for other kinds of observation.
    """

    mesh: TriangleMesh
    report: dict[str, Any]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    confidence: Confidence | None
    uncertainty: Uncertainty | None
    state: FitState
    edits: tuple[Edit, ...] = ()
    label_map: LabelMap | None = None
    edit_plan: EditPlan | None = None
    _fitted: OrganFit | None = field(default=None, repr=False)
    _notices: tuple[str, ...] = field(default=(), repr=False)

    def with_edits(self, chosen: Iterable[int]) -> Refinement:
        """The refinement of a segmentation with another choice of its edits, by their indices."""
        return choose_edits([self], [chosen])[0]


def choose_edits(
    refinements: Sequence[Refinement], chosen: Sequence[Iterable[int]], *, names: Sequence[str] = ()
) -> list[Refinement]:
    """Carry out other choices of the edits of a segmentation, or of several that were refined together.

    The segmentations are not fitted again: it takes well under a second for one organ.

    Parameters
    ----------
    refinements : sequence of Refinement
        All results of `refine_together`, or one of `refine`.
    chosen : sequence of iterable of int
        For each of them, the indices in `Refinement.edits` of the edits to be carried out; ignored for other kinds of
        observation, which have none.
    names : sequence of str, optional
        As in `refine_together`.
    """
    fits = []
    for refinement, indices in zip(refinements, chosen, strict=True):
        fitted = refinement._fitted
        assert fitted is not None  # `refine` and `refine_together` set it
        fits.append(with_edits(fitted, indices))
    notices = [list(refinement._notices) for refinement in refinements]
    if len(fits) > 1:
        results = _parted(fits, notices, names=names)
    else:
        results = [_with_warnings(_describe(fits[0], fits[0].mesh), notices[0])]
    return [replace(each, report={**each.report, "edits_chosen": "by hand"}) for each in results]


def refine(
    observation: Observation,
    prior: ShapePrior | str | Path,
    *,
    settings: FitSettings | None = None,
    start: FitState | None = None,
    pose: Pose | None = None,
    image: ImageSource | None = None,
    side: SideChoice = "auto",
    remesh: bool = False,
    device: str = "auto",
    on_step: OnStep | None = None,
) -> Refinement:
    """Reconstruct the whole surface of an organ from an observation.

    Parameters
    ----------
    observation : PlanarContours, Segmentation or PointCloud
        RAS mm.
    prior : ShapePrior, str or Path
        A loaded prior, the name of an installed one ("liver"), or the path of its file.
    settings : FitSettings, optional
        Defaults to ``observation.defaults``; change them with ``observation.defaults.changed(seed=1)``.
    start : FitState, optional
        `state` of an earlier refinement with the same prior, from which to continue.
    pose : Pose, optional
        The organ's true position and size, if known.
    image : Volume or VolumeFile, optional
        The CT or MR on which contours were drawn, or which was segmented, in any unit. It places the surface between
        contours, and is a witness of a segmentation's edits, as far as it can be trusted (`report["image"]`).
        `dals.read_volume` opens a file.
    side : "auto", "left" or "right"
        Of the body, for a prior of one side: the other side's organs are fitted mirrored. "auto" tries both and keeps
        the more probable one (`report["side"]`).
    remesh : bool
        Whether to even out the triangles (needs gpytoolbox).
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute. "auto" uses CUDA if available; a loaded prior stays on its device.
    on_step : callable, optional
        Called after each step with a `dals.fitting.FitStep`; returning False cancels.

    Returns
    -------
    Refinement

    Raises
    ------
    DalsError
        For instance for an unknown prior, an unavailable device or a cancelled fit; the message is for the user.

    Examples
    --------
    A sphere of radius 60 mm from 400 points, with a single step per stage to be quick:

    >>> import dals, numpy as np
    >>> directions = np.random.default_rng(0).normal(size=(400, 3))
    >>> points = 60 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    >>> cloud = dals.PointCloud(points)
    >>> quick = cloud.defaults.changed(shared_steps=1, local_steps=1, level=2)
    >>> result = dals.refine(cloud, "liver", settings=quick, device="cpu")
    >>> result.mesh.vertices.shape, result.report["task"]
    ((642, 3), 'points')
    """
    with collected_warnings() as sentences:
        prior = _on_device(prior, device)
        fitted = fit_organ(
            observation,
            prior,
            settings=settings,
            start=start,
            pose=pose,
            image=image,
            side=side,
            remesh=remesh,
            on_step=on_step,
        )
        described = _describe(fitted, fitted.mesh)
    return _with_warnings(described, sentences)


def refine_together(
    observations: Sequence[Observation],
    priors: Sequence[ShapePrior | str | Path],
    *,
    names: Sequence[str],
    settings: Sequence[FitSettings | None] | None = None,
    sides: Sequence[SideChoice] | None = None,
    remesh: bool = False,
    device: str = "auto",
    on_step: Callable[[int], OnStep | None] | None = None,
) -> list[Refinement]:
    """Refine several organs of one patient. Overlapping surfaces are separated half-way.

    Parameters
    ----------
    observations, priors
        One per organ, as in `refine`.
    names : sequence of str
        One per organ, for messages.
    settings : sequence of FitSettings or None, optional
        One per organ.
    sides : sequence of "auto", "left" or "right", optional
        One per organ, as in `refine`.
    remesh, device
        As in `refine`.
    on_step : callable, optional
        Takes the index of an organ and returns the `on_step` of its fit.

    Returns
    -------
    list of Refinement
        Each report has `gave_way_mm`, the largest displacement by the separation.
    """
    chosen = settings or [None] * len(observations)
    notices, fits = [], []
    for index, observation in enumerate(observations):
        with collected_warnings() as sentences:
            prior = _on_device(priors[index], device)
            callback = None if on_step is None else on_step(index)
            side: SideChoice = "auto" if sides is None else sides[index]
            fitted = fit_organ(observation, prior, settings=chosen[index], side=side, remesh=remesh, on_step=callback)
            fits.append(fitted)
        notices.append(sentences)
    return _parted(fits, notices, names=names)


def _parted(fits: Sequence[OrganFit], notices: Sequence[list[str]], *, names: Sequence[str]) -> list[Refinement]:
    """Fits of several organs, kept apart and described; `notices` are the warnings of each."""
    with collected_warnings() as sentences:
        meshes = separate([fitted.mesh for fitted in fits], names=list(names))
    notices = [[*notices[0], *sentences], *notices[1:]]
    results = []
    for fitted, mesh, noticed in zip(fits, meshes, notices, strict=True):
        described = _describe(fitted, mesh)
        moved = np.linalg.norm(mesh.vertices - fitted.mesh.vertices, axis=1)
        report = {**described.report, "gave_way_mm": float(moved.max())}
        results.append(_with_warnings(replace(described, report=report), noticed))
    return results


def _describe(fitted: OrganFit, mesh: TriangleMesh) -> Refinement:
    """Add confidence and report to the final surface."""
    began = time.monotonic()
    observation, prior, result = fitted.observation, fitted.prior, fitted.result
    if isinstance(observation, PlanarContours):
        result = with_plain(observation, result, prior)
    use = fitted.image_use
    misjudged = 1.0 if use is None else use.misjudged
    uncertainty = uncertainty_of(observation, result, prior, mesh, known=fitted.pose_known, misjudged=misjudged)
    confidence = judged_by(confidence_in(observation, result, prior, mesh), uncertainty)
    made = [part.note for part in (fitted.imprint, use) if part is not None and part.note is not None]
    if confidence is not None and made:
        confidence = replace(confidence, notes=(*confidence.notes, *made))
    report = make_report(result, observation, prior, mesh, confidence=confidence)
    if uncertainty is not None:
        report["uncertainty"] = uncertainty.figures()
    report["remeshed"] = fitted.remeshed
    seconds = {"fit": result.seconds, "remesh": fitted.remesh_seconds, "report": time.monotonic() - began}
    if prior.side is not None:
        report["side"] = {"side": prior.side, "chosen": "by the fit" if fitted.side_tried else "beforehand"}
    if fitted.imprint is not None:
        report["imprint"] = fitted.imprint.entry()
    if use is not None:
        report["image"] = use.entry()
        seconds["image"] = use.seconds
    return Refinement(
        mesh=mesh,
        report={**report, "timings_s": seconds},
        warnings=() if confidence is None else confidence.reasons,
        notes=() if confidence is None else confidence.notes,
        confidence=confidence,
        uncertainty=uncertainty,
        state=result.state,
        _fitted=fitted,
        **_edits_of(result),
    )


def _edits_of(result: FitResult) -> dict[str, Any]:
    if not isinstance(result, EditedFit):
        return {}
    return {"edits": result.edits, "label_map": result.segment, "edit_plan": result.plan}


def _with_warnings(refinement: Refinement, sentences: Sequence[str]) -> Refinement:
    """The refinement with these sentences before its own warnings, in its report, too."""
    told = (*sentences, *refinement.warnings)
    report = {**refinement.report, "warnings": list(told)}
    return replace(refinement, warnings=told, report=report, _notices=tuple(sentences))


def _on_device(prior: ShapePrior | str | Path, device: str) -> ShapePrior:
    if isinstance(prior, ShapePrior):
        return prior if device == "auto" else prior.to(choose_device(device))
    return load_prior(prior).to(choose_device(device))
