"""The livers from end to end: masks smoothed and refined, the table and the pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.segmentation.cases import FOLDER
from benchmarks.segmentation.livers import (
    KINDS,
    REFINED,
    SMOOTHINGS,
    folder_of,
    jobs_of,
    key_of_job,
    liver_case,
    measure,
    names_of,
)
from benchmarks.segmentation.provenance import describe
from benchmarks.segmentation.requirements import requirements
from benchmarks.segmentation.results import DEFINITIONS, examples, store
from benchmarks.segmentation.rows import RAW, Row, measure_all, one_thread
from benchmarks.segmentation.table import brief, groups_and_methods, markdown, pairs_of
from dals.geometry.voxelisation import label_map_to_mesh
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Segmentation
from dals.refinement import refine

NAME = "segmentation-livers"
VIEW_FROM = (0.4, 1.0, 0.35)
TITLES = {RAW: "raw", **{key: smoothing.title for key, smoothing in SMOOTHINGS.items()}, REFINED: "refined"}


def refine_livers(
    split: str, *, results: Path | None, prior_name: str = "liver", cases: int | None = None, workers: int = 2
) -> None:
    """Smooth and refine damaged, clean and blemished livers, print what that changes, and store it.

    Parameters
    ----------
    split : {"validation", "test"}
        Validation livers are of the training split: only a development prior has not seen them.
    results : Path, optional
        Folder for table, rows and pictures; nothing is stored by default.
    prior_name : str
    cases : int, optional
        Only the first so many.
    workers : int
    """
    prior, folder, names = load_prior(prior_name), folder_of(split), names_of(split)[:cases]
    keyed = [(key_of_job(job, prior=prior, folder=folder), job) for job in jobs_of(names)]
    task = partial(measure, prior_name=prior_name, folder=folder)
    rows = measure_all(keyed, task, folder=FOLDER / "rows", workers=workers)
    print(brief(rows))
    print(requirements(rows))
    if results is None:
        return
    store(results, NAME, rows, _text(rows, split, describe(prior, workers=workers)), prior_digest=prior.digest)
    _draw(results, rows, prior, folder=folder)


def _text(rows: list[Row], split: str, measured: str) -> str:
    livers = len({row.case for row in rows})
    return f"""\
# Damaged, clean and blemished masks of livers, smoothed and refined

{livers} livers of the {split} split. On slices of 5 mm: "damaged" by a model of networks' errors, from mild to severe
(`Testing/benchmarks/segmentation/damage.py`), and "clean", true but for the slices. On cubic voxels of 2 mm:
"blemished" by four leaks or bites of 10 to 20 mm radius and an island. {measured}

{markdown(rows, TITLES, group_title="mask")}
{requirements(rows)}
All are compared with the surface that the masks were made from. Dice is that on a fine grid (1.5 x 1.5 x 1.67 mm), on
which a slice of 5 mm is three voxels thick: the staircase is an error of clean masks, too. Smoothing is that of
Slicer's Segment Editor, on the fine grid; its parameters were the best of several on livers of the training split.
{DEFINITIONS}

![Dice and Hausdorff distance, raw, smoothed and refined]({NAME}.png)
![Surfaces]({NAME}-surfaces.png)

Examples are the damaged masks with the best, the median and the worst change of Dice by refining. Livers: Medical
Segmentation Decathlon, Task03_Liver, which is the LiTS data set (M. Antonelli et al., "The Medical Segmentation
Decathlon", Nature Communications 13, 2022; P. Bilic et al., "The Liver Tumor Segmentation Benchmark (LiTS)", Medical
Image Analysis 84, 2023), CC BY-SA 4.0; the pictures made from them have the same licence.
"""


def _draw(results: Path, rows: list[Row], prior: ShapePrior, *, folder: Path) -> None:
    from benchmarks.segmentation.plots import Example, paired_plot, surfaces_picture

    panels = [(group, method) for group, method in groups_and_methods(rows) if method != RAW]
    paired_plot(results / f"{NAME}.png", rows, panels, titles=[f"{group}: {method}" for group, method in panels])
    one_thread()
    drawn = []
    for title, (before, after) in examples(pairs_of(rows, KINDS[0], REFINED)):
        case = liver_case(after.group, after.case, folder=folder)
        mesh = refine(Segmentation(case.segmentation), prior).mesh
        heading = f"{title}: {after.case}, Dice {before.dice:.3f} to {after.dice:.3f}"
        drawn.append(Example(heading, label_map_to_mesh(case.segmentation), mesh, case.truth.surface))
    surfaces_picture(results / f"{NAME}-surfaces.png", drawn, view_from=VIEW_FROM)
