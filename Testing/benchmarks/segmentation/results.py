"""What is stored of a study beside its pictures: the table, and every case."""

from __future__ import annotations

from pathlib import Path

from benchmarks.segmentation.rows import Row, write_csv
from benchmarks.segmentation.table import LOSS, Pair, best_median_worst
from dals.io.atomic import atomic_path

DEFINITIONS = f"""\
Means ± standard deviations over cases; "difference" and "ratio" are of the means, method to raw; p is that of
Wilcoxon's signed-rank test, two-sided, case by case. Hausdorff and mean distance (average of the two directed means) in
millimetres and Chamfer distance (sum of the mean squared distances in both directions, in units of the true surface's
bounding radius) are between 100,000 samples of each surface; HD95 is the larger of the two directed 95% quantiles,
between 30,000. "Lose" are cases whose Dice falls by more than {LOSS:g}; "flagged" are those of which the program says
that its confidence is not high."""


def store(folder: Path, name: str, rows: list[Row], text: str, *, prior_digest: str) -> None:
    """Write NAME.md and NAME.csv; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / f"{name}.csv", rows, prior_sha256=prior_digest)
    with atomic_path(folder / f"{name}.md") as path:
        path.write_text(text, encoding="utf-8")
    print(f"stored as {folder / name}.md, .csv and .png")


def examples(pairs: list[Pair]) -> list[tuple[str, Pair]]:
    """The cases to be drawn, and what they are; only those that were segmented at all."""
    drawable = [pair for pair in pairs if pair[0].dice > 0]
    return list(zip(("best", "median", "worst"), best_median_worst(drawable), strict=True)) if drawable else []
