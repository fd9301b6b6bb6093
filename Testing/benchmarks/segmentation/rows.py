"""Single measurements: what is to be measured, what came out, and files from which an interrupted run goes on."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path

from benchmarks.segmentation.scores import Score
from dals.io.atomic import atomic_path

RAW = "raw"
"""The method that leaves a segmentation as it is; all others are compared with it."""
CONFIDENT = "high"


@dataclass(frozen=True)
class Job:
    """What is to be measured.

    Attributes
    ----------
    group : str
        Where the segmentation came from: a network, or a kind of damage.
    case : str
    method : str
        What was done to it.
    """

    group: str
    case: str
    method: str


@dataclass(frozen=True)
class Row:
    """A measurement; see `Score` for the figures.

    Attributes
    ----------
    group, case, method : str
        As in `Job`.
    seconds : float
        Of the method, without measuring.
    confidence, reasons : str
        What the program would tell its user about the result; empty for methods that tell nothing.
    """

    group: str
    case: str
    method: str
    dice: float
    hausdorff_mm: float
    chamfer: float
    mean_mm: float
    hd95_mm: float = float("nan")
    seconds: float = 0.0
    confidence: str = ""
    reasons: str = ""

    @property
    def is_flagged(self) -> bool:
        """Whether the user is told to look at the result with care."""
        return self.confidence not in ("", CONFIDENT)


def row_of(job: Job, score: Score, *, seconds: float = 0.0, confidence: str = "", reasons: str = "") -> Row:
    """What came out of a job."""
    return Row(**asdict(job), **asdict(score), seconds=seconds, confidence=confidence, reasons=reasons)


def key_of(*parts: object) -> str:
    """A name for a measurement that changes with anything it depends on (each with a telling `repr`)."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:32]


def digest_of(*paths: Path) -> str:
    """SHA-256 of the contents of files, in hexadecimal."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()


def measure_all(
    keyed: Iterable[tuple[str, Job]], measure: Callable[[Job], Row], *, folder: Path, workers: int
) -> list[Row]:
    """Measure what `folder` does not hold yet, in processes of one thread each.

    Parameters
    ----------
    keyed : iterable of (str, Job)
        Jobs with their `key_of`.
    measure : callable
        Can be pickled; measures one job.
    folder : Path
        Of rows, a file each; made if it is not there.
    workers : int

    Returns
    -------
    list of Row
        In the order of the jobs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    todo = dict(keyed)
    rows = {key: _read(folder / f"{key}.json") for key in todo if (folder / f"{key}.json").exists()}
    missing = {key: job for key, job in todo.items() if key not in rows}
    print(f"{len(rows)} of {len(todo)} measurements are there", flush=True)
    if missing:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread) as pool:
            running = {pool.submit(measure, job): key for key, job in missing.items()}
            try:
                for done, future in enumerate(as_completed(running), start=1):
                    key, row = running[future], future.result()
                    rows[key] = row
                    with atomic_path(folder / f"{key}.json") as path:
                        path.write_text(json.dumps(asdict(row)), encoding="utf-8")
                    print(f"[{done}/{len(missing)}] {_brief(row)}", flush=True)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [rows[key] for key in todo]


def one_thread() -> None:
    """Let torch compute in one thread, as all measurements are made."""
    import torch

    torch.set_num_threads(1)


def write_csv(path: Path, rows: list[Row], **constants: str) -> None:
    """All rows, a line each; `constants` are further columns."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*(field.name for field in fields(Row)), *constants])
        writer.writeheader()
        for row in rows:
            figures = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in vars(row).items()}
            writer.writerow({**figures, **constants})


def _read(path: Path) -> Row:
    return Row(**json.loads(path.read_text(encoding="utf-8")))


def _brief(row: Row) -> str:
    return (
        f"{row.group:8}{row.case:17}{row.method:14}Dice {row.dice:.3f}  Hausdorff {row.hausdorff_mm:6.2f} mm  "
        f"{row.seconds:5.1f} s {row.confidence}"
    )
