"""Images that lead astray, beside contours alone: `python Testing/benchmarks/misleading_images.py`.

Three painted slices, the pose unknown, the shipped priors, on the unseen livers, spleens and right kidneys in MR, the
liver in CT and ten of the test hippocampi. Each gets its own image, and images that are of somebody else, displaced,
mirrored, noise alone, partly dark, unevenly bright or blurred. Every case is stored under `Testing/benchmarks/results`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

import numpy as np
import torch

from benchmarks.image_study.cases import load, names_of
from benchmarks.image_study.measure import CONTOURS, IMAGE, measure
from benchmarks.image_study.misleading import MISLEADING
from benchmarks.image_study.table import TITLES, WORSE_MM
from benchmarks.stored import store
from dals.errors import DalsWarning

NAME, OWN = "misleading-images", "its own"
GROUPS = ("mr", "spleen-mr", "right-kidney-mr", "ct", "hippocampus")
MOST = 10
"""Cases of a group."""
SOMEBODY_ELSE_OF_CT = "mr"
_HEAD = (
    "| organs | image | ASSD mm, contours alone | with the image | worse by: median, worst "
    f"| by more than {WORSE_MM} mm | trust: mean, largest |\n" + 7 * "| --- " + "|"
)


@dataclass(frozen=True)
class MisleadRow:
    """A case with an image: average symmetric distance with contours alone and with the image, and its trust."""

    group: str
    case: str
    image: str
    alone_mm: float
    with_image_mm: float
    trust: float

    @property
    def worse_mm(self) -> float:
        """Than with contours alone."""
        return self.with_image_mm - self.alone_mm


def measured(job: tuple[str, str, tuple[str, str]]) -> list[MisleadRow]:
    """A case of a group with each of the images; the last of the job is somebody else."""
    group, name, other = job
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DalsWarning)
    case, somebody = load(group, name), load(*other)
    rows = []
    for kind, make in {OWN: None, **MISLEADING}.items():
        image = None if make is None else make(case, somebody)
        alone, seen = measure(group, name, planes=3, methods=(CONTOURS, IMAGE), image=image)
        rows.append(MisleadRow(group, case.name, kind, alone.assd_mm, seen.assd_mm, seen.trust))
    return rows


def table(rows: Sequence[MisleadRow]) -> str:
    """Markdown: each group by each image."""
    lines = [_HEAD]
    for group, kind in dict.fromkeys((row.group, row.image) for row in rows):
        own = [row for row in rows if (row.group, row.image) == (group, kind)]
        worse = np.array([row.worse_mm for row in own])
        trust = np.array([row.trust for row in own])
        lines.append(
            f"| {len(own)} {TITLES[group]} | {kind} | {np.mean([row.alone_mm for row in own]):.2f} "
            f"| {np.mean([row.with_image_mm for row in own]):.2f} | {np.median(worse):+.2f}, {worse.max():+.2f} "
            f"| {np.count_nonzero(worse > WORSE_MM)} | {trust.mean():.2f}, {trust.max():.2f} |"
        )
    return "\n".join(lines)


def _jobs(group: str, cases: int) -> list[tuple[str, str, tuple[str, str]]]:
    """Each case of a group beside somebody else."""
    names = names_of(group)
    others = [(group, name) for name in (*names[1:], names[0])]
    if len(names) == 1:
        others = [(SOMEBODY_ELSE_OF_CT, names_of(SOMEBODY_ELSE_OF_CT)[0])]
    return [(group, name, other) for name, other in zip(names, others, strict=True)][:cases]


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", nargs="+", choices=tuple(TITLES), help="only these; nothing is stored")
    parser.add_argument("--cases", type=int, default=MOST, help="only the first N of each group")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    jobs = [job for group in options.groups or GROUPS for job in _jobs(group, options.cases)]
    rows: list[MisleadRow] = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(measured, jobs):
            rows += found
            print(f"{found[0].group} {found[0].case}", file=sys.stderr, flush=True)
            if not options.groups:
                store(NAME, MisleadRow, rows, table(rows))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
