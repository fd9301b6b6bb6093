"""`dals prepare`: makes normalised training shapes from meshes and label maps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dals.cli.cluster import add_cluster_options, cluster_client, each_done, use_one_thread
from dals.cli.numbers import label_value
from dals.cli.progress import ProgressBar
from dals.errors import DalsError, DatasetError

if TYPE_CHECKING:
    from distributed import Client

    from dals.dataset.cases import ShapeCase

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
    add_cluster_options(parser)


def run(options: argparse.Namespace) -> int:
    """Make the data set and report."""
    from dals.dataset.preparation import prepare

    with ExitStack() as stack:
        make = None
        if options.scheduler is not None:
            client = stack.enter_context(cluster_client(options.scheduler, workers=options.workers))
            make = partial(make_on_cluster, client)
        progress = stack.enter_context(ProgressBar("Preparing shapes"))
        report = prepare(
            options.inputs,
            options.out,
            labels=options.label,
            space="RAS" if options.ras else None,
            workers=options.workers,
            mirror=options.mirror,
            progress=lambda done, total, name, _reason: progress.update(done, total, name),
            make=make,
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


def make_on_cluster(client: Client, cases: Sequence[ShapeCase]) -> Iterator[tuple[str, str | None]]:
    """Make shapes on a cluster that sees the same files (`dals.dataset.preparation.Maker`)."""
    for case, outcome in each_done(client, make_once, [case.absolute() for case in cases]):
        yield case.name, str(outcome) if isinstance(outcome, Exception) else outcome


def make_once(case: ShapeCase) -> str | None:
    """Make a shape, unless a worker that was lost afterwards has made it."""
    from dals.dataset.cases import is_up_to_date, make_shape

    use_one_thread()
    with suppress(DalsError):  # making it says so
        if is_up_to_date(case):
            return None
    return make_shape(case)
