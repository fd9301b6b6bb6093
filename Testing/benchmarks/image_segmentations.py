"""What the patient's image adds to the editing of segmentations: `python Testing/benchmarks/image_segmentations.py`.

True livers with errors put into them (`segmentation/damage.py`), and one network's mask, on real images, with the
shipped prior. By default the unseen livers in MR and the liver in CT, and every case is stored under
`Testing/benchmarks/results`; `--group mr-chosen` is what settings were chosen on.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

import torch

from benchmarks.image_study.cases import names_of
from benchmarks.image_study.edit_table import edit_table
from benchmarks.image_study.segmentations import COPIES, EditRow, measure
from benchmarks.stored import store
from dals.errors import DalsWarning

NAME = "image-segmentations"


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", choices=("mr-chosen", "mr", "ct"), help="one group; nothing is stored")
    parser.add_argument("--cases", type=int, help="only the first N of each group")
    parser.add_argument("--copies", type=int, default=COPIES, help="sets of errors of a kind for each case")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DalsWarning)
    rows: list[EditRow] = []
    for group in (options.group,) if options.group else ("mr", "ct"):
        for name in names_of(group)[: options.cases]:
            rows += measure(group, name, copies=options.copies)
            print(f"{group} {name}", file=sys.stderr, flush=True)
            if not options.group:
                store(NAME, EditRow, rows, edit_table(rows))
    print(edit_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
