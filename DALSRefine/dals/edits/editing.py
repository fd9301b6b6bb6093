"""From a segmentation and a prior to the edited segmentation and its surface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from dals.edits.candidates import APART, Candidate, find_candidates, regrown
from dals.edits.composition import capped, completed, composed, in_one_piece, on_voxels, smoothed
from dals.edits.edit import Edit, EditKind
from dals.edits.judgement import PROPOSED, is_applied, probability_of_error
from dals.errors import FitCancelledError
from dals.fit_settings import FitSettings
from dals.fitting import FitResult, FitState, FitStep, OnStep
from dals.fitting.boundary_confidence import boundary_confidence
from dals.fitting.surface_regression import Boundary, SurfaceFit, regress
from dals.geometry.label_map import BoolArray, LabelMap, marked_box
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.signed_lattice import Field, SignedLattice, signed_distance, signed_lattice
from dals.geometry.transforms import apply_matrix
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.shape_space import ShapeSpace, shape_space
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
_SAME_ORGAN = 0.8
"""Dice coefficient of the prior's surface with the segmentation below which nothing is changed."""


@dataclass(frozen=True)
class EditedFit(FitResult):
    """A segmentation with edits; `mesh` is its surface.

    Attributes
    ----------
    edits : tuple of Edit
        Largest first, those that are only proposed last.
    segment : LabelMap
        The result on the segmentation's grid.
    proposed_removals, proposed_additions : LabelMap
        What the edits that are only proposed would change, on that grid.
    is_cut : bool
        Whether the organ reaches the image's border.
    prior_surface : TriangleMesh
        The prior's own surface, RAS mm.
    """

    edits: tuple[Edit, ...] = ()
    segment: LabelMap | None = None
    proposed_removals: LabelMap | None = None
    proposed_additions: LabelMap | None = None
    is_cut: bool = False
    prior_surface: TriangleMesh | None = None

    def as_fields(self) -> dict[str, Any]:
        """Entries for a report."""
        return {"edits": [edit.as_fields() for edit in self.edits], "cut_by_image_border": self.is_cut}


