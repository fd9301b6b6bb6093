"""The hippocampus from end to end: predictions refined in all ways, the table and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.segmentation.cases import FOLDER, predicted, read_case, read_prediction
from benchmarks.segmentation.provenance import describe
from benchmarks.segmentation.refine import LARGEST, SHOWN, VARIANTS, jobs_of, key_of_job, measure, observation
from benchmarks.segmentation.results import DEFINITIONS, examples, store
from benchmarks.segmentation.rows import RAW, Job, Row, measure_all, one_thread
from benchmarks.segmentation.table import brief, groups_and_methods, markdown, pairs_of
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map
from dals.model.prior import ShapePrior, load_prior
from dals.refinement import refine

NAME = "segmentation-hippocampus"
VIEW_FROM = (1.0, 0.3, 0.5)
TITLES = {RAW: "raw", LARGEST: "largest component", **{key: variant.title for key, variant in VARIANTS.items()}}


def raw_scores(backbones: Sequence[str], split: str, *, folder: Path, workers: int) -> list[Row]:
    """Of networks' predictions before any refinement."""
    jobs = [Job(backbone, case, RAW) for backbone in backbones for case in predicted(backbone, split, folder=folder)]
    return _measured(jobs, "hippocampus", folder=folder, workers=workers)


def refine_hippocampi(
    backbones: Sequence[str],
    split: str,
    *,
    folder: Path,
    results: Path | None,
    prior_name: str = "hippocampus",
    cases: int | None = None,
    workers: int = 2,
) -> None:
    """Refine networks' predictions in all ways there are, print what that changes, and store it.

    Parameters
    ----------
    backbones : sequence of str
        Those without predictions are left out.
    split : {"validation", "test"}
    folder : Path
        Of the networks' predictions.
    results : Path, optional
        Folder for table, rows and pictures; nothing is stored by default.
    prior_name : str
    cases : int, optional
        Only the first so many.
    workers : int
    """
    jobs = []
    for backbone in backbones:
        names = predicted(backbone, split, folder=folder)[:cases]
        jobs += jobs_of(backbone, names)
        if not names:
            print(f"{backbone}: no predictions of the {split} images yet")
    rows = _measured(jobs, prior_name, folder=folder, workers=workers)
    print(brief(rows))
    if results is None or not rows:
        return
    prior = load_prior(prior_name)
    store(results, NAME, rows, _text(rows, split, describe(prior, workers=workers)), prior_digest=prior.digest)
    _draw(results, rows, prior, folder=folder)


def _measured(jobs: list[Job], prior_name: str, *, folder: Path, workers: int) -> list[Row]:
    prior = load_prior(prior_name)
    keyed = [(key_of_job(job, prior=prior, folder=folder), job) for job in jobs]
    task = partial(measure, prior_name=prior_name, folder=folder)
    return measure_all(keyed, task, folder=FOLDER / "rows", workers=workers)


def _text(rows: list[Row], split: str, measured: str) -> str:
    images, networks = len({row.case for row in rows}), len({row.group for row in rows})
    return f"""\
# Networks' segmentations of the hippocampus, refined

{images} images of the {split} split, segmented by {networks} networks that learnt from three labelled slices of each of
16 images. {measured}

{markdown(rows, TITLES, group_title="network")}
In all variants the pose is found from the raw segmentation. Dice of a refined surface is that of the voxels inside of
it on the image's grid. {DEFINITIONS}

![Dice and Hausdorff distance, raw and refined]({NAME}.png)
![Outlines on slices]({NAME}-slices.png)
![Surfaces]({NAME}-surfaces.png)

Drawn is the variant "{TITLES[SHOWN]}"; examples are the cases with the best, the median and the worst change of Dice
among all networks, each on the slices where raw and refined segmentation differ most, of those on which the organ is at
least half as large as on its largest. MR images and true outlines: Medical Segmentation Decathlon, Task04_Hippocampus
(M. Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 13, 2022), CC BY-SA 4.0; the pictures
made from them have the same licence.
"""


def _draw(results: Path, rows: list[Row], prior: ShapePrior, *, folder: Path) -> None:
    from benchmarks.segmentation.plots import Example, paired_plot, slices_picture, surfaces_picture

    panels = [(group, method) for group, method in groups_and_methods(rows) if method == SHOWN]
    paired_plot(results / f"{NAME}.png", rows, panels, titles=[group for group, _ in panels])
    one_thread()
    drawn = []
    for title, (before, after) in examples([pair for panel in panels for pair in pairs_of(rows, *panel)]):
        case, raw = read_case(after.case), read_prediction(after.group, after.case, folder=folder)
        given = observation(Job(after.group, after.case, after.method), folder=folder)
        mesh = refine(given, prior, settings=VARIANTS[after.method].settings).mesh
        differing = raw.with_array(raw.array ^ mesh_to_label_map(mesh, raw).array)
        surfaces = label_map_to_mesh(raw), mesh, label_map_to_mesh(case.truth)
        heading = f"{title}: {after.group}, {after.case}, Dice {before.dice:.3f} to {after.dice:.3f}"
        drawn.append(Example(heading, *surfaces, case.image, case.truth, differing))
    if drawn:
        slices_picture(results / f"{NAME}-slices.png", drawn)
        surfaces_picture(results / f"{NAME}-surfaces.png", drawn, view_from=VIEW_FROM)
