"""Tables of the study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.image_study.measure import CONTOURS, IMAGE, METHODS, Row
from benchmarks.significance import signed_rank_p

WORSE_MM = 0.2
"""Of the average symmetric distance, from which on a case counts as made worse."""
_HEAD = (
    "| method | ASSD mm: mean / median / worst | HD95 mm: mean / median / worst | Dice: mean / median / worst "
    "| volume % | worse by > 0.2 mm | p of Dice, HD95 beside contours and image | processor s |"
)
TITLES = {
    "mr-chosen": "livers in MR (CHAOS, settings chosen on them)",
    "mr": "livers in MR (CHAOS, unseen)",
    "right-kidney-mr": "right kidneys in MR (CHAOS, unseen)",
    "left-kidney-mr": "left kidneys in MR (CHAOS, unseen)",
    "spleen-mr": "spleens in MR (CHAOS, unseen)",
    "ct": "liver in CT (CHAOS)",
    "hippocampus-chosen": "hippocampi in MR (settings chosen on them)",
    "hippocampus": "hippocampi in MR (unseen)",
}


def table(rows: Sequence[Row]) -> str:
    """Markdown: mean, median and worst of each method in each group, and cases worse than contours only."""
    text = []
    for key in dict.fromkeys((row.group, row.planes, row.drawn) for row in rows):
        group, planes, drawn = key
        chosen = [row for row in rows if (row.group, row.planes, row.drawn) == key]
        cases = list(dict.fromkeys(row.case for row in chosen))
        text += [
            f"{len(cases)} {TITLES[group]}, {planes} {drawn}",
            "",
            _HEAD,
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        text += [_line(chosen, cases, method) for method in METHODS if any(row.method == method for row in chosen)]
        text.append("")
    return "\n".join(text)


def _line(rows: Sequence[Row], cases: Sequence[str], method: str) -> str:
    found = {row.case: row for row in rows if row.method == method}
    alone = {row.case: row for row in rows if row.method == CONTOURS}
    ours = {row.case: row for row in rows if row.method == IMAGE}
    own = [found[case] for case in cases if case in found]
    worse = sum(row.assd_mm > alone[row.case].assd_mm + WORSE_MM for row in own)
    p = "–"
    if method != IMAGE and len(own) > 5 and ours:
        p = ", ".join(f"{_p(own, [ours[row.case] for row in own], name):.2g}" for name in ("dice", "hd95_mm"))
    trust = ""
    if method == IMAGE:
        trust = f" (trust {np.mean([row.trust for row in own]):.2f})"
    lacking = "" if len(own) == len(cases) else f", {len(cases) - len(own)} empty"
    return (
        f"| {method}{trust}{lacking} | {_three(own, 'assd_mm', 2, max)} | {_three(own, 'hd95_mm', 1, max)} "
        f"| {_three(own, 'dice', 3, min)} | {np.mean([row.volume_percent for row in own]):+.1f} | {worse} | {p} "
        f"| {np.mean([row.seconds for row in own]):.1f} |"
    )


def _p(first: Sequence[Row], second: Sequence[Row], name: str) -> float:
    return signed_rank_p(*(np.array([getattr(row, name) for row in rows]) for rows in (first, second)))


def _three(rows: Sequence[Row], name: str, digits: int, worst: object) -> str:
    values = [getattr(row, name) for row in rows]
    extreme = max(values) if worst is max else min(values)
    return f"{np.mean(values):.{digits}f} / {np.median(values):.{digits}f} / {extreme:.{digits}f}"