def edited_fit(
    prior: ShapePrior,
    segmentation: Segmentation,
    *,
    settings: FitSettings,
    pose: Pose | None = None,
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
    on_step : callable, optional
        Called after each step of the prior's fit; returning False cancels.

    Raises
    ------
    FitCancelledError
        If `on_step` returned False.
    """
    began = time.monotonic()
    given = segmentation.label_map.with_part(segmentation.solid)
    low, high = given.marked_bounds
    margin = (_BEYOND if settings.complete and given.touches_border else _MARGIN) * float((high - low).max())
    lattice = signed_lattice(given, margin_mm=margin, most_points=_MOST_POINTS)
    half = 0.5 * np.linalg.norm(given.ijk_to_ras[:3, :3], axis=1)
    space = shape_space(prior)
    boundary = _boundary(segmentation, lattice, seed=settings.seed)
    bounds = (low - half, high + half)
    fit = regress(space, boundary, bounds, known=pose, on_step=_teller(on_step, lattice))
    surface = prior_surface(prior, space, fit)
    field = lattice.distance_of(surface)
    unit, wanted, same = fit.pose.scale, settings.edits or "applied", _overlap(lattice, field) >= _SAME_ORGAN
    found = [one for one in find_candidates(lattice, field, fit) if probability_of_error(one) >= PROPOSED]
    chosen = [one for one in found if is_applied(one, wanted, same_organ=same)]
    left = [one for one in found if not is_applied(one, wanted, same_organ=same)]
    if chosen:
        # What is wrong must not bend the prior's surface.
        fit = regress(space, _without(boundary, chosen, lattice, unit), bounds, known=pose, start=fit)
        surface = prior_surface(prior, space, fit)
        field = lattice.distance_of(surface)
        chosen = regrown(chosen, find_candidates(lattice, field, fit))
    values = composed(lattice, field, chosen, unit=unit)
    # What the border cuts off is judged within the image first.
    within = in_one_piece(capped(values, lattice))
    segment = on_voxels(within, lattice, given)
    whole = in_one_piece(completed(values, lattice, field, unit=unit)) if settings.complete else within
    mesh = lattice.surface(smoothed(whole, lattice))
    edits = [
        *(_edit(one, applied=True) for one in chosen),
        *(_edit(one, applied=False) for one in left),
        *_islands_and_holes(segmentation, given, lattice, field, fit),
    ]
    edits = sorted(edits, key=lambda edit: (not edit.applied, -edit.volume_ml))
    removals, additions = (_on_voxels([one for one in left if one.surplus == s], lattice, given) for s in (True, False))
    distance = lattice.at(lattice.values, surface.vertices)
    return EditedFit(
        mesh,
        FitState(fit.pose, space.latent(fit.coefficients), None, _LEVEL),
        float(np.mean((distance / unit) ** 2)),
        fit.steps,
        time.monotonic() - began,
        str(prior.latent_mean.device),
        settings,
        edits=tuple(edits),
        segment=segment,
        proposed_removals=removals,
        proposed_additions=additions,
        is_cut=lattice.is_cut,
        prior_surface=surface,
    )


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


def _without(boundary: Boundary, chosen: Sequence[Candidate], lattice: SignedLattice, unit: float) -> Boundary:
    """The boundary, knowing nothing in and around regions."""
    there = np.zeros(lattice.values.shape, dtype=np.bool_)
    for one in chosen:
        there[one.box] |= one.region
    away = lattice.at(signed_distance(there, lattice.spacing), boundary.points)
    return Boundary(boundary.points, np.where(away > _AROUND * APART * unit, boundary.weights, 0.0))


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
            raise FitCancelledError("The refinement was cancelled; nothing was changed.")

    return tell


def _overlap(lattice: SignedLattice, prior: Field) -> float:
    """Dice coefficient of mask and prior within the image."""
    seen = lattice.beyond <= 0
    a, b = (lattice.values < 0) & seen, (prior < 0) & seen
    return 2 * np.count_nonzero(a & b) / max(np.count_nonzero(a) + np.count_nonzero(b), 1)


def _edit(candidate: Candidate, *, applied: bool) -> Edit:
    return Edit(
        kind="leak cut" if candidate.surplus else "missing part restored",
        centre_mm=_place(candidate.centre_mm),
        volume_ml=candidate.volume_ml,
        depth_mm=candidate.depth_mm,
        input_deviations=candidate.deviations,
        result_deviations=0.0 if applied else candidate.deviations,
        probability=probability_of_error(candidate),
        applied=applied,
    )


def _islands_and_holes(
    segmentation: Segmentation, given: LabelMap, lattice: SignedLattice, prior: Field, fit: SurfaceFit
) -> list[Edit]:
    """What `Segmentation.solid` leaves out and fills."""
    edits: list[Edit] = []
    box = marked_box(segmentation.label_map.array | given.array)
    assert box is not None
    raw, solid = segmentation.label_map.within(box), given.within(box)
    pairs: tuple[tuple[EditKind, BoolArray], ...] = (
        ("island removed", raw.array & ~solid.array),
        ("hole filled", solid.array & ~raw.array),
    )
    voxel_ml = abs(float(np.linalg.det(raw.ijk_to_ras[:3, :3]))) / 1e3
    for kind, where in pairs:
        if not where.any():
            continue
        labels, _ = ndimage.label(where)
        for number, part in enumerate(ndimage.find_objects(labels), start=1):
            indices = np.argwhere(labels[part] == number) + [one.start for one in part]
            points = apply_matrix(raw.ijk_to_ras, indices[:, ::-1])
            depth = np.abs(lattice.at(lattice.values, points))
            away = np.abs(lattice.at(prior, points)).mean() / max(float(fit.deviations.mean()), 1e-6)
            edits.append(
                Edit(
                    kind, _place(points.mean(axis=0)), len(points) * voxel_ml, float(depth.max()), away, 0.0, 1.0, True
                )
            )
    return edits


def _on_voxels(candidates: Sequence[Candidate], lattice: SignedLattice, given: LabelMap) -> LabelMap:
    """Regions on the voxels of the mask."""
    field = np.ones(lattice.values.shape, dtype=np.float32)
    for one in candidates:
        field[one.box][one.region] = -1.0
    empty = replace(lattice, values=np.ones_like(field), beyond=np.full_like(field, -np.inf))
    return on_voxels(field, empty, given.empty_like())


def _place(point: FloatArray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 2) for value in point)
    return x, y, z
