"""What the patient's image adds to contours: `python Testing/benchmarks/image.py --full`.

Painted slices of real organs, the pose unknown, the shipped priors. `--quick` takes two cases on which settings were
chosen and stores nothing. `--full` takes the unseen livers in MR from three and from six painted slices and from three
clicked curves, the liver in CT, and the test hippocampi, and stores every case under `Testing/benchmarks/results`.
Other organs of the MR cases: `--group spleen-mr --also right-kidney-mr left-kidney-mr --name image-organs`.
Grow from seeds needs slicer-core (`.[slicer]`), the random walker scikit-image (`.[remesh]`).
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

import torch

from benchmarks.image_study.cases import names_of
from benchmarks.image_study.measure import CLICKED, METHODS, PAINTED, Row, measure
from benchmarks.image_study.table import table
from benchmarks.stored import store
from dals.errors import DalsWarning, InputError

OTHERS = ("right-kidney-mr", "left-kidney-mr", "spleen-mr")
GROUPS = ("mr-chosen", "mr", "ct", "hippocampus-chosen", "hippocampus", *OTHERS)
FULL = (("mr", 3, PAINTED), ("ct", 3, PAINTED), ("hippocampus", 3, PAINTED), ("mr", 6, PAINTED), ("mr", 3, CLICKED))


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    extent = parser.add_mutually_exclusive_group(required=True)
    extent.add_argument("--quick", action="store_true", help="one liver and one hippocampus")
    extent.add_argument("--full", action="store_true", help="all unseen cases")
    extent.add_argument("--group", choices=GROUPS, help="one group")
    parser.add_argument("--planes", type=int, choices=(3, 6), default=3)
    parser.add_argument("--clicked", action="store_true", help="curves clicked on the planes, not painted slices")
    parser.add_argument("--also", nargs="*", default=[], choices=GROUPS, help="further groups after --group")
    parser.add_argument("--cases", type=int, help="only the first N of each group")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--name", default="image", help="of the result files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DalsWarning)
    drawn = CLICKED if options.clicked else PAINTED
    groups = tuple((group, options.planes, drawn) for group in (options.group, *options.also))
    if options.full:
        groups = FULL
    if options.quick:
        groups, options.cases = (("mr-chosen", 3, drawn), ("hippocampus-chosen", 3, drawn)), 1
    rows: list[Row] = []
    refused: list[str] = []
    for group, planes, drawn in groups:
        for name in names_of(group)[: options.cases]:
            what = f"{group} {name}, {planes} {drawn}"
            try:
                rows += measure(group, name, planes=planes, drawn=drawn, methods=tuple(options.methods))
                print(what, file=sys.stderr, flush=True)
            except InputError as error:
                refused.append(f"{what} were refused: {error}")
                print(refused[-1], file=sys.stderr, flush=True)
            if not options.quick:
                store(options.name, Row, rows, "\n\n".join([table(rows), *refused]))
    print("\n".join([table(rows), *refused]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
