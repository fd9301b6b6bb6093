"""The table of segmentations with an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.image_study.segmentations import IMAGE, METHODS, SHAPE, EditRow
from benchmarks.image_study.table import TITLES

SAME = 0.001
"""Difference of Dice coefficients within which a result counts as the same."""
_HEAD = (
    "| masks | method | Dice: mean / median / worst | ASSD mm | HD95 mm | HD mm: mean / median / worst "
    "| beside shape: better, worse, worst difference of Dice | processor s |\n" + 8 * "| --- " + "|"
)


def edit_table(rows: Sequence[EditRow]) -> str:
    """Markdown: each group of cases and kind of errors by each method."""
    lines = [_HEAD]
    for group, errors in dict.fromkeys((row.group, row.errors) for row in rows):
        of = [row for row in rows if (row.group, row.errors) == (group, errors)]
        for method in METHODS:
            own = [row for row in of if row.method == method]
            lines.append(
                _line(f"{len(own)} {errors}, {TITLES[group]}", own, [row for row in of if row.method == SHAPE])
            )
    return "\n".join(lines)


def _line(title: str, own: Sequence[EditRow], shape: Sequence[EditRow]) -> str:
    method, beside = own[0].method, "–"
    if method == IMAGE:
        gain = np.array([row.dice - other.dice for row, other in zip(own, shape, strict=True)])
        beside = f"{np.count_nonzero(gain > SAME)}, {np.count_nonzero(gain < -SAME)}, {gain.min():+.4f}"
        beside += f"; {sum(row.changed for row in own)} edits changed"
        method += f" (trust {np.mean([row.trust for row in own]):.2f})"
    seconds = np.mean([row.seconds for row in own])
    return (
        f"| {title} | {method} | {_three(own, 'dice', 4, min)} | {_mean(own, 'assd_mm')} | {_mean(own, 'hd95_mm')} "
        f"| {_three(own, 'hausdorff_mm', 1, max)} | {beside} | {'–' if np.isnan(seconds) else f'{seconds:.1f}'} |"
    )


def _mean(rows: Sequence[EditRow], name: str) -> str:
    return f"{np.mean([getattr(row, name) for row in rows]):.2f}"


def _three(rows: Sequence[EditRow], name: str, digits: int, worst: object) -> str:
    values = [getattr(row, name) for row in rows]
    extreme = max(values) if worst is max else min(values)
    return f"{np.mean(values):.{digits}f} / {np.median(values):.{digits}f} / {extreme:.{digits}f}"
