"""From single measurements to a table: every method beside the raw segmentations, case by case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.segmentation.rows import RAW, Row
from benchmarks.significance import signed_rank_p

LOSS = 0.01
"""Of Dice, from which on a case counts as made worse."""


@dataclass(frozen=True)
class Metric:
    """A figure of a `Row`, and how it is shown."""

    name: str
    title: str
    factor: float = 1.0
    digits: int = 2


DICE = Metric("dice", "Dice", digits=3)
DISTANCES = (
    Metric("hausdorff_mm", "Hausdorff mm"),
    Metric("hd95_mm", "HD95 mm"),
    Metric("chamfer", "Chamfer × 10⁴", factor=1e4),
    Metric("mean_mm", "mean distance mm", digits=3),
)


@dataclass(frozen=True)
class Change:
    """What a method does to a figure, over the cases that have it with and without the method.

    Attributes
    ----------
    mean, deviation : float
        With the method.
    difference : float
        Of the means, with less without.
    ratio : float
        Of the means, with over without.
    p : float
        Wilcoxon signed-rank test, two-sided; not a number where no case changes.
    """

    mean: float
    deviation: float
    difference: float
    ratio: float
    p: float


Pair = tuple[Row, Row]
"""A case's raw row and that of a method."""


def pairs_of(rows: list[Row], group: str, method: str) -> list[Pair]:
    """Pairs of a group, in the order of the method's rows."""
    raw = {row.case: row for row in rows if row.group == group and row.method == RAW}
    return [(raw[row.case], row) for row in rows if row.group == group and row.method == method and row.case in raw]


def change(pairs: list[Pair], metric: str) -> Change:
    """Compare a figure; pairs in which one of both is not finite are left out."""
    values = np.array([[getattr(row, metric) for row in pair] for pair in pairs], dtype=np.float64).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) == 0:
        return Change(*[float("nan")] * 5)
    before, after = values.T
    return Change(
        mean=float(after.mean()),
        deviation=float(after.std(ddof=1)) if len(after) > 1 else 0.0,
        difference=float(after.mean() - before.mean()),
        ratio=float(after.mean() / before.mean()),
        p=signed_rank_p(before, after),
    )


def made_worse(pairs: list[Pair]) -> list[Row]:
    """The method's rows that lost more than `LOSS` of Dice."""
    return [after for before, after in pairs if before.dice - after.dice > LOSS]


def best_median_worst(pairs: list[Pair]) -> list[Pair]:
    """The pairs with the best, the median and the worst change of Dice."""
    ranked = sorted(pairs, key=lambda pair: pair[0].dice - pair[1].dice)
    return [ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1]]


def groups_and_methods(rows: list[Row]) -> list[tuple[str, str]]:
    """All that occur, in their order, the raw segmentations of each group first."""
    found = dict.fromkeys((row.group, row.method) for row in rows)
    groups = list(dict.fromkeys(group for group, _ in found))
    return sorted(found, key=lambda item: (groups.index(item[0]), item[1] != RAW))


def markdown(rows: list[Row], titles: Mapping[str, str], *, group_title: str) -> str:
    """A table with a line for each group and method.

    Parameters
    ----------
    rows : list of Row
    titles : mapping
        From methods to what they are called.
    group_title : str
        Heading of the groups.
    """
    headings = [group_title, "method", "cases", "Dice", "difference", "p"]
    for metric in DISTANCES:
        headings += [metric.title, "ratio", "p"]
    headings += [f"lose > {LOSS:g} Dice", "of these not flagged", "flagged"]
    lines = ["| " + " | ".join(headings) + " |", "| --- " * len(headings) + "|"]
    for group, method in groups_and_methods(rows):
        pairs = pairs_of(rows, group, method)
        cells = [group, titles.get(method, method), str(len(pairs)), *_figures(pairs, is_raw=method == RAW)]
        lines.append("| " + " | ".join([*cells, *_counts(pairs)]) + " |")
    return "\n".join(lines) + "\n"


def brief(rows: list[Row]) -> str:
    """The same for a terminal, with less in it."""
    lines = []
    for group, method in groups_and_methods(rows):
        pairs = pairs_of(rows, group, method)
        overlap, distance, quantile, chamfer, mean = (change(pairs, metric.name) for metric in (DICE, *DISTANCES))
        line = (
            f"{group:8}{method:14}{len(pairs):3} cases  Dice {overlap.mean:.3f} ± {overlap.deviation:.3f}  "
            f"Hausdorff {distance.mean:.2f} mm  HD95 {quantile.mean:.2f} mm  "
            f"Chamfer {1e4 * chamfer.mean:.2f}e-4  mean {mean.mean:.3f} mm"
        )
        if method != RAW:
            worse, unflagged, _ = _counts(pairs)
            line += (
                f"  Dice {overlap.difference:+.3f} (p {_p(overlap.p)})  Hausdorff x{distance.ratio:.2f}  "
                f"Chamfer x{chamfer.ratio:.2f}  mean x{mean.ratio:.2f}  "
                f"worse {worse}, not flagged {unflagged}"
            )
        lines.append(line)
    return "\n".join(lines)


def _figures(pairs: list[Pair], *, is_raw: bool) -> list[str]:
    overlap = change(pairs, DICE.name)
    cells = [_mean(overlap, DICE), *(["", ""] if is_raw else [f"{overlap.difference:+.3f}", _p(overlap.p)])]
    for metric in DISTANCES:
        found = change(pairs, metric.name)
        cells += [_mean(found, metric), *(["", ""] if is_raw else [f"{found.ratio:.2f}", _p(found.p)])]
    return cells


def _counts(pairs: list[Pair]) -> list[str]:
    worse = made_worse(pairs)
    if all(before is after for before, after in pairs):
        return ["", "", ""]
    if not any(after.confidence for _, after in pairs):
        return [str(len(worse)), "–", "–"]
    unflagged = sum(not row.is_flagged for row in worse)
    return [str(len(worse)), str(unflagged), str(sum(after.is_flagged for _, after in pairs))]


def _mean(found: Change, metric: Metric) -> str:
    return f"{found.mean * metric.factor:.{metric.digits}f} ± {found.deviation * metric.factor:.{metric.digits}f}"


def _p(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"
