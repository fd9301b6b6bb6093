"""The minimisation of Eq. 3, by Gauss-Newton or by Adam."""

from __future__ import annotations

import math
import time

import torch

from dals.fit_settings import FitSettings
from dals.fitting import kinds as _registered  # noqa: F401 (registers the kinds of observation)
from dals.fitting.data_term import data_term
from dals.fitting.evidence import weighed
from dals.fitting.gradient_fit import GradientFit
from dals.fitting.image_term import ImageTerm
from dals.fitting.probable_fit import ProbableFit
from dals.fitting.residuals import ResidualTerm, residual_term
from dals.fitting.result import FitResult, OnStep
from dals.geometry.log_odds import LogOdds
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import Observation

_FIRST_LOOK_STEPS = 4
"""From the surface of the contours alone to that of the image: further than after a contour was moved."""


def fit(
    prior: ShapePrior,
    observation: Observation,
    *,
    settings: FitSettings | None = None,
    pose: Pose | None = None,
    start: FitState | None = None,
    on_step: OnStep | None = None,
) -> FitResult:
    """Fit a prior to an observation.

    Parameters
    ----------
    prior : ShapePrior
        Its device does the computation.
    observation : Observation
    settings : FitSettings, optional
        Defaults to those of the kind of observation.
    pose : Pose, optional
        The true pose, if known; it stays fixed. Otherwise an initial pose is estimated from the observation and refined
        with the shape.
    start : FitState, optional
        End state of an earlier fit, from which to continue; its pose is refined further.
    on_step : callable, optional
        Called after each step; returning False cancels.

    Raises
    ------
    FitCancelledError
        If `on_step` returned False.
    InputError
        If `start` is of another prior.
    """
    began = time.monotonic()
    settings = weighed(settings or observation.defaults, observation)
    term = residual_term(observation, settings) if settings.method == "gauss-newton" else None
    if term is not None:
        return _probable_fit(prior, observation, term, settings, known=pose, start=start, on_step=on_step)
    gradual = GradientFit(prior, observation, settings, known=pose, on_step=on_step)
    mesh, state, loss = gradual.run(start)
    device = str(prior.latent_mean.device)
    seconds = time.monotonic() - began
    return FitResult(mesh, state, loss, gradual.descent.done, seconds, device, settings, improbability=loss)


def earlier_fit(
    prior: ShapePrior, observation: Observation, start: FitState, *, settings: FitSettings, pose: Pose | None = None
) -> FitResult:
    """The surface of an earlier fit by Gauss-Newton as it is, as if no step had been taken; parameters as in `fit`."""
    settings = weighed(settings, observation)
    term = residual_term(observation, settings)
    if term is None:
        raise TypeError(f"observations of kind {observation.kind} have no residuals")
    mesh = ProbableFit(prior, observation, term, settings, known=pose, on_step=None).earlier(start)
    return FitResult(mesh, start, math.nan, 0, 0.0, str(prior.latent_mean.device), settings)


def fit_to_image(
    prior: ShapePrior,
    observation: Observation,
    earlier: FitResult,
    odds: LogOdds,
    *,
    trust: float,
    steps: int | None = None,
    pose: Pose | None = None,
    on_step: OnStep | None = None,
) -> FitResult:
    """Continue a fit by Gauss-Newton with what an image says of the surface.

    Parameters
    ----------
    prior, observation
        As in `fit`.
    earlier : FitResult
        Of the observation alone.
    odds : LogOdds
    trust : float
        0 to 1, how much the image counts.
    steps : int, optional
        If not as many as after a contour was moved, or from a fit of the observation alone.
    pose, on_step
        As in `fit`.
    """
    drawn = residual_term(observation, earlier.settings)
    if drawn is None:
        raise TypeError(f"observations of kind {observation.kind} have no residuals")
    term = ImageTerm(drawn, odds, trust=trust)
    if steps is None and not earlier.is_earlier:
        steps = min(_FIRST_LOOK_STEPS, earlier.settings.total_steps)
    return _probable_fit(
        prior,
        observation,
        term,
        earlier.settings,
        known=pose,
        start=earlier.state,
        steps=steps,
        on_step=on_step,
    )


def _probable_fit(
    prior: ShapePrior,
    observation: Observation,
    term: ResidualTerm,
    settings: FitSettings,
    *,
    known: Pose | None,
    start: FitState | None,
    steps: int | None = None,
    on_step: OnStep | None,
) -> FitResult:
    """Fit by Gauss-Newton."""
    began = time.monotonic()
    probable = ProbableFit(prior, observation, term, settings, known=known, on_step=on_step)
    mesh, state = probable.run(start, steps=steps)
    device = prior.latent_mean.device
    vertices = torch.as_tensor(state.pose.to_canonical(mesh.vertices), dtype=torch.float32, device=device)
    generator = torch.Generator(device=device).manual_seed(settings.seed)
    task = data_term(observation, state.pose, settings, device)
    loss = float(task(vertices, torch.as_tensor(mesh.faces, device=device), generator))
    seconds = time.monotonic() - began
    return FitResult(
        mesh,
        state,
        loss,
        probable.done,
        seconds,
        str(device),
        settings,
        improbability=probable.improbability,
        plain=probable.plain,
    )
