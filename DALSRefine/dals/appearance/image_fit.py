"""Surface, appearance, surface: a fit of contours that looks at the image between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np

from dals.appearance.image_use import ImageUse
from dals.appearance.learning import USUAL_ERROR
from dals.appearance.mending import mended
from dals.appearance.nearness import Nearness
from dals.appearance.view import View
from dals.errors import FitCancelledError
from dals.fit_settings import FitSettings
from dals.fitting import FitResult, FitStep, OnStep, fit
from dals.fitting.plane_residuals import PlaneResiduals
from dals.fitting.probable_fit import steps_of_refit
from dals.fitting.residuals import residual_term
from dals.fitting.solver import earlier_fit, fit_to_image
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import ImageSource
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.seen_image import SeenImage
from dals.observations import PlanarContours

_FAR = 0.01
"""Mean canonical distance that calls for another look."""
_STEPS_OF_RECALLED = 1
"""Where neither image nor outlines are others, there is not far to go."""
_NEAR, _MOST = 0.1, 98.0
"""Canonical distance from an earlier surface, within which so many percent of the contours' points have to lie for it
to be looked from."""


def fit_with_image(
    prior: ShapePrior,
    contours: PlanarContours,
    image: ImageSource,
    drawn: FitResult,
    *,
    error: float = USUAL_ERROR,
    once: Callable[[FitResult], bool] = lambda _: False,
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
    error : float
        Standard deviation (canonical) of the errors that the contours alone left between the planes, as far as known.
    once : callable, optional
        Whether one look is enough for a result. Otherwise an image that moved it far is looked at again, from there.
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
    view = View.around(contours, image, drawn.mesh, scale_mm=drawn.state.pose.scale)
    before = drawn.state.seen if drawn.is_earlier else None
    recalled = None if before is None else view.recalled(before)
    pause = _nothing
    if drawn.is_earlier and on_step is not None:
        steps = steps_of_refit(drawn.settings) if recalled is None else _STEPS_OF_RECALLED
        pause = partial(_go_on, on_step, _shown_at_once(contours, drawn, steps))
    pause()

    def moved(start: FitResult, surface: Nearness, use: ImageUse, seen: SeenImage | None) -> tuple[FitResult, ImageUse]:
        if seen is None:
            return start, use
        odds = view.with_drawn(seen, surface)
        steps = _STEPS_OF_RECALLED if use.recalled else None
        result = fit_to_image(prior, contours, start, odds, trust=use.trust, steps=steps, pose=pose, on_step=on_step)
        result = replace(
            result,
            state=replace(result.state, seen=seen),
            steps=start.steps + result.steps,
            seconds=start.seconds + result.seconds,
            plain=start.plain,
        )
        mending = mended(result.mesh, odds, _of_contours(contours, drawn), trust=use.trust, pose=result.state.pose)
        return result, replace(use, mending=mending)

    def look(start: FitResult, surface: Nearness) -> tuple[FitResult, ImageUse]:
        return moved(start, surface, *view.seen_from(surface, error=error, seed=drawn.settings.seed, pause=pause))

    surface = Nearness(drawn.mesh)
    result, use = look(drawn, surface) if recalled is None else moved(drawn, surface, recalled, before)
    nearer = replace(result, mesh=use.surface(result.mesh))
    if result is not drawn and _is_far(nearer.mesh, surface, drawn.state.pose) and not once(result):
        again, seen = look(nearer, Nearness(nearer.mesh))
        if again is not nearer:
            result, use = again, replace(use, mending=seen.mending, recalled=False)
    return result, replace(use, seconds=time.monotonic() - began)


def _nothing() -> None:
    pass


def _is_far(mesh: TriangleMesh, surface: Nearness, pose: Pose) -> bool:
    """Whether a mesh is so far from the surface where the image was looked at that it is seen better from there."""
    distances, _ = surface(mesh.vertices)
    return float(np.abs(distances).mean()) > _FAR * pose.scale


def _shown_at_once(contours: PlanarContours, earlier: FitResult, steps: int) -> FitStep:
    """Step 0 of so many: an earlier surface, moved onto the contours when somebody wants to see it."""
    term, settings, pose = _of_contours(contours, earlier), earlier.settings, earlier.state.pose

    @cache
    def loss_mm() -> float:
        return float(np.sqrt(np.mean(Nearness(earlier.mesh)(contours.points)[0] ** 2)))

    @cache
    def mesh() -> TriangleMesh:
        vertices = term.followed(pose.to_canonical(earlier.mesh.vertices), settings.level, pose)
        return TriangleMesh(pose.to_patient(vertices), earlier.mesh.faces)

    return FitStep("local", 0, steps, loss_mm, mesh)


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
