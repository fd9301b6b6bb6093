"""Cases in worker processes, one thread each; each result is stored as soon as it is there."""

from __future__ import annotations

import ctypes
import functools
import gc
import hashlib
import json
import math
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol
from benchmarks.comparison.observations import observation_of
from benchmarks.comparison.registry import Context, make, model_identity, the_prior
from benchmarks.comparison.report import Row, append_row, commit, read_rows
from benchmarks.comparison.shapes import prepared
from dals.dataset.normalisation import NormalisedShape
from dals.errors import DalsError
from dals.fitting.first_guess import first_guess
from dals.io.meshes import write_mesh
from dals.model.pose import Pose
from dals.model.template import icosphere

_SAME = {"planes:3": "planes", "points:2500": "points"}
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
    jobs: Sequence[Job],
    context: Context,
    *,
    store: Path,
    workers: int,
    minutes: float = math.inf,
    meshes: Path | None = None,
) -> list[Row]:
    """Do what is not stored yet, case by case: however early it ends, the first cases have all systems.

    Parameters
    ----------
    jobs : sequence of Job
    context : Context
    store : Path
        One JSON object a line; results of earlier runs with the same models are taken from it, whatever the table.
    workers : int
    minutes : float
        After so long what is not done is left for another run.
    meshes : Path, optional
        Folder for the surfaces.

    Returns
    -------
    list of dict
        Rows in the order of the jobs, of the cases that are complete.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    done = {row["key"]: row for row in read_rows(store)}
    keys = {job: key_of(job, context) for job in jobs}

    def has_surface(job: Job) -> bool:
        return meshes is None or mesh_path(meshes, job, keys[job]).is_file()

    cases = list(dict.fromkeys(job.case for job in jobs))
    # What failed is tried again: a library may have been installed since.
    missing = {keys[job]: job for job in jobs if done.get(keys[job], {"error": True})["error"] or not has_surface(job)}
    ordered = sorted(missing.values(), key=lambda job: cases.index(job.case)) if minutes > 0 else []
    for row in _fits(ordered, context, workers=workers, minutes=minutes, meshes=meshes):
        done[row["key"]] = row
        append_row(store, row)
    finished = {job for job in jobs if keys[job] in done and (done[keys[job]]["error"] or has_surface(job))}
    undone = {job.case for job in jobs if job not in finished}
    return [
        {**{name: value for name, value in done[keys[job]].items() if name != "key"}, **job.shown}
        for job in jobs
        if job.case not in undone
    ]


def _fits(jobs: Sequence[Job], context: Context, *, workers: int, minutes: float, meshes: Path | None) -> Iterator[Row]:
    """Rows of fits as they are finished, told of on standard error; what is running when time is up is lost."""
    if not jobs:
        return
    began, made_by = time.monotonic(), commit(protocol.ROOT)
    for variable in _THREADS:
        os.environ[variable] = "1"  # inherited by the workers
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start) as pool:
        futures = [pool.submit(measure, job, context, meshes) for job in jobs]
        try:
            for count, future in enumerate(as_completed(futures), 1):
                row = {**future.result(), "commit": made_by}
                print(
                    f"{count}/{len(jobs)} {time.monotonic() - began:.0f} s: {row['system']}, {row['condition']}, "
                    f"{row['case']}: {row['error'] or format(row['chamfer'], '.3g')}",
                    file=sys.stderr,
                )
                yield row
                if time.monotonic() - began > 60 * minutes:
                    break
        except BrokenProcessPool:
            raise DalsError("A worker died; start the table again, it goes on where it was.") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def measure(job: Job, context: Context, meshes: Path | None = None) -> Row:
    """Fit and judge; a system that cannot do a case leaves its reason in ``error``."""
    shape = _shape(context.organ, context.split, job.case)
    key = key_of(job, context)
    row: Row = {**job.shown, "error": "", "key": key}
    try:
        observation = observation_of(shape, job.condition)
        system = make(job.system, context, estimates_pose=not job.pose_known, changes=job.changes)
        pose = protocol.known_pose(shape) if job.pose_known else guessed_pose(observation, context.prior)
        before, began, used = reset_peak(), time.perf_counter(), _processor_seconds()
        mesh = system.fit(observation, pose=pose)
        row["seconds"], row["processor_seconds"] = time.perf_counter() - began, _processor_seconds() - used
        row["peak_mb"] = peak_megabytes() - before
        row |= protocol.judge(mesh, shape)
        row["facets"] = len(mesh.faces)
        if meshes is not None:
            target = mesh_path(meshes, job, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_mesh(target, mesh)
    except DalsError as error:
        row["error"] = str(error)
    except (np.linalg.LinAlgError, ValueError, RuntimeError, AssertionError) as error:
        # A library gave up: the case is lost, the table is not.
        row["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return row


def mesh_path(folder: Path, job: Job, key: str) -> Path:
    """Where the surface of a job lies: another one where its key is another."""
    shown = job.shown
    parts = (shown["case"], shown["condition"], shown["system"], hashlib.sha256(key.encode()).hexdigest()[:8])
    return folder / ("-".join(parts).replace("/", "_").replace(" ", "_").replace(":", "_") + ".ply")


def guessed_pose(observation: Any, prior_name: str) -> Pose:
    """What a system without an estimate of its own is given: `first_guess` of the mean shape."""
    return first_guess(observation, the_prior(prior_name).mean_shape(icosphere(3)).double().numpy())


def _processor_seconds() -> float:
    """Used by this process and by those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def reset_peak() -> float:
    """Let the peak of the process's memory start anew, and return where it starts, MB.

    Memory that earlier fits have left is given back before; other systems than Linux can do neither.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        pass
    return peak_megabytes()


def peak_megabytes() -> float:
    """Largest resident memory of the process since `reset_peak`, libraries included, MB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(float(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@functools.lru_cache(maxsize=4)
def _shape(organ: str, split: str, name: str) -> NormalisedShape:
    if split == "test":
        return next(shape for shape in protocol.held_out(organ) if shape.name == name)
    return prepared(organ, [name])[0]


def key_of(job: Job, context: Context) -> str:
    """The same for the same fit, whatever a table calls it."""
    condition = _SAME.get(job.condition, job.condition)
    guessed = None if job.pose_known else the_prior(context.prior).digest
    fit = [context.organ, job.system, condition, job.case, guessed, job.changes]
    return json.dumps([*fit, model_identity(job.system, context)])


def _start() -> None:
    import torch

    torch.set_num_threads(1)
