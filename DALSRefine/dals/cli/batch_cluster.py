"""The rows of a table on the workers of a cluster."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dals.cli.batch_records import BatchRecords
from dals.cli.cases import Case
from dals.cli.cluster import use_one_thread
from dals.errors import DalsError, collected_warnings

if TYPE_CHECKING:
    from dals.model.prior import ShapePrior


@dataclass(frozen=True)
class RowTask:
    """One row to refine.

    Attributes
    ----------
    number : int
        From 1.
    case : Case
        With absolute paths.
    prior : str
        Absolute path of its file.
    options : argparse.Namespace
        Of `dals refine`.
    """

    number: int
    case: Case
    prior: str
    options: argparse.Namespace


@dataclass(frozen=True)
class RowOutcome:
    """The report of a row or why there is none, and its warnings."""

    report: dict[str, Any] | None
    error: str = ""
    warnings: tuple[str, ...] = ()


def refine_row(task: RowTask) -> RowOutcome:
    """Refine a row and note that it is done, unless a worker that was lost afterwards has done so."""
    import torch

    from dals.cli.refine import refine_case

    use_one_thread()
    torch.set_num_threads(1)
    records = BatchRecords(task.options.batch, task.options)
    report, error = records.find(task.case), ""
    if report is not None:
        return RowOutcome(report)
    with collected_warnings() as sentences:
        try:
            report = refine_case(_quiet(task.options), task.case, _prior(task.prior, task.options.device))
            records.add(task.case, report)
        except DalsError as failure:
            error = str(failure)
    return RowOutcome(report, error, tuple(sentences))


def _quiet(options: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "quiet": True})


@cache
def _prior(path: str, device: str) -> ShapePrior:
    """Read once by each worker."""
    from dals.model.prior import load_prior
    from dals.ops.device import choose_device

    return load_prior(path).to(choose_device(device))
