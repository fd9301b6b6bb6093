"""From a segmentation and a prior to the edited segmentation and its surface."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from dals.edits.candidates import APART, Candidate, find_candidates, regrown
from dals.edits.composition import grown
from dals.edits.edit import Edit
from dals.edits.judgement import PROPOSED, is_applied, probability_of_error
from dals.edits.listing import all_edits
from dals.edits.plan import Composition, EditPlan
from dals.edits.testimony import Scene, Testimony, Witness
from dals.errors import FitCancelledError
from dals.fit_settings import Edits, FitSettings
from dals.fitting import FitResult, FitState, FitStep, OnStep
from dals.fitting.boundary_confidence import boundary_confidence
from dals.fitting.surface_regression import Boundary, SurfaceFit, regress
from dals.geometry.label_map import LabelMap, marked_box
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.signed_lattice import Field, SignedLattice, signed_distance, signed_lattice
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.shape_space import ShapeSpace
from dals.model.template import icosphere
from dals.observations import Segmentation

_MARGIN = 0.08
"""Of the organ's largest extent."""
_BEYOND = 0.4
"""The same where the organ may be continued beyond the image's border."""
_MOST_POINTS = 1_600_000
_BOUNDARY_POINTS = 30_000
_LEVEL = 4
_AROUND = 2.0
"""Of `APART`: how far around what is wrong the boundary says nothing in the second fit."""
SAME_ORGAN = 0.8
"""Dice coefficient of the prior's surface with the segmentation below which nothing is changed."""


@dataclass(frozen=True)
class EditedFit(FitResult):
    """A segmentation with edits; `mesh` is its surface.

    Attributes
    ----------
    plan : EditPlan
        The edits, largest first, those that are only proposed last; others than the applied ones can be carried out.
    composition : Composition
        The segmentation with the applied edits.
    likeness : float
        Dice coefficient of the prior's surface with the segmentation.
    prior_surface : TriangleMesh
        The prior's own surface, RAS mm.
    residual_mm : dict
        Mean and maximum distance of the segmentation's boundary from the result, millimetres.
    boundary : (N, 3)
        Points of that boundary, RAS mm, without the image's border.
    testimony : Testimony or None
        Of the image, if it was asked.
    changed_by_image : int
        How many leaks and missing parts are carried out, or not, because of an image.
    """

    plan: EditPlan
    composition: Composition
    likeness: float
    prior_surface: TriangleMesh
    residual_mm: dict[str, float]
    boundary: FloatArray
    testimony: Testimony | None = None
    changed_by_image: int = 0

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The plan's edits."""
        return self.plan.edits

    @property
    def segment(self) -> LabelMap:
        """The result on the segmentation's grid."""
        return self.composition.label_map

    @property
    def is_cut(self) -> bool:
        """Whether the organ reaches the image's border."""
        return self.plan.lattice.is_cut

    def as_fields(self) -> dict[str, Any]:
        """Entries for a report."""
        return {"edits": [edit.as_fields() for edit in self.edits], "cut_by_image_border": self.is_cut}

    def with_edits(self, chosen: Iterable[int]) -> EditedFit:
        """The same fit with another choice of the edits, by their indices."""
        kept = set(chosen)
        edits = tuple(edit.with_state(applied=index in kept) for index, edit in enumerate(self.edits))
        plan = replace(self.plan, edits=edits)
        result = plan.carried_out()
        residual_mm = _residual_mm(plan.lattice, result.field, self.boundary)
        return replace(self, mesh=result.mesh, plan=plan, composition=result, residual_mm=residual_mm)


def edited_fit(
    prior: ShapePrior,
    segmentation: Segmentation,
    *,
    settings: FitSettings,
    pose: Pose | None = None,
    witness: Witness | None = None,
    on_step: OnStep | None = None,
) -> EditedFit:
    """Edit a segmentation where a prior finds it implausible.

    Parameters
    ----------
    prior : ShapePrior
    segmentation : Segmentation
    settings : FitSettings
        `edits` says which edits are carried out, `complete` whether an organ that the image's border cuts off is
        continued beyond it.
    pose : Pose, optional
        The true pose, if known.
    witness : callable, optional
        What the patient's image says of the places. It is not asked if the segmentation does not look like the organ.
    on_step : callable, optional
        Called after each step of the prior's fit; returning False cancels.

    Raises
    ------
    FitCancelledError
        If `on_step` returned False.
    """
    began = time.monotonic()
    solid = segmentation.label_map.with_part(segmentation.solid)
    low, high = segmentation.solid.marked_bounds
    margin = (_BEYOND if settings.complete and solid.touches_border else _MARGIN) * float((high - low).max())
    lattice = signed_lattice(solid, margin_mm=margin, most_points=_MOST_POINTS)
    half = 0.5 * np.linalg.norm(solid.ijk_to_ras[:3, :3], axis=1)
    space = prior.shape_space
    boundary = _boundary(segmentation, lattice, seed=settings.seed)
    bounds = (low - half, high + half)
    fit = regress(space, boundary, bounds, known=pose, on_step=_teller(on_step, lattice))
    surface = prior_surface(prior, space, fit)
    field = lattice.distance_of(surface)
    unit, likeness = fit.pose.scale, _overlap(lattice, field)
    least: Edits = "all" if settings.edits == "all" else "applied"
    judged, testimony = find_candidates(lattice, field, fit), None
    if witness is not None and likeness >= SAME_ORGAN:
        testimony = witness(Scene(lattice, field, surface, fit, judged))
        judged = [testimony.told(one, lattice) for one in judged]
    found = [one for one in judged if probability_of_error(one) >= PROPOSED]
    wrong = [one for one in found if is_applied(one, least, same_organ=True)]
    if wrong:
        # What is wrong must not bend the prior's surface.
        fit = regress(space, _without(boundary, wrong, lattice, unit), bounds, known=pose, start=fit)
        surface = prior_surface(prior, space, fit)
        field = lattice.distance_of(surface)
        doubtful = [one for one in found if one not in wrong]
        found = [*regrown(wrong, find_candidates(lattice, field, fit)), *doubtful]
    edits, places = all_edits(
        segmentation.label_map,
        solid,
        lattice,
        field,
        fit,
        found,
        wanted=settings.edits or "applied",
        same_organ=likeness >= SAME_ORGAN,
    )
    plan = EditPlan(segmentation.label_map, solid, lattice, field, unit, edits, places, completing=settings.complete)
    result = plan.carried_out()
    distance = lattice.at(lattice.values, surface.vertices)
    observed = boundary.points[boundary.weights > 0]
    return EditedFit(
        result.mesh,
        FitState(fit.pose, space.latent(fit.coefficients), None, _LEVEL, prior.side),
        float(np.mean((distance / unit) ** 2)),
        fit.steps,
        time.monotonic() - began,
        str(prior.latent_mean.device),
        settings,
        plan=plan,
        composition=result,
        improbability=1.0 - likeness,
        likeness=likeness,
        prior_surface=surface,
        residual_mm=_residual_mm(lattice, result.field, observed),
        boundary=observed,
        testimony=testimony,
        changed_by_image=_changed_by_image(judged, least),
    )


