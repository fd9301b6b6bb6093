"""Whether stated uncertainties are true: `python Testing/benchmarks/calibration.py`.

Livers that the prior has not seen, one to ten planes, clicked curves, and points of a part of the surface. Of the
signed distances from the true surface 90% should lie within the stated band, and the true volume in nine of ten stated
intervals. Prints the tables and how many cases the confidence warns of.

By default on livers of BTCV; `--left-out` takes some of MSD and AMOS22. The constants of `dals.evaluation.uncertainty`
were chosen on both. The shipped prior was trained on all of these, so that `--prior` has to name one that was not: for
the latter that of the tables (`train_systems.py`). `--held-out` reports on livers of msd_test and is never used for
tuning.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

from benchmarks import organs, protocol
from benchmarks.comparison import observations
from benchmarks.comparison.shapes import prepared, validation_names
from benchmarks.organs import ROOT
from dals.dataset.normalisation import NormalisedShape
from dals.dataset.preparation import prepare
from dals.dataset.storage import load_dataset
from dals.errors import DatasetError
from dals.evaluation.contour_residuals import MISSED_MM, missed_contours, straying_sections
from dals.evaluation.metrics import sample_points
from dals.evaluation.uncertainty import BAND
from dals.geometry.surface_distance import surface_distances
from dals.io.atomic import atomic_path
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Observation, PlanarContours, PointCloud
from dals.refinement import refine

TASKS = (
    *("planes:1", "planes:2", "planes:3", "planes:6", "planes:10", "clinician", "points", "half the points"),
    *("planes:3/missing=0.3", "planes:6/missing=0.3"),
)
"""The last two lack a stretch of each outline."""
_HEAD = (
    "| task | cases | within the 90% band, % | half-width, mm | volumes within | their half-width, % "
    "| mean distance, mm | expected, mm | correlation | contours missed by over 4 mm, in cases | worst, mm "
    "| sections that stray by over 4 mm, in cases | worst, mm |\n" + 13 * "| --- " + "|"
)
_SAMPLES = 10_000
_EVERY = 5
_EXPECTED = "is expected to be"


def main() -> int:
    """Measure what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prior", default="liver")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--held-out", action="store_true", help="livers of msd_test in place of BTCV's")
    which.add_argument("--left-out", action="store_true", help="livers that the tables' prior has not seen")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS[:6])
    parser.add_argument("--known", action="store_true", help="with the true pose")
    parser.add_argument("--cases", type=int, help="only the first N")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", type=Path, help="JSON of all cases")
    options = parser.parse_args()
    shapes = _livers(options)[: options.cases]
    jobs = [(options.prior, task, shape, options.known) for task in options.tasks for shape in shapes]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        rows = list(pool.map(_measure, jobs))
    if options.store:
        with atomic_path(options.store) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    return 0


def _livers(options: argparse.Namespace) -> list[NormalisedShape]:
    if options.held_out:
        return protocol.held_out("liver")
    return left_out_livers() if options.left_out else validation_livers()


def validation_livers() -> list[NormalisedShape]:
    """The livers of BTCV, prepared once."""
    folder = protocol.CACHE / "btcv"
    labels = ROOT.parent / "shared" / "data" / "livers" / "labels"
    if not labels.is_dir():
        raise DatasetError(f"The livers are not there: {labels} is missing.")
    prepare(sorted(labels.glob("btcv_*.nii.gz")), folder)
    return load_dataset(folder)


def left_out_livers() -> list[NormalisedShape]:
    """Those of MSD that the tables' systems are tuned on, and every fifth of AMOS22, none of which they learn from."""
    names = [*validation_names("liver"), *organs.split_names(organs.LIVERS, "amos_train")[::_EVERY]]
    return prepared("liver", names)


def observation_of(shape: NormalisedShape, task: str) -> Observation:
    """What a task gives of a shape."""
    if task == "clinician":
        return protocol.clinician_of(shape)
    if task.startswith("planes:"):
        return observations.observation_of(shape, task)
    points = protocol.points_of(shape).points
    if task == "half the points":
        points = points[points[:, 0] > np.median(points[:, 0])]
    return PointCloud(points)


def _measure(job: tuple[str, str, NormalisedShape, bool]) -> dict[str, Any]:
    name, task, shape, known = job
    pose = protocol.known_pose(shape) if known else None
    given = observation_of(shape, task)
    result = refine(given, _prior(name), pose=pose, device="cpu")
    assert result.uncertainty is not None
    truth, mesh, band = shape.patient_mesh, result.mesh, BAND * result.uncertainty.deviation_mm
    rng = np.random.default_rng(0)
    from_result = surface_distances(sample_points(mesh, _SAMPLES, rng), truth)
    from_truth = surface_distances(sample_points(truth, _SAMPLES, rng), mesh)
    areas = mesh.vertex_areas
    low, high = result.uncertainty.volume_ml
    missed, strays = [], []
    if isinstance(given, PlanarContours):
        missed, strays = missed_contours(given, mesh), straying_sections(given, mesh)
    return {
        "task": task,
        "case": shape.name,
        "within": float(areas[surface_distances(mesh.vertices, truth) <= band].sum() / areas.sum()),
        "band_mm": float(areas @ band / areas.sum()),
        "volume_within": bool(low <= truth.volume / 1e3 <= high),
        "volume_half_width": (high - low) / 2 / (truth.volume / 1e3),
        "mean_distance_mm": float((from_result.mean() + from_truth.mean()) / 2),
        "expected_mm": result.uncertainty.expected_distance_mm,
        "warns": any(_EXPECTED in sentence for sentence in result.warnings),
        "missed_mm": max((found.millimetres for found in missed), default=0.0),
        "stray_mm": max((found.millimetres for found in strays), default=0.0),
        "confidence": "" if result.confidence is None else result.confidence.level,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line for each task, and what the confidence warned of."""
    lines = [_HEAD]
    for task in dict.fromkeys(row["task"] for row in rows):
        some = [row for row in rows if row["task"] == task]
        mean = {key: float(np.mean([row[key] for row in some])) for key in some[0] if key not in _WORDS}
        true, expected = (np.array([row[key] for row in some]) for key in ("mean_distance_mm", "expected_mm"))
        alike = float(np.corrcoef(true, expected)[0, 1]) if len(some) > 2 else float("nan")
        lines.append(
            f"| {task} | {len(some)} | {100 * mean['within']:.1f} | {mean['band_mm']:.1f} | "
            f"{sum(row['volume_within'] for row in some)} | {100 * mean['volume_half_width']:.1f} | "
            f"{mean['mean_distance_mm']:.2f} | {mean['expected_mm']:.2f} | {alike:.2f} | "
            f"{sum(row['missed_mm'] > MISSED_MM for row in some)} | {max(row['missed_mm'] for row in some):.1f} | "
            f"{sum(row['stray_mm'] > MISSED_MM for row in some)} | {max(row['stray_mm'] for row in some):.1f} |"
        )
    order = sorted(rows, key=lambda row: row["mean_distance_mm"])
    best, worst = order[: len(order) // 2], order[len(order) - max(len(order) // 10, 1) :]
    for title, key in (("the expected distance", "warns"), ("the confidence", "confidence")):
        said = [sum(bool(row[key]) and row[key] != "high" for row in some) for some in (worst, best)]
        lines += ["", f"Of the worst {len(worst)} {title} warns of {said[0]}, of the best {len(best)} of {said[1]}."]
    return "\n".join(lines)


_WORDS = ("task", "case", "confidence")


@functools.cache
def _prior(name: str) -> ShapePrior:
    return load_prior(name)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    sys.exit(main())
