"""The command line of the tables; see `tables.py`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import protocol
from benchmarks.comparison import outputs, registry
from benchmarks.comparison.plans import TABLES, plan_of
from benchmarks.comparison.registry import Context
from benchmarks.comparison.report import read_table, updated
from benchmarks.comparison.runner import run
from benchmarks.comparison.shapes import shapes_of
from dals.errors import DalsError

RESULTS = Path(__file__).resolve().parents[1] / "results"
QUICK_CASES = {
    "table1": 1,
    "table2": 2,
    "table2-spleens": 1,
    "table3": 1,
    "figure6": 1,
    "table5": 1,
    "pictures": 1,
    "beyond": 1,
}
ORGANS = {"table2": "hippocampus", "table2-spleens": "spleen"}
"""Of the tables that are not of livers; they take the shipped priors."""
FULL_CASES = {"figure6": 4, "table5": 8, "pictures": 2, "beyond": 2}
"""The tables take all shapes; plots, whose every point is a fit, and pictures take the first ones."""


def main(arguments: Sequence[str] | None = None, *, description: str | None = None) -> int:
    """Measure what is missing, write the table; returns the exit status."""
    options = _options(arguments, description)
    began = time.monotonic()
    try:
        where = _make(options)
    except DalsError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{time.monotonic() - began:.0f} s; written to {where}.*", file=sys.stderr)
    return 0


def _options(arguments: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("table", choices=TABLES)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="few cases and short models, under 15 minutes (default)")
    size.add_argument("--full", action="store_true", help="all cases, hours")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="shapes to measure")
    parser.add_argument("--prior", help="name or file of another prior than the one trained like the other systems")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="only these: " + ", ".join(registry.names()))
    parser.add_argument(
        "--update",
        action="store_true",
        help="with --full --systems: all other rows stay as the published table has them",
    )
    parser.add_argument("--cases", type=int, help="only the first N shapes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="then stop, with a table of the cases that are complete"
    )
    parser.add_argument("--out", type=Path, help=f"folder of the results ({RESULTS.name} beside the systems)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.systems or () if name not in registry.names()]
    if unknown:
        parser.error(f"there is no system {unknown[0]!r}; there are {', '.join(registry.names())}")
    if options.update and (not options.full or not options.systems or options.cases or options.prior):
        parser.error("--update goes with --full and --systems, and with neither --cases nor --prior")
    if options.update and options.table == "pictures":
        parser.error("pictures need the surfaces of all systems; make them anew")
    partial = bool(options.systems or options.cases or options.prior)
    if options.full and options.out is None and partial and not options.update:
        parser.error("--systems, --cases and --prior make another table than the published one: name its --out")
    if options.table in ORGANS and options.split == "validation":
        parser.error(f"the shipped prior of the {ORGANS[options.table]} was trained on the validation shapes, too")
    options.out = options.out or RESULTS
    return options


def _make(options: argparse.Namespace) -> Path:
    """Fit, judge, write and print; returns the files' common path without suffix."""
    table, split, quick = options.table, options.split, not options.full
    organ = ORGANS.get(table, "liver")
    shapes = shapes_of(organ, split)[: options.cases or (QUICK_CASES if quick else FULL_CASES).get(table)]
    context = Context(organ, split, quick, options.prior)
    names = [shape.name for shape in shapes]
    plan = plan_of(table, names, systems=options.systems, quick=quick)
    name = "-".join([table, *(["quick"] if quick else []), *([split] if split != "test" else [])])
    whole = plan_of(table, names, quick=quick)
    before = read_table(options.out / f"{name}.csv") if options.update else []
    if options.update:  # told before the measuring if a row that is to be kept is not there
        updated(before, [job.shown for job in plan.jobs], [job.shown for job in whole.jobs])
    registry.prepare(tuple(dict.fromkeys(job.system for job in plan.jobs)), context, workers=options.workers)
    folder = protocol.CACHE / "comparison"
    store = folder / f"{'quick' if quick else 'full'}-{split}.jsonl"
    meshes = folder / "meshes" / name if table == "pictures" else None
    rows = run(plan.jobs, context, store=store, workers=options.workers, minutes=options.minutes, meshes=meshes)
    if not rows:
        raise DalsError("No case is complete yet; start the table again, it goes on where it was.")
    if options.update:
        rows = updated(before, rows, [job.shown for job in whole.jobs])
        plan = whole
    print(outputs.write(table, plan, rows, shapes, context, folder=options.out, name=name, meshes=meshes))
    where: Path = options.out / name
    return where
