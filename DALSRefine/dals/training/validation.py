"""Held-out error of a prior in training, in millimetres, and whether the prior is of any use."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from dals.dataset.normalisation import NormalisedShape
from dals.errors import DalsError, collected_warnings
from dals.evaluation.metrics import compare, sample_points
from dals.fitting import fit
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import TriangleMesh
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Contour, Observation, PlanarContours, PointCloud

MOST_SHAPES = 5
_LEAST_TRAINING = 8
"""Fewer shapes are all needed for the training."""
_ONE_IN = 10
_POINTS = 2_500
_SAMPLES = 20_000
_COMPARED = 30
"""Shapes among which the most typical one is sought."""
_COMPARED_POINTS = 500
_DECODED = 8
"""Training shapes that are decoded, to find out whether they were learnt."""
_DECODED_LEVEL = 4
_SIDES = re.compile(r"(?<![^\W_])(left|right|lt|rt|l|r|mirrored)(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True)
class HeldOutError:
    """Mean distance between surfaces of shapes that training does not see and what is fitted to parts of them.

    Attributes
    ----------
    cases : int
        Number of shapes.
    points_mm : float
        Fitted to 2,500 points.
    planes_mm : float
        Fitted to the outlines on three orthogonal planes through the centre.
    typical_mm : float
        The most typical training shape instead of a fit, in the true place and size.
    """

    cases: int
    points_mm: float
    planes_mm: float
    typical_mm: float

    def __str__(self) -> str:
        return (
            f"Off by {self.planes_mm:.2f} mm from three planes and by {self.points_mm:.2f} mm from points on "
            f"{self.cases} shapes that it has not seen; a typical training shape is off by {self.typical_mm:.2f} mm."
        )


def subject_of(name: str) -> str:
    """The name of a shape without words for a side of the body: the two organs of a patient share it."""
    return "-".join(re.findall(r"[^\W_]+", _SIDES.sub("", name)))


def split(
    shapes: Sequence[NormalisedShape], count: int | None = None
) -> tuple[list[NormalisedShape], list[NormalisedShape]]:
    """Set shapes aside for validation, evenly over the names; a patient's organs stay together.

    Parameters
    ----------
    shapes : sequence of NormalisedShape
    count : int, optional
        How many, at least, unless too few would be left; by default one in ten, at most five, none of fewer than 8.

    Returns
    -------
    training, validation : list of NormalisedShape
    """
    if count is None:
        count = 0 if len(shapes) < _LEAST_TRAINING else min(MOST_SHAPES, max(1, len(shapes) // _ONE_IN))
    subjects = sorted({subject_of(shape.name) for shape in shapes})
    order = [subjects[k] for k in _spread(len(subjects))]
    chosen: set[str] = set()
    for subject in order:
        if sum(subject_of(shape.name) in chosen for shape in shapes) >= count:
            break
        chosen.add(subject)
    aside = [shape for shape in shapes if subject_of(shape.name) in chosen]
    return [shape for shape in shapes if subject_of(shape.name) not in chosen], aside


def _spread(count: int) -> list[int]:
    """The numbers below `count` in an order whose every beginning is spread evenly (golden ratio)."""
    return sorted(range(count), key=lambda k: (k * 0.6180339887498949 + 0.5) % 1.0)


@dataclass(frozen=True)
class Verdict:
    """What a trained prior is worth, measured.

    Attributes
    ----------
    held_out : HeldOutError or None
        None if no shapes were set aside.
    learnt_mm : float
        Mean distance between training shapes and what the prior makes of their latents.
    learnt_typical_mm : float
        The most typical training shape instead, in their places and sizes.
    """

    held_out: HeldOutError | None
    learnt_mm: float
    learnt_typical_mm: float

    @property
    def figures(self) -> dict[str, Any]:
        """The figures for the model card, mm."""
        learnt = {"learnt_mm": self.learnt_mm, "learnt_typical_mm": self.learnt_typical_mm}
        figures = {**({} if self.held_out is None else asdict(self.held_out)), **learnt}
        rounded = {name: _rounded(v) for name, v in figures.items()}
        return {**rounded, "useful": self.warning is None}

    @property
    def warning(self) -> str | None:
        """Why the prior is of no use, one sentence; None if it is of some."""
        end = "Train longer, or on more shapes."
        if not self.learnt_mm < self.learnt_typical_mm:
            return (
                f"The prior is of no use yet: it misses its own training shapes by {self.learnt_mm:.1f} mm, and a "
                f"typical one of them, without any training, by {self.learnt_typical_mm:.1f} mm. {end}"
            )
        if self.held_out is not None and not self.held_out.planes_mm < self.held_out.typical_mm:
            return (
                "The prior is of no use yet: from three planes, it misses shapes that it has not seen by "
                f"{self.held_out.planes_mm:.1f} mm, and a typical training shape by "
                f"{self.held_out.typical_mm:.1f} mm. {end}"
            )
        return None


class Validator:
    """Measures priors on shapes that they were not trained on, and on those that they were.

    Parameters
    ----------
    training, validation : sequence of NormalisedShape
    """

    def __init__(self, training: Sequence[NormalisedShape], validation: Sequence[NormalisedShape]) -> None:
        self._training, self._shapes = training, validation

    def held_out(
        self, prior: ShapePrior, *, most: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> HeldOutError | None:
        """Fit the prior to points and outlines of the first `most` shapes; None if there are none.

        The pose is not known to the fits. One that fails counts as the typical shape. `progress` takes the number of
        fits done, and of all.
        """
        shapes = self._shapes[:most]
        if not shapes:
            return None
        errors = []
        for number, shape in enumerate(shapes):
            meshes = [without := self._typical_in_place_of(shape)]
            for kind, seen in enumerate((_points(shape), _planes(shape))):
                if progress is not None:
                    progress(2 * number + kind, 2 * len(shapes))
                meshes.append(_fitted(prior, seen, without))
            errors.append([_distance(mesh, shape) for mesh in meshes])
        typical, points, planes = np.mean(errors, axis=0).tolist()
        return HeldOutError(len(shapes), points, planes, typical)

    def verdict(self, prior: ShapePrior, *, progress: Callable[[int, int], None] | None = None) -> Verdict:
        """Judge a prior whose latents are those of the training shapes."""
        template = icosphere(_DECODED_LEVEL)
        chosen = [k for k in _few(len(self._training), _DECODED) if self._training[k].mesh is not self._typical]
        errors = []
        for number in chosen:
            shape = self._training[number]
            with torch.no_grad():
                decoded = prior.decoder(prior.latents[number][None], prior.sphere(template)).cpu().double().numpy()
            made = TriangleMesh(decoded * shape.scale_mm + shape.centre_mm, template.faces)
            errors.append([_distance(made, shape), _distance(self._typical_in_place_of(shape), shape)])
        learnt, typical = np.mean(errors, axis=0).tolist()
        return Verdict(self.held_out(prior, progress=progress), learnt, typical)

    def _typical_in_place_of(self, shape: NormalisedShape) -> TriangleMesh:
        return TriangleMesh(self._typical.vertices * shape.scale_mm + shape.centre_mm, self._typical.faces)

    @cached_property
    def _typical(self) -> TriangleMesh:
        """The training shape nearest to the others, canonical."""
        meshes = [self._training[k].mesh for k in _few(len(self._training), _COMPARED)]
        rng = np.random.default_rng(0)
        clouds = [sample_points(mesh, _COMPARED_POINTS, rng) for mesh in meshes]
        trees = [cKDTree(cloud) for cloud in clouds]
        distances = [sum(float(tree.query(cloud)[0].mean()) for tree in trees) for cloud in clouds]
        return meshes[int(np.argmin(distances))]


def _rounded(value: float | int) -> float | int | None:
    """As JSON can hold it."""
    if isinstance(value, int):
        return value
    return float(f"{value:.3g}") if np.isfinite(value) else None


def _few(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly."""
    return sorted({int(k) for k in np.linspace(0, count - 1, min(count, most))})


def _points(shape: NormalisedShape) -> PointCloud:
    return PointCloud(sample_points(shape.patient_mesh, _POINTS, np.random.default_rng(0)))


def _planes(shape: NormalisedShape) -> PlanarContours:
    loops = [
        Contour(loop, None, f"{name} {number}")
        for axis, name in enumerate(("sagittal", "coronal", "axial"))
        for number, loop in enumerate(section_loops(shape.patient_mesh, shape.centre_mm, np.eye(3)[axis]))
    ]
    return PlanarContours(tuple(loops))


def _fitted(prior: ShapePrior, observation: Observation, without: TriangleMesh) -> TriangleMesh:
    try:
        with collected_warnings():
            mesh = fit(prior, observation).mesh
    except (DalsError, ArithmeticError, ValueError, RuntimeError):  # hours of training must not end with this
        return without
    return mesh if np.isfinite(mesh.vertices).all() else without


def _distance(mesh: TriangleMesh, shape: NormalisedShape) -> float:
    """Mean of the mean distances in both directions, mm; infinite if there is no surface."""
    if not np.isfinite(mesh.vertices).all() or not mesh.area > 0:
        return float("inf")
    return compare(mesh, shape.patient_mesh, samples=_SAMPLES, self_intersections=False).mean_distance
