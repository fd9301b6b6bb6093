"""What edits have to achieve on masks of livers, beside what they do."""

from __future__ import annotations

import numpy as np

from benchmarks.segmentation.rows import RAW, Row
from benchmarks.segmentation.table import Pair, pairs_of

LEAST_DICE, MOST_HAUSDORFF_MM, HARM = 0.960, 20.0, 0.001
REFINED, SMOOTHED_BY_SLICES = "refined", "interpolated"


def requirements(rows: list[Row]) -> str:
    """A table: what is required, what was measured, and whether that is enough."""
    lines = ["| mask | required | measured | reached |", "| --- | --- | --- | --- |"]
    lines += _blemished(pairs_of(rows, "blemished", REFINED))
    lines += _damaged(rows)
    lines += _clean(rows)
    return "\n".join(lines) + "\n"


def _blemished(pairs: list[Pair]) -> list[str]:
    if not pairs:
        return []
    change = [after.dice - before.dice for before, after in pairs]
    return [
        _line("blemished", f"Dice of no case falls by more than {HARM:g}", f"{min(change):+.4f}", min(change) >= -HARM),
        _line("blemished", "Dice rises on average", f"{np.mean(change):+.4f}", np.mean(change) > 0),
        *(
            _line(
                "blemished",
                f"{title} not above the input's on average",
                f"{new:.3f} mm, input {old:.3f} mm",
                new <= old,
            )
            for title, name in (("ASSD", "mean_mm"), ("HD95", "hd95_mm"))
            for old, new in [[float(np.mean([getattr(pair[k], name) for pair in pairs])) for k in (0, 1)]]
        ),
    ]


def _damaged(rows: list[Row]) -> list[str]:
    found = _means(rows, "damaged")
    if REFINED not in found:
        return []
    overlap, distance = found[REFINED]
    others = {method: figures[0] for method, figures in found.items() if method not in (RAW, REFINED)}
    best = max(others, key=lambda method: others[method])
    return [
        _line("damaged", f"Dice at least {LEAST_DICE:.3f}", f"{overlap:.4f}", overlap >= LEAST_DICE),
        _line(
            "damaged",
            f"Hausdorff at most {MOST_HAUSDORFF_MM:g} mm",
            f"{distance:.1f} mm",
            distance <= MOST_HAUSDORFF_MM,
        ),
        _line(
            "damaged",
            "Dice above every smoothing's",
            f"{overlap:.4f}, {best} {others[best]:.4f}",
            overlap > others[best],
        ),
    ]


def _clean(rows: list[Row]) -> list[str]:
    found = _means(rows, "clean")
    if REFINED not in found:
        return []
    (overlap, distance), (usual, usual_distance) = found[REFINED], found[SMOOTHED_BY_SLICES]
    return [
        _line("clean", "Dice not below interpolation's", f"{overlap:.4f}, {usual:.4f}", overlap >= usual),
        _line(
            "clean",
            "Hausdorff not above interpolation's",
            f"{distance:.2f}, {usual_distance:.2f} mm",
            distance <= usual_distance,
        ),
    ]


def _means(rows: list[Row], group: str) -> dict[str, tuple[float, float]]:
    """Mean Dice and Hausdorff distance of each method."""
    methods = dict.fromkeys(row.method for row in rows if row.group == group)
    chosen = {method: [row for row in rows if row.group == group and row.method == method] for method in methods}
    return {
        method: (float(np.mean([row.dice for row in some])), float(np.mean([row.hausdorff_mm for row in some])))
        for method, some in chosen.items()
    }


def _line(mask: str, required: str, measured: str, reached: bool) -> str:
    return f"| {mask} | {required} | {measured} | {'yes' if reached else 'no'} |"
