"""A table of cases for `dals refine --batch`."""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli.batch_cluster import RowTask, refine_row
from dals.cli.batch_records import BatchRecords
from dals.cli.cases import KINDS, Case, prior_files
from dals.cli.cluster import cluster_client, each_done
from dals.cli.labels import plain_label
from dals.cli.numbers import component_of, side_of
from dals.cli.output_files import check_overwriting
from dals.errors import DalsError, DalsWarning, InputError
from dals.evaluation.formatting import volume_text
from dals.io.regular_files import check_regular

if TYPE_CHECKING:
    import torch

    from dals.model.prior import ShapePrior

_OPTIONAL = (
    *("label", "component", "probabilities", "image", "prior", "side"),
    *("output_segmentation", "disagreement", "reference", "report", "open_plane"),
)
_OF_EACH_CASE = (
    *("output", "probabilities", "image", "output_segmentation", "disagreement", "reference", "report"),
    "open_plane",
)
"""Options that mean one case."""
_LARGEST_TABLE = 1 << 26
"""Bytes."""


def run_batch(
    options: argparse.Namespace, refine: Callable[[Case, ShapePrior], dict[str, Any]], device: torch.device
) -> int:
    """Refine every row of a table; a failed case does not stop the others.

    The table has a header. Each row names an `output` and exactly one of `contours` (several files separated by
    semicolons), `sparse_segmentation`, `segmentation` and `points`. All other columns are optional. The command line's
    label, component, prior and side apply where a row has none. Paths are relative to the table's folder.
    """
    for name in _OF_EACH_CASE:
        if getattr(options, name, None) is not None:
            raise InputError(f"A table names the {name.replace('_', ' ')} of each case in its column {name}.")
    plain_label(options.label)  # report an error once, not for every row
    scheduler = getattr(options, "scheduler", None)
    if scheduler is None and getattr(options, "workers", None):
        raise InputError("--workers of a table needs --scheduler: local for this machine, or a cluster's address.")
    resuming = getattr(options, "resume", False)
    if scheduler is not None or resuming:
        options.batch = options.batch.absolute()  # workers and later runs may have other working folders
    rows = _read_rows(options.batch)
    cases = [_case_or_error(row, number, options) for number, row in enumerate(rows, start=1)]
    _check_all([case for case in cases if isinstance(case, Case)])
    records = BatchRecords(options.batch, options) if resuming else None
    table = [_Row(number, row, case) for number, (row, case) in enumerate(zip(rows, cases, strict=True), start=1)]
    if scheduler is None:
        failed = sum(not done for done in _here(table, options, refine, device, records))
    else:
        failed = sum(not done for done in _on_cluster(table, options))
    print(f"{len(rows) - failed} of {len(rows)} cases refined, {failed} failed.")
    return 2 if failed else 0


@dataclass(frozen=True)
class _Row:
    number: int
    cells: dict[str, str]
    case: Case | DalsError

    @property
    def title(self) -> str:
        return f"case {self.number} ({self.cells.get('output') or 'no output'})"


def _here(
    rows: Sequence[_Row],
    options: argparse.Namespace,
    refine: Callable[[Case, ShapePrior], dict[str, Any]],
    device: torch.device,
    records: BatchRecords | None,
) -> Iterator[bool]:
    """Refine rows one after the other in this process; yield whether each is done."""
    from dals.model.prior import load_prior

    priors: dict[str, ShapePrior] = {}
    for row in rows:
        try:
            with _warnings_of(row.title):
                if isinstance(row.case, DalsError):
                    raise row.case
                report = None if records is None else records.find(row.case)
                again = report is not None
                if report is None:
                    name = _prior(row.cells, options)
                    if name not in priors:
                        priors[name] = load_prior(name).to(device)
                    report = refine(row.case, priors[name])
                    if records is not None:
                        records.add(row.case, report)
            _say_done(row, report, again=again)
            yield True
        except DalsError as error:
            yield _say_failed(row, str(error))


