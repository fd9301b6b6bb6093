"""Where a surface is a guess, and how good a guess: standard deviations along its normals and of its volume.

Laplace's approximation (`dals.fitting.surface_posterior`) knows what the prior allows between the observations. What no
prior expresses, and what its Gaussian gets wrong, was measured on livers that it had not seen
(`Testing/benchmarks/calibration.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from dals.evaluation.confidence import Confidence, Level
from dals.evaluation.plain_shape import departure
from dals.fit_settings import FitSettings
from dals.fitting import FitResult
from dals.fitting.evidence import weighed
from dals.fitting.residuals import residual_term
from dals.fitting.surface_posterior import surface_posterior
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.places import place_text
from dals.geometry.surface_distance import surface_distances
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Observation, PlanarContours, PointCloud

BAND = 1.645
"""Standard deviations on either side that hold 90% of a normal distribution."""
_LEVEL = 3
_NEIGHBOURS = 3
_FACTOR, _POWER, _TYPICAL = 0.84, 1.32, 0.03
"""Laplace's standard deviation of `_TYPICAL` (canonical) counts `_FACTOR` times, and others with this power."""
_VOLUME = 1.2
"""Factor of Laplace's standard deviation of the volume."""
_EXPECTED, _EXPECTED_POWER = 0.389, 0.955
"""The expected mean distance from the true surface as a factor and a power of the band's mean half-width, canonical."""
_DEPARTURE, _DEPARTURE_POWER = 0.035, 0.5
"""Departure from a shape of one latent, canonical, of a usual organ, and the power with which the expectation grows."""
_DEPARTURES = (0.015, 0.15)
"""Smaller and larger ones were not measured; they count as these."""
_DOUBTFUL = 0.028
"""Expected distance above which the confidence says so, in radii of the usual organ; in a liver 3.8 mm."""
_SEEN_POWER = 0.26
"""With which the expectation falls with what is misjudged on planes left out, where an image shows them."""
_BETWEEN, _ERRORS = 2.0, (0.02, 0.07)
"""Standard deviation of a surface's errors between planes, as a multiple of its expected mean distance; its limits."""
_UNUSUAL, _GROWN, _LEFT_OPEN = 0.08, 1.6, 1.5
"""Departure that no usual organ has, if an image made it this many times larger; and as a multiple of the standard
deviation of errors that contours leave between planes. Where they say little, an image may well lead far."""
_ROUGH = 0.1  # canonical half-width of the band that counts as a guess


@dataclass(frozen=True, eq=False, kw_only=True)
class Uncertainty:
    """How far a surface may be off.

    Attributes
    ----------
    deviation_mm : (V,) float64
        Standard deviation of each vertex along its normal; the true surface is within `BAND` of them in nine of ten
        places.
    expected_distance_mm : float
        Mean distance from the true surface that is to be expected.
    doubtful : bool
        Whether that is more than a user should take without a look.
    volume_ml : (float, float)
        Interval that holds the true volume nine times out of ten.
    rough_share : float
        Part of the surface that is mostly a guess.
    worst_place : (3,) float64
        The vertex with the largest deviation, RAS mm.
    led_to : (3,) float64 or None
        Where the surface is furthest from any known shape, RAS mm, if an image led it unusually far.
    """

    deviation_mm: FloatArray
    expected_distance_mm: float
    doubtful: bool
    volume_ml: tuple[float, float]
    rough_share: float
    worst_place: FloatArray
    led_to: FloatArray | None = None

    def figures(self) -> dict[str, Any]:
        """For the report."""
        return {
            "expected_distance_mm": self.expected_distance_mm,
            "deviation_mm": {
                "mean": float(self.deviation_mm.mean()),
                "maximum": float(self.deviation_mm.max()),
                "maximum_at_ras_mm": [float(value) for value in self.worst_place],
            },
            "guessed_share": self.rough_share,
            "volume_interval_ml": list(self.volume_ml),
        }


def uncertainty_of(
    observation: Observation,
    result: FitResult,
    prior: ShapePrior,
    mesh: TriangleMesh,
    *,
    known: bool,
    misjudged: float = 1.0,
) -> Uncertainty | None:
    """The uncertainty of a surface that was fitted to contours or points; None for other kinds of observation.

    Parameters
    ----------
    observation : Observation
        That was fitted.
    result : FitResult
    prior : ShapePrior
    mesh : TriangleMesh
        The final surface, RAS mm, possibly remeshed.
    known : bool
        Whether the pose was known.
    misjudged : float
        Where an image was used, what it misjudges on planes left out as a share of what a surface misjudges there.
    """
    if not isinstance(observation, (PlanarContours, PointCloud)):
        return None
    state = replace(result.state, level=result.settings.level)  # without local latents, a fit's level is 0
    pose, level = state.pose, min(_LEVEL, state.level)
    settings = _settings(observation, result.settings)
    template = icosphere(state.level)
    vertices = pose.to_canonical(result.mesh.vertices[: len(template.vertices)])
    term = residual_term(observation, settings)
    assert term is not None  # both kinds have one
    residuals = term(vertices, template.faces, pose)
    covariance = surface_posterior(prior, state, vertices, residuals, settings, known=known, level=level)
    coarse = TriangleMesh(result.mesh.vertices[: len(covariance)], icosphere(level).faces)
    laplace = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    deviations = pose.scale * calibrated(_spread(laplace, coarse.vertices, mesh.vertices))
    areas = coarse.vertex_areas
    spread = _VOLUME * pose.scale * math.sqrt(max(float(areas @ covariance @ areas), 0.0))
    own = mesh.vertex_areas
    share = own / max(own.sum(), 1e-12)
    worst = int(deviations.argmax())
    half_width = BAND * float(share @ deviations) / pose.scale
    departed = _departed(result)
    # What an image showed is no longer a guess.
    expected = expected_distance(half_width, departed if state.departure is None else state.departure)
    expected *= min(misjudged, 1.0) ** _SEEN_POWER
    return Uncertainty(
        deviation_mm=deviations,
        expected_distance_mm=expected * pose.scale,
        doubtful=expected * pose.scale > _DOUBTFUL * math.exp(prior.log_scale[0]),
        volume_ml=(max(mesh.volume - BAND * spread, 0.0) / 1e3, (mesh.volume + BAND * spread) / 1e3),
        rough_share=float(share[BAND * deviations > _ROUGH * pose.scale].sum()),
        worst_place=mesh.vertices[worst],
        led_to=_furthest_led(result, departed),
    )


