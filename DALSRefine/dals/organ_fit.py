"""From an observation to a surface that has no report yet: which fit, with the image or without, of which side."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dals.edits import EditedFit, edited_fit
from dals.errors import DalsWarning, InputError
from dals.evaluation.plain_shape import departure, with_plain
from dals.evaluation.report import unusual_size
from dals.evaluation.uncertainty import error_between_planes, led_unusually_far
from dals.fit_settings import FitSettings
from dals.fitting import FitResult, FitState, OnStep, fit
from dals.fitting.imprint import Imprint, imprinted
from dals.fitting.plane_residuals import PlaneResiduals
from dals.fitting.residuals import residual_term
from dals.fitting.sides import SideChoice, fit_on_side
from dals.geometry.mesh import TriangleMesh
from dals.geometry.remeshing import remesh as even_out
from dals.geometry.volume import ImageSource
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import Observation, PlanarContours, Segmentation

if TYPE_CHECKING:
    from dals.appearance.image_use import ImageUse
    from dals.edits.testimony import Witness


@dataclass(frozen=True, eq=False)
class OrganFit:
    """A fit that has no report yet.

    Attributes
    ----------
    observation : Observation
    prior : ShapePrior
        Of the side that was taken.
    result : FitResult
    mesh : TriangleMesh
        Of the result, or what the image and the drawing made of it, possibly remeshed, RAS mm.
    pose_known, remeshed : bool
    remesh_seconds : float
    image_use : ImageUse or None
    imprint : Imprint or None
        Of contours, where the drawing had the last word.
    side_tried : bool
        Whether both sides of the body were tried.
    """

    observation: Observation
    prior: ShapePrior
    result: FitResult
    mesh: TriangleMesh
    pose_known: bool
    remeshed: bool
    remesh_seconds: float
    image_use: ImageUse | None = None
    imprint: Imprint | None = None
    side_tried: bool = False


def with_edits(fitted: OrganFit, chosen: Iterable[int]) -> OrganFit:
    """A fit with another choice of its edits; one without edits as it is."""
    if not isinstance(fitted.result, EditedFit):
        return fitted
    result = fitted.result.with_edits(chosen)
    return replace(fitted, result=result, mesh=even_out(result.mesh) if fitted.remeshed else result.mesh)


def fit_organ(
    observation: Observation,
    prior: ShapePrior,
    *,
    settings: FitSettings | None,
    start: FitState | None = None,
    pose: Pose | None = None,
    image: ImageSource | None = None,
    side: SideChoice = "auto",
    remesh: bool,
    on_step: OnStep | None,
) -> OrganFit:
    """Fit one organ; parameters and errors as in `dals.refine`."""
    for sentence in (*observation.notices, unusual_size(observation, prior)):
        if sentence is not None:
            warnings.warn(sentence, DalsWarning, stacklevel=2)
    if image is not None:
        _check_image_use(observation, settings)
    chosen = settings or observation.defaults

    witness = None
    if image is not None and isinstance(observation, Segmentation):
        from dals.appearance.segmentation_image import use_of, witness_of  # most fits have no image

        witness = witness_of(image, observation, seed=chosen.seed)

    def solve(one: ShapePrior, told: OnStep | None) -> FitResult:
        if image is not None and isinstance(observation, PlanarContours) and start is not None:
            from dals.appearance.image_fit import surface_to_look_from  # most fits have no image

            return surface_to_look_from(one, observation, start, settings=chosen, pose=pose, on_step=told)
        return _solve(observation, one, chosen, start=start, pose=pose, witness=witness, on_step=told)

    sided = fit_on_side(prior, side, solve, start=start, on_step=on_step)
    prior, result, use = sided.prior, sided.result, None
    if not sided.clear:
        sentence = (
            f"Left or right is not clear from what was observed; a {prior.side} {prior.name} was taken. Please state "
            "the side."
        )
        warnings.warn(sentence, DalsWarning, stacklevel=2)
    if image is not None and isinstance(observation, PlanarContours):
        result, use = follow_image(prior, observation, image, result, pose=pose, on_step=on_step)
        if result.is_earlier:  # the image was no help, and the contours may have moved
            result = _solve(observation, prior, chosen, start=start, pose=pose, witness=None, on_step=on_step)
        _warn_of_unused(use, "the surface is that of the contours alone")
    if image is not None and isinstance(result, EditedFit):
        use = use_of(result, image)
        _warn_of_unused(use, "the edits are those of the shape alone")
    mesh = result.mesh if use is None else use.surface(result.mesh)
    imprint = imprint_on(mesh, observation, result)
    mesh = mesh if imprint is None else imprint.mesh
    began = time.monotonic()
    mesh = even_out(mesh) if remesh else mesh
    spent = time.monotonic() - began
    return OrganFit(observation, prior, result, mesh, pose is not None, remesh, spent, use, imprint, sided.tried)


def follow_image(
    prior: ShapePrior,
    contours: PlanarContours,
    image: ImageSource,
    drawn: FitResult,
    *,
    pose: Pose | None = None,
    on_step: OnStep | None = None,
) -> tuple[FitResult, ImageUse]:
    """Move the surface between the drawn planes to where the image places it, as `dals.refine` does.

    An image that moved it far is looked at once more, from where the surface is then, unless that is far from all known
    shapes. Parameters, results and errors are those of `dals.appearance.image_fit.fit_with_image`.
    """
    from dals.appearance.image_fit import fit_with_image  # most fits have no image
    from dals.appearance.learning import USUAL_ERROR

    seen_before = drawn.state.departure is not None
    judged = drawn if seen_before else _judged(contours, drawn, prior, known=pose is not None)
    state = judged.state
    error = USUAL_ERROR if state.error is None else state.error

    def once(result: FitResult) -> bool:
        return led_unusually_far(_with_judgement(result, state))

    result, use = fit_with_image(prior, contours, image, judged, error=error, once=once, pose=pose, on_step=on_step)
    return (drawn if result is judged else _with_judgement(result, state)), use


def imprint_on(mesh: TriangleMesh, observation: Observation, result: FitResult) -> Imprint | None:
    """What the drawing makes of a surface (RAS mm) that was fitted to contours; None where it stays as it is."""
    if not isinstance(observation, PlanarContours) or result.settings.single_latent:
        return None
    if result.settings.method != "gauss-newton":
        return None
    term = residual_term(observation, result.settings)
    assert isinstance(term, PlaneResiduals)
    return imprinted(mesh, observation, term.regions, unit=result.state.pose.scale)


def _judged(contours: PlanarContours, drawn: FitResult, prior: ShapePrior, *, known: bool) -> FitResult:
    """A fit of contours alone; its state tells how good it is, so that later ones know when an image has moved it."""
    drawn = with_plain(contours, drawn, prior)
    error = error_between_planes(contours, drawn, prior, known=known)
    departed = None if drawn.plain is None else departure(drawn.mesh, drawn.plain) / drawn.state.pose.scale
    return replace(drawn, state=replace(drawn.state, departure=departed, error=error))


def _with_judgement(result: FitResult, state: FitState) -> FitResult:
    return replace(result, state=replace(result.state, departure=state.departure, error=state.error))


def _warn_of_unused(use: ImageUse, instead: str) -> None:
    if use.reason:
        warnings.warn(f"The image {use.name} was not used; {instead}. {use.reason}", DalsWarning, stacklevel=3)


def _check_image_use(observation: Observation, settings: FitSettings | None) -> None:
    """Raise before the fit if an image cannot be used with it."""
    if not isinstance(observation, PlanarContours | Segmentation):
        raise InputError(
            "An image can be used with contours, painted slices and full segmentations only; please leave it out for "
            "points."
        )
    chosen = settings or observation.defaults
    if chosen.method != "gauss-newton" if isinstance(observation, PlanarContours) else chosen.edits is None:
        raise InputError("An image can be used with the default method only; please leave out the paper's settings.")


def _solve(
    observation: Observation,
    prior: ShapePrior,
    settings: FitSettings,
    *,
    start: FitState | None,
    pose: Pose | None,
    witness: Witness | None,
    on_step: OnStep | None,
) -> FitResult:
    """Edit a segmentation, or fit a surface of the template."""
    if settings.edits is None:
        return fit(prior, observation, settings=settings, pose=pose, start=start, on_step=on_step)
    assert isinstance(observation, Segmentation)  # no other kind's settings have edits
    return edited_fit(prior, observation, settings=settings, pose=pose, witness=witness, on_step=on_step)
