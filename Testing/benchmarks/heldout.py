"""Figures of a shipped prior on organs that it was not trained on: `python Testing/benchmarks/heldout.py liver`.

Prints a table and stores it, with every case, under `Testing/benchmarks/results`. It is
never used for tuning.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

from benchmarks import protocol
from benchmarks.organs import HELD_OUT_TITLES, ORGANS
from dals.errors import DalsError
from dals.geometry.remeshing import remesh
from dals.io.atomic import atomic_path
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Observation
from dals.refinement import refine

RESULTS = Path(__file__).resolve().parent / "results"
TASKS: dict[str, tuple[Callable[[Any], Observation], bool]] = {
    "points": (protocol.points_of, True),
    "planes": (protocol.central_planes_of, True),
    "clinician": (protocol.clinician_of, False),
}
COLUMNS = (
    "chamfer",
    "hausdorff",
    "f_score_1",
    "f_score_2",
    "quality",
    "quality_remeshed",
    "chamfer_remeshed",
    "self_intersections",
    "self_intersections_remeshed",
    "volume_error",
    "mean_distance_mm",
    "seconds",
)
HIGHER_IS_BETTER = ("f_score_1", "f_score_2", "quality", "quality_remeshed")


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("organ", nargs="?", choices=ORGANS, default="liver")
    parser.add_argument("--prior", help="another prior than the organ's shipped one")
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=tuple(TASKS))
    parser.add_argument("--cases", type=int, help="only the first N")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--name", help="of the result files")
    options = parser.parse_args()
    shapes = protocol.held_out(options.organ)[: options.cases]
    named = options.prior or options.organ
    prior = load_prior(named)
    jobs = [(named, task, shape) for task in options.tasks for shape in shapes]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        rows = list(pool.map(_measure, jobs))
    title = (
        f"prior {prior.name}, SHA-256 {prior.digest[:12]}, {len(shapes)} {HELD_OUT_TITLES[options.organ]}, "
        f"{date.today().isoformat()}, {platform.machine()}, one thread a fit"
    )
    table = _table(rows, title)
    print(table)
    _store(options.name or f"heldout-{options.organ}", rows, table)
    return 0


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@functools.cache
def _prior(name: str) -> ShapePrior:
    """Read once in each worker."""
    return load_prior(name)


def _measure(job: tuple[str, str, Any]) -> dict[str, Any]:
    prior_name, task, shape = job
    make, known = TASKS[task]
    prior = _prior(prior_name)
    pose = protocol.known_pose(shape) if known else None
    result = refine(make(shape), prior, pose=pose, side="auto" if prior.side is None else prior.side)
    return {
        "task": task,
        "case": shape.name,
        **protocol.judge(result.mesh, shape),
        **{f"{name}_remeshed": value for name, value in protocol.judge(remesh(result.mesh), shape).items()},
        "seconds": result.report["seconds"],
        "steps": result.report["iterations"],
        "prior_sha256": prior.digest,
    }


def _table(rows: list[dict[str, Any]], title: str) -> str:
    lines = [f"Held out: {title}. Mean / median / worst.", "", "| task | " + " | ".join(COLUMNS) + " |"]
    lines.append("| --- " * (len(COLUMNS) + 1) + "|")
    for task in dict.fromkeys(row["task"] for row in rows):
        chosen = [row for row in rows if row["task"] == task]
        cells = []
        for column in COLUMNS:
            values = np.array([row[column] for row in chosen], dtype=float)
            worst = values.min() if column in HIGHER_IS_BETTER else values[np.abs(values).argmax()]
            cells.append(f"{values.mean():.3g} / {np.median(values):.3g} / {worst:.3g}")
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
        volume = np.abs([row["volume_error"] for row in chosen]).mean()
        lines.append(f"| {task}: mean absolute volume error | {volume:.2f}% |" + " |" * (len(COLUMNS) - 1))
    return "\n".join(lines) + "\n"


def _store(name: str, rows: list[dict[str, Any]], table: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    with atomic_path(RESULTS / f"{name}.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(RESULTS / f"{name}.md") as path:
        path.write_text(table, encoding="utf-8")
    with atomic_path(RESULTS / f"{name}.json") as path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DalsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