def _changed_by_image(judged: Sequence[Candidate], wanted: Edits) -> int:
    """How many candidates would be treated otherwise without an image."""

    def applied(one: Candidate) -> bool:
        return is_applied(one, wanted, same_organ=True)

    return sum(applied(one) != applied(replace(one, trust=0.0)) for one in judged)


def prior_surface(prior: ShapePrior, space: ShapeSpace, fit: SurfaceFit) -> TriangleMesh:
    """A regression's surface on the template of level 4, RAS mm.

    The decoder gives the detail between the vertices at which the regression worked; its difference from the linear
    shape space is taken off.
    """
    fine, latent = icosphere(_LEVEL), torch.from_numpy(space.latent(fit.coefficients))
    with torch.no_grad():
        decoded = prior.decoder(latent.to(prior.latent_mean.device)[None], prior.sphere(fine)).cpu().double()
    linear = space.mean + space.modes @ fit.coefficients
    vertices = decoded + fine.prolong(torch.from_numpy(linear) - decoded[: len(linear)])
    return TriangleMesh(fit.displaced(fit.pose.to_patient(vertices.numpy()), _LEVEL), fine.faces)


def _boundary(segmentation: Segmentation, lattice: SignedLattice, *, seed: int) -> Boundary:
    """Points on the boundary; beyond the image's border they say nothing."""
    mesh = lattice.surface()
    rng = np.random.default_rng(seed)
    areas = mesh.face_areas
    faces = rng.choice(len(areas), _BOUNDARY_POINTS, p=areas / areas.sum())
    root, split = np.sqrt(rng.random(_BOUNDARY_POINTS)), rng.random(_BOUNDARY_POINTS)
    shares = np.stack([1 - root, root * (1 - split), root * split], axis=1)
    points = np.einsum("nk,nkd->nd", shares, mesh.corners[faces])
    weights = np.ones(len(points))
    if lattice.is_cut:
        beyond = np.maximum(lattice.beyond, -1e3)
        weights[lattice.at(beyond, points) > -0.5 * float(lattice.spacing.max())] = 0.0
    if segmentation.probabilities is not None:
        weights *= boundary_confidence(segmentation.probabilities, segmentation.label_map, points)
    return Boundary(points, weights)


def _residual_mm(lattice: SignedLattice, field: Field, points: FloatArray) -> dict[str, float]:
    """Mean and maximum distance of points from a field's surface, mm."""
    distances = np.abs(lattice.at(field, points))
    return {"mean": float(distances.mean()), "maximum": float(distances.max())}


def _without(boundary: Boundary, found: Sequence[Candidate], lattice: SignedLattice, unit: float) -> Boundary:
    """The boundary, knowing nothing in and around regions."""
    there = np.zeros(lattice.values.shape, dtype=np.bool_)
    for one in found:
        there[one.box] |= one.region
    around = _AROUND * APART * unit
    box = grown(marked_box(there), around + float(lattice.spacing.max()), lattice)
    away = np.full(there.shape, 2 * around, dtype=np.float32)
    away[box] = signed_distance(there[box], lattice.spacing)
    return Boundary(boundary.points, np.where(lattice.at(away, boundary.points) > around, boundary.weights, 0.0))


def _teller(on_step: OnStep | None, lattice: SignedLattice) -> Any:
    if on_step is None:
        return None
    faces = icosphere(3).faces

    def tell(done: int, total: int, vertices: FloatArray) -> None:
        step = FitStep(
            "shared",
            done,
            total,
            lambda: float(np.sqrt(np.mean(lattice.at(lattice.values, vertices) ** 2))),
            lambda: TriangleMesh(vertices, faces),
        )
        if on_step(step) is False:
            raise FitCancelledError

    return tell


def _overlap(lattice: SignedLattice, prior: Field) -> float:
    """Dice coefficient of mask and prior within the image."""
    seen = lattice.beyond <= 0
    a, b = (lattice.values < 0) & seen, (prior < 0) & seen
    return 2 * int(np.count_nonzero(a & b)) / max(int(np.count_nonzero(a)) + int(np.count_nonzero(b)), 1)
