"""Whether a fit has one answer: `python Testing/benchmarks/repeatability.py`.

The same 20 held-out livers are refined on one and two threads, with the instruction sets that torch can be told to
use, with five seeds, and on a GPU where there is one; each way runs in a process of its own. Reported is the mean
distance between the surface of each way and that of the first, on one thread. Stores every case under
`Testing/benchmarks/results`; nothing is tuned on them. Interrupted, it goes on with the next way.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

import numpy as np

from benchmarks import protocol
from benchmarks.heldout import TASKS
from benchmarks.stored import store
from dals.evaluation.metrics import sample_points
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.io.atomic import atomic_path
from dals.model.prior import load_prior
from dals.refinement import refine

CASES = 20
ALLOWED_MM = 0.2
_SAMPLES = 5_000
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Way:
    """How a fit is run.

    Attributes
    ----------
    name : str
    threads : int
    capability : str
        ATEN_CPU_CAPABILITY; empty for what torch chooses.
    seed : int
    device : str
    """

    name: str
    threads: int = 1
    capability: str = ""
    seed: int = 0
    device: str = "cpu"


WAYS = (
    Way("one thread"),
    Way("two threads", threads=2),
    *(Way(f"instructions: {name}", capability=name) for name in ("default", "avx2", "avx512")),
    *(Way(f"seed {seed}", seed=seed) for seed in range(1, 5)),
    Way("GPU", device="cuda"),
)


@dataclass(frozen=True)
class Row:
    """A liver refined one way: its distance from the first way's surface, mm."""

    task: str
    way: str
    case: str
    distance_mm: float
    largest_mm: float


def main() -> int:
    """Fit what is missing, compare, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=["clinician"])
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--folder", type=Path, default=protocol.CACHE / "repeatability", help="of the surfaces")
    parser.add_argument("--name", default="repeatability", help="of the result files")
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], help="only these and the first")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:
        _fit(WAYS[options.only], options.tasks, options.cases, options.folder)
        return 0
    ways = [way for way in WAYS if options.ways is None or way.name in (WAYS[0].name, *options.ways)]
    for way in ways:
        print(way.name, flush=True)
        _in_a_process(WAYS.index(way), way, sys.argv[1:])
    ways = [way for way in ways if _is_fitted(way, options.tasks, options.cases, options.folder)]
    rows = [row for task in options.tasks for row in _compared(task, ways, options.cases, options.folder)]
    text = _table(rows, options.cases)
    print(text)
    store(options.name, Row, rows, text)
    return 0


def _in_a_process(index: int, way: Way, arguments: Sequence[str]) -> None:
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(way.threads))}
    if way.capability:
        environment["ATEN_CPU_CAPABILITY"] = way.capability
    subprocess.run([sys.executable, __file__, *arguments, "--only", str(index)], env=environment, check=True)


def _fit(way: Way, tasks: Sequence[str], cases: int, folder: Path) -> None:
    import torch

    torch.set_num_threads(way.threads)
    if way.device == "cuda" and not torch.cuda.is_available():
        print("  There is no CUDA device; only surfaces that are there already are compared.")
        return
    prior = load_prior("liver").to(torch.device(way.device))
    for task in tasks:
        make, known = TASKS[task]
        for shape in protocol.held_out("liver")[:cases]:
            path = _path(folder, task, way, shape.name)
            if path.is_file():
                continue
            observation = make(shape)
            pose = protocol.known_pose(shape) if known else None
            mesh = refine(observation, prior, settings=observation.defaults.changed(seed=way.seed), pose=pose).mesh
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, vertices=mesh.vertices, faces=mesh.faces)


def _path(folder: Path, task: str, way: Way, case: str) -> Path:
    path = folder / task / way.name.replace(": ", "-").replace(" ", "-") / f"{case}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _is_fitted(way: Way, tasks: Sequence[str], cases: int, folder: Path) -> bool:
    shapes = protocol.held_out("liver")[:cases]
    return all(_path(folder, task, way, shape.name).is_file() for task in tasks for shape in shapes)


def _compared(task: str, ways: Sequence[Way], cases: int, folder: Path) -> list[Row]:
    rows = []
    for shape in protocol.held_out("liver")[:cases]:
        meshes = []
        for way in ways:
            with np.load(_path(folder, task, way, shape.name)) as arrays:
                meshes.append(TriangleMesh(arrays["vertices"], arrays["faces"]))
        for way, mesh in zip(ways[1:], meshes[1:], strict=True):
            both = np.concatenate([_distances(meshes[0], mesh), _distances(mesh, meshes[0])])
            rows.append(Row(task, way.name, shape.name, float(both.mean()), float(both.max())))
    return rows


def _distances(mesh: TriangleMesh, other: TriangleMesh) -> np.ndarray:
    return np.asarray(surface_distances(sample_points(mesh, _SAMPLES, np.random.default_rng(0)), other))


def _table(rows: Sequence[Row], cases: int) -> str:
    lines = [
        f"Mean distance from the surface of one thread, mm; {cases} held-out livers, {date.today().isoformat()}.",
        "",
        f"| task | way | median | 90% | worst | within {ALLOWED_MM} mm | largest distance of a place |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, way in dict.fromkeys((row.task, row.way) for row in rows):
        chosen = [row for row in rows if (row.task, row.way) == (task, way)]
        values = np.array([row.distance_mm for row in chosen])
        lines.append(
            f"| {task} | {way} | {np.median(values):.4f} | {np.quantile(values, 0.9):.4f} | {values.max():.4f} "
            f"| {int((values <= ALLOWED_MM).sum())} of {len(values)} | {max(row.largest_mm for row in chosen):.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
