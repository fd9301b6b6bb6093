"""Surface, appearance, surface: a fit of contours that looks at the image between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np

from dals.appearance.drawn_samples import drawn_samples
from dals.appearance.features import features_in, part_around
from dals.appearance.image_use import ImageUse
from dals.appearance.learning import learn
from dals.appearance.log_odds_map import log_odds_map
from dals.appearance.mending import mended
from dals.appearance.nearness import Nearness
from dals.errors import FitCancelledError
from dals.fit_settings import FitSettings
from dals.fitting import FitResult, FitStep, OnStep, fit
from dals.fitting.image_term import LogOdds
from dals.fitting.plane_region import PlaneRegion
from dals.fitting.plane_residuals import PlaneResiduals
from dals.fitting.probable_fit import steps_of_refit
from dals.fitting.residuals import residual_term
from dals.fitting.solver import earlier_fit, fit_to_image
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import ImageSource
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

_BAND = 0.15
"""Canonical distance from the surface within which the image counts: few surfaces from three planes err by more."""
_MARGIN = 1.5
"""Of the band: how much of the image is looked at around the surface."""
_NEAR, _MOST = 0.1, 98.0
"""Canonical distance from an earlier surface, within which so many percent of the contours' points have to lie for it
to be looked from."""
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
        As in `dals.fitting.fit`. Looking takes seconds: of an earlier surface it hears at once, as step 0, moved onto
        the contours as they are now, and several times, so that it can cancel.

    Returns
    -------
    FitResult
        `drawn` itself where the image cannot be trusted.
    ImageUse
        Its `surface` is the one to take.

    Raises
    ------
    InputError
        If the image shows another place.
    FitCancelledError
        If `on_step` returned False.
    """
    began = time.monotonic()
    if drawn.is_earlier and on_step is not None:
        use, odds = look(contours, image, drawn, pause=partial(_go_on, on_step, _shown_at_once(contours, drawn)))
    else:
        use, odds = look(contours, image, drawn)
    result = drawn
    if odds is not None:
        result = fit_to_image(prior, contours, drawn, odds, trust=use.trust, pose=pose, on_step=on_step)
        result = replace(
            result, steps=drawn.steps + result.steps, seconds=drawn.seconds + result.seconds, plain=drawn.plain
        )
        mending = mended(result.mesh, odds, _of_contours(contours, drawn), trust=use.trust, pose=result.state.pose)
        use = replace(use, mending=mending)
    return result, replace(use, seconds=time.monotonic() - began)


def _shown_at_once(contours: PlanarContours, earlier: FitResult) -> FitStep:
    """Step 0: an earlier surface, moved onto the contours when somebody wants to see it."""
    term, settings, pose = _of_contours(contours, earlier), earlier.settings, earlier.state.pose

    @cache
    def loss_mm() -> float:
        return float(np.sqrt(np.mean(Nearness(earlier.mesh)(contours.points)[0] ** 2)))

    @cache
    def mesh() -> TriangleMesh:
        vertices = term.followed(pose.to_canonical(earlier.mesh.vertices), settings.level, pose)
        return TriangleMesh(pose.to_patient(vertices), earlier.mesh.faces)

    return FitStep("local", 0, steps_of_refit(settings), loss_mm, mesh)


def _of_contours(contours: PlanarContours, fitted: FitResult) -> PlaneResiduals:
    term = residual_term(contours, fitted.settings)
    assert isinstance(term, PlaneResiduals)
    return term


def _go_on(on_step: OnStep, step: FitStep) -> None:
    if on_step(step) is False:
        raise FitCancelledError


def surface_to_look_from(
    prior: ShapePrior,
    contours: PlanarContours,
    start: FitState,
    *,
    settings: FitSettings,
    pose: Pose | None = None,
    on_step: OnStep | None = None,
) -> FitResult:
    """The surface of an earlier fit, as it is if the contours are near it, else fitted to them.

    What the image said the last time is in the state: a fit of the contours alone would take it back.

    Parameters
    ----------
    prior, contours, start, settings, pose, on_step
        As in `dals.fitting.fit`.

    Returns
    -------
    FitResult
        `is_earlier` if it is the surface as it is.
    """
    earlier = earlier_fit(prior, contours, start, settings=settings, pose=pose)
    distances, _ = Nearness(earlier.mesh)(contours.points)
    if np.percentile(np.abs(distances), _MOST) < _NEAR * start.pose.scale:
        return earlier
    return fit(prior, contours, settings=settings, pose=pose, start=start, on_step=on_step)


def look(
    contours: PlanarContours, image: ImageSource, drawn: FitResult, *, pause: Callable[[], None] = lambda: None
) -> tuple[ImageUse, LogOdds | None]:
    """Learn how the organ looks where it was drawn, and classify what lies around the surface of a fit.

    Parameters and errors as in `fit_with_image`; there is no map where the image cannot be trusted. `pause` is called
    now and then.
    """
    pause()
    scale, seed = drawn.state.pose.scale, drawn.settings.seed
    band = _BAND * scale
    low, high = drawn.mesh.vertices.min(axis=0), drawn.mesh.vertices.max(axis=0)
    margin = _MARGIN * band
    part = part_around(image, low, high, margin_mm=margin, what="outlined")
    features = features_in(part, low - margin, high + margin, scale_mm=scale)
    if features is None:
        return ImageUse(name=image.name, trust=0.0, reason="The image shows nothing there."), None
    middle = 0.5 * (contours.bounds[0] + contours.bounds[1])
    regions = [
        PlaneRegion.of_contours(group, spacing_mm=_REGION_SPACING_MM, middle=middle) for group in contours.by_plane
    ]
    surface, planes = Nearness(drawn.mesh), []
    for region in regions:
        pause()
        planes.append(drawn_samples(region, features, surface, band_mm=band))
    pause()
    appearance = learn(planes, scale_mm=scale, band_mm=band, seed=seed)
    if appearance is None:
        return ImageUse(name=image.name, trust=0.0, reason="The image shows too little of the drawn planes."), None
    use = ImageUse(
        name=image.name,
        trust=round(appearance.trust, 3),
        error_percent=round(100 * appearance.error, 2),
        surface_error_percent=round(100 * appearance.surface_error, 2),
    )
    if appearance.trust < _LEAST_TRUST:
        return replace(use, trust=0.0, reason="The organ does not stand out from its neighbours in the image."), None
    pause()
    return use, log_odds_map(appearance, features, drawn.mesh, surface, regions, band_mm=band, pause=pause)
