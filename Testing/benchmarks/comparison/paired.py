"""One system against each of the others, case by case."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.comparison.report import COLUMNS, Row
from benchmarks.significance import signed_rank_p
from dals.geometry.mesh import FloatArray

METRICS = {"chamfer": (1e3, 3), "f_score_2": (1.0, 1), "quality": (1.0, 3)}
"""What can be compared, with its factor and digits in the tables."""
_LESS_IS_BETTER = frozenset({"chamfer"})


@dataclass(frozen=True)
class Paired:
    """What two systems make of a metric, over the cases that both can do.

    Attributes
    ----------
    medians : (float, float)
        Of the first and of the second.
    difference : float
        Mean of first less second.
    better, cases : int
        In how many of all cases the first is better.
    p : float
        Wilcoxon signed-rank test, two-sided; not a number where no case differs.
    """

    medians: tuple[float, float]
    difference: float
    better: int
    cases: int
    p: float


def paired(rows: Sequence[Row], first: str, second: str, metric: str) -> Paired | None:
    """Compare two systems' rows of one observation; None if they share no case."""
    found = [_values(rows, name, metric) for name in (first, second)]
    shared = [case for case in found[0] if case in found[1]]
    if not shared:
        return None
    ours, theirs = (np.array([values[case] for case in shared]) for values in found)
    differences: FloatArray = ours - theirs
    better = differences < 0 if metric in _LESS_IS_BETTER else differences > 0
    medians = (float(np.median(ours)), float(np.median(theirs)))
    return Paired(medians, float(differences.mean()), int(better.sum()), len(shared), signed_rank_p(ours, theirs))


def markdown(
    rows: Sequence[Row], *, systems: Sequence[str], reference: str, metrics: Sequence[str] = ("chamfer", "f_score_2")
) -> str:
    """A table of one observation's rows, the reference against each other system; empty if nothing can be compared."""
    head = [f"{reference} against"]
    for metric in metrics:
        title = COLUMNS[metric][0].split(" ")[0]
        head += [f"{title}: median of the other", f"of {reference}", f"mean of {reference} less the other"]
        head += [f"{reference} better in", "p"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for system in systems:
        cells = [_cells(rows, reference, system, metric) for metric in metrics]
        if system != reference and all(cells):
            lines.append("| " + " | ".join([system, *itertools.chain(*cells)]) + " |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _cells(rows: Sequence[Row], reference: str, system: str, metric: str) -> list[str]:
    found, (factor, digits) = paired(rows, reference, system, metric), METRICS[metric]
    if found is None:
        return []
    medians = [f"{factor * value:.{digits}f}" for value in reversed(found.medians)]
    return [*medians, f"{factor * found.difference:+.{digits}f}", f"{found.better} of {found.cases}", _p(found.p)]


def _p(value: float) -> str:
    return "–" if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _values(rows: Sequence[Row], system: str, metric: str) -> dict[str, float]:
    return {str(row["case"]): float(row[metric]) for row in rows if row["system"] == system and not row.get("error")}
