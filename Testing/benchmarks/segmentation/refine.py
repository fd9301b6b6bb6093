"""Networks' predictions of the hippocampus, refined with its prior in several ways."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from benchmarks.organs import HIPPOCAMPI
from benchmarks.segmentation.cases import (
    image_path,
    label_path,
    probability_path,
    read_case,
    read_prediction,
    read_probabilities,
)
from benchmarks.segmentation.provenance import code_digest
from benchmarks.segmentation.rows import RAW, Job, Row, digest_of, key_of, row_of
from benchmarks.segmentation.scores import NOTHING, SAMPLES, Truth, score, score_of_label_map
from dals.fit_settings import FitSettings
from dals.geometry.volume import ImageSource
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map
from dals.io.volumes import read_volume
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Segmentation, kind_named
from dals.refinement import refine


@dataclass(frozen=True)
class Variant:
    """A way to refine.

    Attributes
    ----------
    title : str
        For the table.
    settings : FitSettings
    probabilities : bool
        Whether the fit is told how sure the network was of each voxel.
    image : bool
        Whether the MR image is a witness of the edits.
    """

    title: str
    settings: FitSettings
    probabilities: bool = False
    image: bool = False


VARIANTS = {
    # One latent makes the same shape on any template; the coarse one is several times faster to fit.
    "paper": Variant("the paper's loss, weights and steps", kind_named("segmentation").paper.changed(shared_level=3)),
    "defaults": Variant("defaults", kind_named("segmentation").defaults),
    "probabilities": Variant("defaults, with probabilities", kind_named("segmentation").defaults, probabilities=True),
    "image": Variant("defaults, with the image", kind_named("segmentation").defaults, image=True),
}
"""In all of them the pose is found from the raw segmentation: its centre and scale."""
LARGEST = "largest"
"""No refinement: the largest component without cavities, which every refinement starts from."""
SHOWN = "defaults"
"""The variant that is drawn."""


def jobs_of(backbone: str, cases: list[str]) -> list[Job]:
    """The raw predictions, their largest components and all variants of refining them for which there are files."""
    return [
        Job(backbone, case, method)
        for case in cases
        for method in (RAW, LARGEST, *VARIANTS)
        if method not in VARIANTS or not VARIANTS[method].image or image_path(case).is_file()
    ]


def key_of_job(job: Job, *, prior: ShapePrior, folder: Path) -> str:
    """Changes with the prediction, the truth, the prior, the settings and the code."""
    case = digest_of(HIPPOCAMPI / "labels" / f"{job.case}.nii.gz", label_path(job.group, job.case, folder=folder))
    if job.method in (RAW, LARGEST):
        return key_of(job, case, SAMPLES, code_digest())
    variant, more = VARIANTS[job.method], []
    if variant.probabilities:
        more.append(probability_path(job.group, job.case, folder=folder))
    if variant.image:
        more.append(image_path(job.case))
    return key_of(job, case, digest_of(*more) if more else "", variant, prior.digest, SAMPLES, code_digest())


def measure(job: Job, *, prior_name: str, folder: Path) -> Row:
    """Score a prediction as it is, or refine it and score that."""
    truth = Truth.of(read_case(job.case).truth)
    raw = read_prediction(job.group, job.case, folder=folder)
    if raw.is_empty:
        return row_of(job, NOTHING, confidence="" if job.method == RAW else "none", reasons="nothing was segmented")
    if job.method == RAW:
        return row_of(job, score_of_label_map(raw, truth))
    if job.method == LARGEST:
        solid = label_map_to_mesh(Segmentation(raw).solid)
        return row_of(job, score(solid, mesh_to_label_map(solid, truth.label_map), truth))
    variant, given = VARIANTS[job.method], observation(job, folder=folder)
    image = read_volume(image_path(job.case)) if variant.image else None
    return refined_row(job, cached_prior(prior_name), given, truth, variant.settings, image=image)


def refined_row(
    job: Job,
    prior: ShapePrior,
    segmentation: Segmentation,
    truth: Truth,
    settings: FitSettings | None = None,
    *,
    image: ImageSource | None = None,
) -> Row:
    """Refine a segmentation, score the result, and ask what its user would be told."""
    result = refine(segmentation, prior, settings=settings, image=image)
    found = score(result.mesh, mesh_to_label_map(result.mesh, truth.label_map), truth)
    told = result.confidence
    assert told is not None
    seconds = result.report["seconds"]
    return row_of(job, found, seconds=seconds, confidence=told.level, reasons=" ".join(told.reasons))


def observation(job: Job, *, folder: Path) -> Segmentation:
    """What the fit of a job is given."""
    raw = read_prediction(job.group, job.case, folder=folder)
    if not VARIANTS[job.method].probabilities:
        return Segmentation(raw)
    return Segmentation(raw, read_probabilities(job.group, job.case, folder=folder))


@functools.cache
def cached_prior(name: str) -> ShapePrior:
    """Read once in each worker."""
    return load_prior(name)
