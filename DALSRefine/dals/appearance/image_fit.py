"""Surface, appearance, surface: a fit of contours that looks at the image between them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from dals.appearance.drawn_samples import drawn_samples
from dals.appearance.features import features_in, part_around
from dals.appearance.image_use import ImageUse
from dals.appearance.learning import learn
from dals.appearance.log_odds_map import log_odds_map
from dals.appearance.nearness import Nearness
from dals.fitting import FitResult, OnStep
from dals.fitting.plane_region import PlaneRegion
from dals.fitting.solver import fit_to_image
from dals.geometry.volume import ImageSource
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

_BAND = 0.15
"""Canonical distance from the surface within which the image counts: few surfaces from three planes err by more."""
_MARGIN = 1.5
"""Of the band: how much of the image is looked at around the surface."""
_REGION_SPACING_MM = 4.0
_LEAST_TRUST = 0.05


def fit_with_image(
    prior: ShapePrior,
    contours: PlanarContours,
    image: ImageSource,
    drawn: FitResult,
    *,
    pose: Pose | None = None,
    on_step: OnStep | None = None,
) -> tuple[FitResult, ImageUse]:
    """Move the surface between the drawn planes to where the image places it.

    Parameters
    ----------
    prior : ShapePrior
    contours : PlanarContours
    image : ImageSource
        Any unit, grid and orientation.
    drawn : FitResult
        The fit of the contours alone.
    pose : Pose, optional
        The true pose, if known.
    on_step : callable, optional
        As in `dals.fitting.fit`.

    Returns
    -------
    FitResult
        `drawn` itself where the image cannot be trusted.
    ImageUse

    Raises
    ------
    InputError
        If the image shows another place.
    """
    began = time.monotonic()
    middle = 0.5 * (contours.bounds[0] + contours.bounds[1])
    regions = [
        PlaneRegion.of_contours(group, spacing_mm=_REGION_SPACING_MM, middle=middle) for group in contours.by_plane
    ]
    result, use = _fit(prior, contours, regions, image, drawn, pose=pose, on_step=on_step)
    seconds = time.monotonic() - began
    return result, replace(use, seconds=seconds)


def _fit(
    prior: ShapePrior,
    contours: PlanarContours,
    regions: Sequence[PlaneRegion],
    image: ImageSource,
    drawn: FitResult,
    *,
    pose: Pose | None,
    on_step: OnStep | None,
) -> tuple[FitResult, ImageUse]:
    scale, seed = drawn.state.pose.scale, drawn.settings.seed
    band = _BAND * scale
    low, high = drawn.mesh.vertices.min(axis=0), drawn.mesh.vertices.max(axis=0)
    margin = _MARGIN * band
    part = part_around(image, low, high, margin_mm=margin, what="outlined")
    features = features_in(part, low - margin, high + margin, scale_mm=scale)
    if features is None:
        return drawn, ImageUse(name=image.name, trust=0.0, reason="The image shows nothing there.")
    surface = Nearness(drawn.mesh)
    planes = [drawn_samples(region, features, surface, band_mm=band) for region in regions]
    appearance = learn(planes, scale_mm=scale, band_mm=band, seed=seed)
    if appearance is None:
        return drawn, ImageUse(name=image.name, trust=0.0, reason="The image shows too little of the drawn planes.")
    use = ImageUse(
        name=image.name,
        trust=round(appearance.trust, 3),
        error_percent=round(100 * appearance.error, 2),
        surface_error_percent=round(100 * appearance.surface_error, 2),
    )
    if appearance.trust < _LEAST_TRUST:
        return drawn, replace(use, trust=0.0, reason="The organ does not stand out from its neighbours in the image.")
    odds = log_odds_map(appearance, features, drawn.mesh, surface, regions, band_mm=band)
    found = fit_to_image(prior, contours, drawn, odds, trust=appearance.trust, pose=pose, on_step=on_step)
    found = replace(found, steps=drawn.steps + found.steps, seconds=drawn.seconds + found.seconds, plain=drawn.plain)
    return found, use
