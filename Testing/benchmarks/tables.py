"""The tables and figures that compare the project's method with others: `python Testing/benchmarks/tables.py table1`.

`--quick` takes minutes on two cores: few cases, short models. `--full` takes all cases and the models of
`train_systems.py`. Both go on where they were interrupted; fits that another table has made are not made again.
Tuning is done with `--split validation`, never on the test shapes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks import protocol
from benchmarks.comparison import outputs, registry
from benchmarks.comparison.plans import TABLES, plan_of
from benchmarks.comparison.registry import Context
from benchmarks.comparison.runner import run
from benchmarks.comparison.shapes import shapes_of
from dals.errors import DalsError

RESULTS = Path(__file__).resolve().parent / "results"
QUICK_CASES = {"table1": 1, "table2": 2, "table3": 1, "figure6": 1, "table5": 1, "pictures": 1, "beyond": 1}
FULL_CASES = {"figure6": 6, "table5": 12, "pictures": 2, "beyond": 6}
"""The tables take all shapes; plots, whose every point is a fit, and pictures take the first ones."""


def main() -> int:
    """Measure what is missing, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="few cases and short models, under 15 minutes (default)")
    size.add_argument("--full", action="store_true", help="all cases, hours")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="shapes to measure")
    parser.add_argument("--prior", help="name or file of another prior than the one trained like the other systems")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="only these: " + ", ".join(registry.names()))
    parser.add_argument("--cases", type=int, help="only the first N shapes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="then stop, with a table of the cases that are complete"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    unknown = [name for name in options.systems or () if name not in registry.names()]
    if unknown:
        parser.error(f"there is no system {unknown[0]!r}; there are {', '.join(registry.names())}")
    quick, split = not options.full, options.split
    organ = "hippocampus" if options.table == "table2" else "liver"
    began = time.monotonic()
    shapes = shapes_of(organ, split)
    cases = options.cases or (QUICK_CASES if quick else FULL_CASES).get(options.table)
    shapes = shapes[:cases]
    context = Context(organ, split, quick, options.prior)
    plan = plan_of(options.table, [shape.name for shape in shapes], systems=options.systems, quick=quick)
    registry.prepare(tuple(dict.fromkeys(job.system for job in plan.jobs)), context, workers=options.workers)
    name = "-".join([options.table, *(["quick"] if quick else []), *([split] if split != "test" else [])])
    folder = protocol.CACHE / "comparison"
    store = folder / f"{'quick' if quick else 'full'}-{split}.jsonl"
    meshes = folder / "meshes" / name if options.table == "pictures" else None
    rows = run(plan.jobs, context, store=store, workers=options.workers, minutes=options.minutes, meshes=meshes)
    if not rows:
        raise DalsError("No case is complete yet; start the table again, it goes on where it was.")
    text = outputs.write(options.table, plan, rows, shapes, context, folder=options.out, name=name, meshes=meshes)
    print(text)
    print(f"{time.monotonic() - began:.0f} s; written to {options.out / name}.*", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DalsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