def _on_cluster(rows: Sequence[_Row], options: argparse.Namespace) -> Iterator[bool]:
    """Refine the rows that are not done yet on a cluster, in any order; yield whether each is done."""
    from dals.model.prior_files import find_prior

    records = BatchRecords(options.batch, options)
    tasks: list[RowTask] = []
    for row in rows:
        try:
            if isinstance(row.case, DalsError):
                raise row.case
            known = records.find(row.case)
            if known is None:
                prior = str(find_prior(_prior(row.cells, options)).absolute())
                tasks.append(RowTask(row.number, row.case, prior, options))
            else:
                _say_done(row, known, again=True)
                yield True
        except DalsError as error:
            yield _say_failed(row, str(error))
    if not tasks:
        return
    with cluster_client(options.scheduler, workers=options.workers) as client:
        for task, outcome in each_done(client, refine_row, tasks):
            row = rows[task.number - 1]
            if isinstance(outcome, DalsError):
                yield _say_failed(row, str(outcome))
                continue
            with _warnings_of(row.title):
                for sentence in outcome.warnings:
                    warnings.warn(sentence, DalsWarning, stacklevel=2)
            if outcome.report is None:
                yield _say_failed(row, outcome.error)
            else:
                _say_done(row, outcome.report)
                yield True


def _say_done(row: _Row, report: dict[str, Any], *, again: bool = False) -> None:
    assert isinstance(row.case, Case)
    print(f"{row.case.output}: {_summary(report)}{', already there' if again else ''}", flush=True)


def _say_failed(row: _Row, reason: str) -> bool:
    print(f"dals refine: {row.title}: {reason}", file=sys.stderr)
    return False


def _check_all(cases: Sequence[Case]) -> None:
    """Raise if a case would overwrite what another one reads or writes."""
    check_overwriting(
        [output for case in cases for output in case.outputs], [path for case in cases for path in case.inputs]
    )


@contextmanager
def _warnings_of(title: str) -> Iterator[None]:
    """Prefix each warning with the name of its case."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_with_title(message: Warning | str, *rest: Any, **named: Any) -> None:
            show(f"{title}: {message}", *rest, **named)

        warnings.showwarning = show_with_title
        yield


def _summary(report: dict[str, Any]) -> str:
    confidence = f", confidence {report['confidence']['level']}" if "confidence" in report else ""
    return f"{volume_text(report['volume_ml'])} ml, {report['seconds']:.1f} s{confidence}"


def _read_rows(path: Path) -> list[dict[str, str]]:
    check_regular(path, limit=_LARGEST_TABLE)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {path} cannot be read.") from error
    if not lines:
        raise InputError(f"The table {path} has no cases.")
    _check_header(header, path)
    rows = []
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line]
        if any(cells[len(header) :]):
            raise InputError(f"Row {number} of the table {path} has more cells than the header has columns.")
        rows.append(dict(zip_longest(header, cells[: len(header)], fillvalue="")))
    return rows


def _check_header(header: Sequence[str], path: Path) -> None:
    known = {"output", *KINDS, *_OPTIONAL}
    unknown = sorted(set(header) - known)
    if unknown or "output" not in header:
        raise InputError(
            f"The table {path} needs the column output and one of {', '.join(KINDS)}"
            + (f"; it has the unknown column {unknown[0]!r}." if unknown else ".")
        )
    for column in header:
        if header.count(column) > 1:
            raise InputError(f"The table {path} has the column {column} twice.")


def _prior(row: dict[str, str], options: argparse.Namespace) -> str:
    return row.get("prior") or str(options.prior)


def _case_or_error(row: dict[str, str], number: int, options: argparse.Namespace) -> Case | DalsError:
    try:
        return _case(row, number, options)
    except DalsError as error:
        return error


def _case(row: dict[str, str], number: int, options: argparse.Namespace) -> Case:
    folder = options.batch.parent
    kinds = [kind for kind in KINDS if row.get(kind)]
    if len(kinds) != 1 or not row.get("output"):
        raise InputError(f"Row {number} must name an output and exactly one of {', '.join(KINDS)}.")
    kind = kinds[0]
    labelled = kind in ("segmentation", "sparse_segmentation")
    label = [row["label"]] if row.get("label") else options.label if labelled else None
    sources = row[kind].split(";") if kind == "contours" else [row[kind]]

    def optional(column: str) -> Path | None:
        return folder / row[column] if row.get(column) else None

    return Case(
        kind=kind,
        sources=tuple(folder / source.strip() for source in sources if source.strip()),
        output=folder / row["output"],
        label=plain_label(label),
        component=component_of(row.get("component") or (options.component if kind == "segmentation" else None)),
        probabilities=optional("probabilities"),
        image=optional("image"),
        space="RAS" if options.ras else "LPS",
        output_segmentation=optional("output_segmentation"),
        reference=optional("reference"),
        report=optional("report"),
        disagreement=optional("disagreement"),
        side=side_of(row.get("side") or options.side),
        remesh=options.remesh,
        open_planes=tuple(name.strip() for name in row.get("open_plane", "").split(";") if name.strip()),
        also_read=(options.batch, *prior_files([_prior(row, options)])),
    )
