"""A table of cases for `dals refine --batch`."""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli.cases import KINDS, Case
from dals.cli.labels import plain_label
from dals.cli.numbers import component_of
from dals.errors import DalsError, InputError
from dals.evaluation.formatting import volume_text

if TYPE_CHECKING:
    import torch

    from dals.model.prior import ShapePrior

_OPTIONAL = (
    *("label", "component", "probabilities", "prior"),
    *("output_segmentation", "disagreement", "reference", "report"),
)


def run_batch(
    options: argparse.Namespace, refine: Callable[[Case, ShapePrior], dict[str, Any]], device: torch.device
) -> int:
    """Refine every row of a table; a failed case does not stop the others.

    The table has a header. Each row names an `output` and exactly one of `contours` (several files separated by
    semicolons), `sparse_segmentation`, `segmentation` and `points`. The columns `label`, `component`, `probabilities`,
    `prior`, `output_segmentation`, `disagreement`, `reference` and `report` are optional. The command line's label,
    component and prior apply where a row has none. Paths are relative to the table's folder.
    """
    from dals.model.prior import load_prior

    for name in ("probabilities", "disagreement"):
        if getattr(options, name) is not None:
            raise InputError(f"A table names the {name} of each case in its column {name}.")
    plain_label(options.label)  # report an error once, not for every row
    priors: dict[str, ShapePrior] = {}
    failed = 0
    rows = _read_rows(options.batch)
    for number, row in enumerate(rows, start=1):
        title = f"case {number} ({row.get('output') or 'no output'})"
        try:
            with _warnings_of(title):
                case = _case(row, number, options)
                name = row.get("prior") or options.prior
                if name not in priors:
                    priors[name] = load_prior(name).to(device)
                report = refine(case, priors[name])
            print(f"{case.output}: {_summary(report)}", flush=True)
        except DalsError as error:
            failed += 1
            print(f"dals refine: {title}: {error}", file=sys.stderr)
    print(f"{len(rows) - failed} of {len(rows)} cases refined, {failed} failed.")
    return 2 if failed else 0


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
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{k: (v or "").strip() for k, v in row.items() if k is not None} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {path} cannot be read.") from error
    if not rows:
        raise InputError(f"The table {path} has no cases.")
    known = {"output", *KINDS, *_OPTIONAL}
    unknown = sorted(set(rows[0]) - known)
    if unknown or "output" not in rows[0]:
        raise InputError(
            f"The table {path} needs the column output and one of {', '.join(KINDS)}"
            + (f"; it has the unknown column {unknown[0]!r}." if unknown else ".")
        )
    return rows


def _case(row: dict[str, str], number: int, options: argparse.Namespace) -> Case:
    folder = options.batch.parent
    kinds = [kind for kind in KINDS if row.get(kind)]
    if len(kinds) != 1 or not row.get("output"):
        raise InputError(f"Row {number} must name an output and exactly one of {', '.join(KINDS)}.")
    kind = kinds[0]
    label = [row["label"]] if row.get("label") else options.label
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
        space="RAS" if options.ras else "LPS",
        output_segmentation=optional("output_segmentation"),
        reference=optional("reference"),
        report=optional("report"),
        disagreement=optional("disagreement"),
        remesh=options.remesh,
    )
