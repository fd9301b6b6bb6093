"""`dals prepare`: makes normalised training shapes from meshes and label maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dals.cli.numbers import at_least, label_value
from dals.cli.progress import ProgressBar
from dals.errors import DatasetError

SUMMARY = "Make a data set of normalised training shapes from label maps or meshes."
WHEN_STOPPED = "the next run resumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="label map, mesh, folder of them, or pattern")
    parser.add_argument(
        "--label", type=label_value, nargs="+", metavar="N", help="labels whose union is the organ; by default all"
    )
    parser.add_argument("--ras", action="store_true", help="meshes that name no coordinate system are in RAS, not LPS")
    parser.add_argument(
        "--mirror", action="store_true", help="swap left and right, to bring all organs of a pair to one side"
    )
    parser.add_argument("--workers", type=at_least(1), metavar="N", help="number of processes; by default one per core")


def run(options: argparse.Namespace) -> int:
    """Make the data set and report."""
    from dals.dataset.preparation import prepare

    with ProgressBar("Preparing shapes") as progress:
        report = prepare(
            options.inputs,
            options.out,
            labels=options.label,
            space="RAS" if options.ras else None,
            workers=options.workers,
            mirror=options.mirror,
            progress=lambda done, total, name, _reason: progress.update(done, total, name),
        )
    for name, reason in sorted(report.skipped.items()):
        print(f"not usable: {name}: {reason}", file=sys.stderr)
    for name, done in sorted(report.repaired.items()):
        print(f"mended: {name}: {done}", file=sys.stderr)
    mended = f"; {len(report.repaired)} had handles and were mended" if report.repaired else ""
    print(
        f"{report.usable} shapes in {options.out}: {len(report.prepared)} made now, "
        f"{len(report.already_there)} already there, {len(report.skipped)} not usable{mended}."
    )
    if report.usable == 0:
        raise DatasetError("No case could be used; the reasons are listed above.")
    return 0
