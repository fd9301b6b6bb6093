"""The report of a fit: volume, surface area, residuals, settings."""

from __future__ import annotations

from dataclasses import asdict
from functools import singledispatch
from typing import Any

import numpy as np

from dals import __version__
from dals.edits import EditedFit
from dals.evaluation.confidence import Confidence
from dals.evaluation.contour_residuals import straying_sections
from dals.fitting import FitResult
from dals.fitting.data_term import organ_bounds
from dals.fitting.first_guess import FOREIGN
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.surface_distance import SignedDistance
from dals.model.prior import ShapePrior
from dals.observations import Observation, PlanarContours

_USUAL_DEVIATIONS = 4.0
_MOST_POINTS = 10_000
_TOO_FAR_SPREAD = 0.35  # natural logarithm: a factor of 1.4


def make_report(
    result: FitResult,
    observation: Observation,
    prior: ShapePrior,
    mesh: TriangleMesh,
    *,
    confidence: Confidence | None = None,
) -> dict[str, Any]:
    """Report a fit as JSON-compatible values.

    Parameters
    ----------
    result : FitResult
    observation : Observation
        The observation that was fitted.
    prior : ShapePrior
    mesh : TriangleMesh
        The final surface (possibly remeshed), RAS mm.
    confidence : Confidence, optional
        Confidence in that surface.

    Returns
    -------
    dict
        Volume in ml, surface area in cm^2, residuals in mm, pose, settings and times. For contours also the largest
        distance of the surface's sections from them; for contours and segmentations also the confidence.
    """
    pose = result.state.pose
    return {
        "volume_ml": mesh.volume / 1e3,
        "surface_cm2": mesh.area / 1e2,
        "vertices": len(mesh.vertices),
        "facets": len(mesh.faces),
        "residuals_mm": _residuals(result, observation, mesh),
        **_judged(confidence),
        **kind_entries(observation, mesh),
        **result.as_fields(),
        "task": observation.kind,
        "task_loss_canonical": result.task_loss,
        "iterations": result.steps,
        "seconds": result.seconds,
        "device": result.device,
        "pose": {"scale_mm": pose.scale, "centre_ras_mm": [float(x) for x in pose.translation]},
        "prior": {"name": prior.name, "sha256": prior.digest},
        "settings": _plain(asdict(result.settings)),
        "version": __version__,
    }


@singledispatch
def kind_entries(observation: Observation, mesh: TriangleMesh) -> dict[str, Any]:
    """Entries of a report that one kind of observation adds."""
    return {}


@kind_entries.register
def _(observation: PlanarContours, mesh: TriangleMesh) -> dict[str, Any]:
    strays = straying_sections(observation, mesh)
    return {"stray_mm": max((found.millimetres for found in strays), default=0.0)}


def unusual_size(observation: Observation, prior: ShapePrior) -> str | None:
    """A warning if the observation is much larger or smaller than the training shapes, else None.

    Contours may miss the organ's ends, so only gross deviations count.
    """
    low, high = organ_bounds(observation)
    radius = 0.5 * float(np.linalg.norm(high - low))
    mean, deviation = prior.log_scale
    usual = np.exp(mean)
    tolerance = max(_USUAL_DEVIATIONS * deviation, _TOO_FAR_SPREAD)
    if abs(np.log(max(radius, 1e-9)) - mean) <= tolerance:
        return None
    if isinstance(observation, PlanarContours) and usual / FOREIGN < radius < usual:
        return None  # the confidence tells how much of the organ was drawn
    hint = "perhaps the coordinates are in metres instead of millimetres" if radius < 2 else "perhaps another organ"
    return (
        f"The input measures about {2 * radius:.3g} mm across, but the prior {prior.name} was trained on "
        f"organs of about {2 * usual:.0f} mm; {hint}. Check the result with care."
    )


def _judged(confidence: Confidence | None) -> dict[str, Any]:
    if confidence is None:
        return {}
    figures = _plain(confidence.figures())
    judged = {"confidence": {"level": confidence.level, "reasons": list(confidence.reasons)}}
    if confidence.notes:
        judged["confidence"]["notes"] = list(confidence.notes)
    return {**judged, "agreement": figures} if figures else judged


def _residuals(result: FitResult, observation: Observation, mesh: TriangleMesh) -> list[dict[str, Any]]:
    if isinstance(result, EditedFit) and mesh is result.mesh:
        return [{"name": observation.kind, **result.residual_mm}]
    surface = SignedDistance(mesh)
    return [_residual(name, _thinned(points), surface) for name, points in observation.named_points]


def _residual(name: str, points: FloatArray, surface: SignedDistance) -> dict[str, Any]:
    """Mean and largest distance of observed points from the surface."""
    distance = np.abs(surface.at(points))
    return {"name": name, "mean": float(distance.mean()), "maximum": float(distance.max())}


def _thinned(points: FloatArray) -> FloatArray:
    return points[:: -(-len(points) // _MOST_POINTS)]


def _plain(value: Any) -> Any:
    """JSON-compatible values; infinity becomes text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
