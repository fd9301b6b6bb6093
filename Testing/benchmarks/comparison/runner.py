"""Cases in worker processes, one thread each; each result is stored as soon as it is there."""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol
from benchmarks.comparison.observations import observation_of
from benchmarks.comparison.registry import Context, make, model_identity
from benchmarks.comparison.report import Row, read_rows
from benchmarks.comparison.shapes import prepared
from dals.errors import DalsError
from dals.fitting.first_guess import first_guess
from dals.io.meshes import write_mesh
from dals.pose import Pose
from dals.prior import load_prior
from dals.standardise import StandardShape
from dals.template import icosphere

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes
    ----------
    system : str
        Name in the registry.
    condition : str
        Of the observation; see `observation_of`.
    case : str
        Name of the shape.
    pose_known : bool
        Otherwise DALS estimates the pose and the others are given the first guess.
    label : str
        What the table calls the system; its name by default.
    changes : tuple
        Fit settings of DALS that differ.
    """

    system: str
    condition: str
    case: str
    pose_known: bool = True
    label: str = ""
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def shown(self) -> dict[str, str]:
        """How the row names it."""
        condition = self.condition + ("" if self.pose_known else "/pose unknown")
        return {"system": self.label or self.system, "condition": condition, "case": self.case}


def run(
    jobs: Sequence[Job], context: Context, *, store: Path, workers: int, meshes: Path | None = None, fresh: bool = False
) -> list[Row]:
    """Do what is not stored yet.

    Parameters
    ----------
    jobs : sequence of Job
    context : Context
    store : Path
        One JSON object a line; results of earlier runs with the same models are taken from it.
    workers : int
    meshes : Path, optional
        Folder for the surfaces.
    fresh : bool
        Whether to forget what is stored.

    Returns
    -------
    list of dict
        Rows in the order of the jobs.
    """
    if fresh:
        store.unlink(missing_ok=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    done = {row["key"]: row for row in read_rows(store)}
    keys = [_key(job, context) for job in jobs]
    missing = [(key, job) for key, job in zip(keys, jobs, strict=True) if not _is_done(done.get(key), job, meshes)]
    began = time.monotonic()
    for variable in _THREADS:
        os.environ[variable] = "1"  # inherited by the workers
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start) as pool:
        futures = {pool.submit(measure, job, context, meshes): key for key, job in missing}
        for count, future in enumerate(as_completed(futures), 1):
            try:
                row = {**future.result(), "key": futures[future]}
            except BrokenProcessPool:
                raise DalsError("A worker died; start the table again, it goes on where it was.") from None
            done[row["key"]] = row
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(
                f"{count}/{len(missing)} {time.monotonic() - began:.0f} s: {row['system']}, {row['condition']}, "
                f"{row['case']}: {row['error'] or format(row['chamfer'], '.3g')}",
                file=sys.stderr,
            )
    return [{name: value for name, value in done[key].items() if name != "key"} for key in keys]


def measure(job: Job, context: Context, meshes: Path | None = None) -> Row:
    """Fit and judge; a system that cannot do a case leaves its reason in ``error``."""
    shape = _shape(context.organ, context.split, job.case)
    row: Row = {**job.shown, "error": ""}
    try:
        observation = observation_of(shape, job.condition)
        system = make(job.system, context, estimates_pose=not job.pose_known, changes=job.changes)
        pose = protocol.known_pose(shape) if job.pose_known else guessed_pose(observation, context.prior)
        reset_peak()
        began = time.perf_counter()
        mesh = system.fit(observation, pose=pose)
        row["seconds"], row["peak_mb"] = time.perf_counter() - began, peak_megabytes()
        row |= protocol.judge(mesh, shape)
        row["facets"] = len(mesh.facets)
        if meshes is not None:
            target = mesh_path(meshes, job)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_mesh(target, mesh)
    except DalsError as error:
        row["error"] = str(error)
    except (np.linalg.LinAlgError, ValueError, RuntimeError, AssertionError) as error:
        # A library gave up: the case is lost, the table is not.
        row["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return row


def mesh_path(folder: Path, job: Job) -> Path:
    """Where the surface of a job lies."""
    shown = job.shown
    parts = (shown["case"], shown["condition"], shown["system"])
    return folder / ("-".join(parts).replace("/", "_").replace(" ", "_").replace(":", "_") + ".ply")


def guessed_pose(observation: Any, prior_name: str) -> Pose:
    """What a system without an estimate of its own is given: `first_guess` of the mean shape."""
    prior = load_prior(prior_name)
    return first_guess(observation, prior.mean_shape(icosphere(3)).double().numpy())


def reset_peak() -> None:
    """Let the peak of the process's memory start anew, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_megabytes() -> float:
    """Largest resident memory of the process since `reset_peak`, libraries included, MB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(float(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@functools.lru_cache(maxsize=4)
def _shape(organ: str, split: str, name: str) -> StandardShape:
    if split == "test":
        return next(shape for shape in protocol.held_out(organ) if shape.name == name)
    return prepared(organ, [name])[0]


def _key(job: Job, context: Context) -> str:
    identity = model_identity(job.system, context)
    return json.dumps([asdict(context), asdict(job), identity], sort_keys=True)


def _is_done(row: Row | None, job: Job, meshes: Path | None) -> bool:
    if row is None or (row["error"] and meshes is not None):
        return row is not None
    return meshes is None or mesh_path(meshes, job).is_file()


def _start() -> None:
    import torch

    torch.set_num_threads(1)