def error_between_planes(contours: PlanarContours, drawn: FitResult, prior: ShapePrior, *, known: bool) -> float:
    """Standard deviation (canonical) of a surface's errors where nothing was drawn.

    Parameters
    ----------
    contours : PlanarContours
    drawn : FitResult
        Of the contours alone, from the beginning.
    prior : ShapePrior
    known : bool
        Whether the pose was known.
    """
    found = uncertainty_of(contours, drawn, prior, drawn.mesh, known=known)
    assert found is not None  # contours have one
    return float(np.clip(_BETWEEN * found.expected_distance_mm / drawn.state.pose.scale, *_ERRORS))


def calibrated(laplace: FloatArray) -> FloatArray:
    """Standard deviations (V,) as measured, from Laplace's; both canonical."""
    return np.asarray(_FACTOR * _TYPICAL * (laplace / _TYPICAL) ** _POWER)


def expected_distance(half_width: float, departure: float | None = None) -> float:
    """Mean distance from the true surface to be expected, canonical.

    Parameters
    ----------
    half_width : float
        Of the band, mean, canonical.
    departure : float, optional
        From a shape of one latent, canonical (`dals.evaluation.plain_shape.departure`). What the prior allows between
        the planes hardly differs from organ to organ; how unlike the known ones the organ is, does.
    """
    usual = _EXPECTED * half_width**_EXPECTED_POWER
    if departure is None:
        return float(usual)
    return float(usual * (np.clip(departure, *_DEPARTURES) / _DEPARTURE) ** _DEPARTURE_POWER)


def led_unusually_far(result: FitResult) -> bool:
    """Whether an image led the surface of a fit further from all known shapes than it leads usual organs."""
    return _furthest_led(result, _departed(result)) is not None


def _departed(result: FitResult) -> float | None:
    """How far the surface is from that of a single latent, canonical; None if there is no such surface."""
    if result.plain is None or result.settings.single_latent:
        return None
    return departure(result.mesh, result.plain) / result.state.pose.scale


def _furthest_led(result: FitResult, departed: float | None) -> FloatArray | None:
    """Where an image led the surface furthest from any known shape, if that is unusually far."""
    before = result.state.departure
    if before is None or departed is None:
        return None
    if departed < max(_UNUSUAL, _GROWN * before, _LEFT_OPEN * (result.state.error or 0.0)):
        return None
    assert result.plain is not None  # a departure is from it
    return np.asarray(result.mesh.vertices[surface_distances(result.mesh.vertices, result.plain).argmax()])


def judged_by(confidence: Confidence | None, uncertainty: Uncertainty | None) -> Confidence | None:
    """The confidence with what the uncertainty adds to it: whether most of the surface is a guess, and where."""
    if uncertainty is None:
        return confidence
    confidence = confidence or Confidence(level="high", reasons=())
    reasons = []
    if uncertainty.doubtful:
        reasons.append(
            f"The surface is expected to be {uncertainty.expected_distance_mm:.1f} mm off on average, and most of all "
            f"at {place_text(uncertainty.worst_place)}. Draw or mark the organ there."
        )
    if uncertainty.led_to is not None:
        reasons.append(
            f"The image led the surface unusually far from the shapes that the prior knows, most of all at "
            f"{place_text(uncertainty.led_to)}. Check it there, or draw the organ there."
        )
    if not reasons:
        return confidence
    level: Level = "low" if confidence.level == "low" else "medium"
    return replace(confidence, level=level, reasons=(*confidence.reasons, *reasons))


def _settings(observation: Observation, settings: FitSettings) -> FitSettings:
    """Weights in standard deviations: those of the fit, or of contours by default if it was one by Adam."""
    if settings.method == "gauss-newton":
        return settings
    return weighed(PlanarContours.defaults.changed(rotating=settings.rotating), observation)


def _spread(values: FloatArray, places: FloatArray, wanted: FloatArray) -> FloatArray:
    """Values at places (M, 3) interpolated to others (N, 3) by inverse distances."""
    distances, nearest = cKDTree(places).query(wanted, k=_NEIGHBOURS)
    weights = 1 / np.maximum(distances, 1e-6)
    return np.asarray((weights * values[nearest]).sum(axis=1) / weights.sum(axis=1))
