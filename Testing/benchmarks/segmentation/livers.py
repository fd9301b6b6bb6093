"""Damaged, clean and blemished masks of livers, smoothed as is usual and refined with the liver's prior."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.organs import LIVERS
from benchmarks.protocol import CACHE, held_out
from benchmarks.segmentation.conventional import gaussian, interpolated, joint, median, tidied
from benchmarks.segmentation.damage import blemished, damaged, even_grid, fine_grid, on_grid, thick_slices
from benchmarks.segmentation.provenance import code_digest
from benchmarks.segmentation.refine import cached_prior, refined_row
from benchmarks.segmentation.rows import RAW, Job, Row, digest_of, key_of, row_of
from benchmarks.segmentation.scores import SAMPLES, Truth, score
from dals.dataset.preparation import prepare
from dals.dataset.storage import read_shape, shape_path
from dals.errors import DatasetError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map
from dals.model.prior import ShapePrior
from dals.observations import Segmentation

EVERY = 8
"""Livers of the training split that a development prior leaves out, as in `recipes.py`."""
KINDS = ("damaged", "clean", "blemished")
"""Clean masks suffer nothing but the thick slices: what a method does to them is harm. Blemished ones are good masks of
cubic voxels with a few leaks, bites and an island."""
CLOSING_MM = 5.0
REFINED = "refined"


@dataclass(frozen=True)
class Smoothing:
    """A conventional method: a title that states its parameter, and what it makes of a tidied mask.

    Kernels of a few millimetres do nothing across slices of 5 mm, so that they are given the mask on the fine grid;
    interpolation is between the slices.
    """

    title: str
    apply: Callable[[LabelMap], TriangleMesh]
    on_slices: bool = False


SMOOTHINGS = {
    "median": Smoothing("largest component, closing 5 mm, median 9 mm", partial(median, kernel_mm=9.0)),
    "gaussian": Smoothing("largest component, closing 5 mm, Gaussian 3 mm", partial(gaussian, deviation_mm=3.0)),
    "joint": Smoothing("largest component, closing 5 mm, joint smoothing 0.3", partial(joint, factor=0.3)),
    "interpolated": Smoothing("largest component, interpolation between slices", interpolated, on_slices=True),
}
"""The last one is what a refinement is given to fit, without any prior. The others are, of median 5, 9 and 15 mm,
Gaussian 2, 3 and 5 mm and joint smoothing 0.3, 0.5 and 0.7, on the fine grid and on the thick slices, those with the
highest Dice on livers of the training split, damaged and clean together."""


@dataclass(frozen=True, eq=False)
class LiverCase:
    """A liver and its segmentation.

    Attributes
    ----------
    truth : Truth
        On the fine grid, or on that of cubic voxels, with the surface that the mask was made from.
    segmentation : LabelMap
        On slices of 5 mm, or on cubic voxels.
    """

    truth: Truth
    segmentation: LabelMap


def folder_of(split: str) -> Path:
    """Prepare the livers of "validation" (of the training split) or "test"; return their data set.

    Raises
    ------
    DatasetError
        If the meshes are not there.
    """
    if split == "test":
        held_out("liver")
        return CACHE / "msd_test"
    folder = CACHE / "liver_train"
    prepare([LIVERS / "meshes" / f"{name}.ply" for name in names_of(split)], folder, space="RAS")
    return folder


def names_of(split: str) -> list[str]:
    """The livers of "validation" or "test"."""
    path = LIVERS / "splits.json"
    if not path.is_file():
        raise DatasetError(f"The livers are not there: {LIVERS} is missing.")
    splits = json.loads(path.read_text(encoding="utf-8"))
    return splits["msd_test"] if split == "test" else [*splits["msd_train"], *splits["amos_train"]][::EVERY]


def jobs_of(cases: list[str]) -> list[Job]:
    """Raw, smoothed and refined, damaged and clean; those of a case together, as they share its making."""
    methods = (RAW, *SMOOTHINGS, REFINED)
    return [Job(kind, case, method) for case in cases for kind in KINDS for method in methods]


def key_of_job(job: Job, *, prior: ShapePrior, folder: Path) -> str:
    """Changes with the shape, the prior and the code."""
    used = prior.digest if job.method == REFINED else ""
    return key_of(job, digest_of(shape_path(folder, job.case)), used, SAMPLES, code_digest())


def measure(job: Job, *, prior_name: str, folder: Path) -> Row:
    """Score one method on one mask."""
    case = liver_case(job.group, job.case, folder=folder)
    if job.method == REFINED:
        return refined_row(job, cached_prior(prior_name), Segmentation(case.segmentation), case.truth)
    mesh, label_map = untrained(job.method, case)
    return row_of(job, score(mesh, label_map, case.truth))


def untrained(method: str, case: LiverCase) -> tuple[TriangleMesh, LabelMap]:
    """The surface that a method without a prior makes of the segmentation, and its voxels on the fine grid."""
    grid = case.truth.label_map
    if method == RAW:
        return label_map_to_mesh(case.segmentation), on_grid(case.segmentation, grid)
    smoothing = SMOOTHINGS[method]
    if smoothing.on_slices:
        mesh = smoothing.apply(case.segmentation)
    else:
        mesh = smoothing.apply(tidied(on_grid(case.segmentation, grid), closing_mm=CLOSING_MM))
    return mesh, mesh_to_label_map(mesh, grid)


@functools.lru_cache(maxsize=2)
def liver_case(kind: str, name: str, *, folder: Path) -> LiverCase:
    """Rasterise a liver and damage it."""
    surface = read_shape(shape_path(folder, name)).patient_mesh
    if kind == "blemished":
        truth = mesh_to_label_map(surface, even_grid(surface))
        return LiverCase(Truth(truth, surface), blemished(truth, name))
    truth = mesh_to_label_map(surface, fine_grid(surface))
    seen = damaged(truth, name) if kind == "damaged" else truth
    return LiverCase(Truth(truth, surface), thick_slices(seen, name))
