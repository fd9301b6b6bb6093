"""Which rows of a table are done, so that a run goes on where an earlier one stopped."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dals.cli.cases import Case
from dals.io.atomic import atomic_path

_SETTINGS = ("edits", "complete", "seed", "level", "paper", "rotate")
"""Options of all rows that are no fields of a case."""
_KEPT = ("volume_ml", "seconds", "confidence")


class BatchRecords:
    """One small file for each row that is done, in a folder beside the table: `cases.csv.done`.

    A row counts as done as long as its own entries, the prior, the input files and the settings stay as they are, and
    its results are there.

    Parameters
    ----------
    table : Path
    options : argparse.Namespace
        Of `dals refine`.
    """

    def __init__(self, table: Path, options: argparse.Namespace) -> None:
        self._table, self._folder = table, table.with_name(f"{table.name}.done")
        self._settings = {name: getattr(options, name, None) for name in _SETTINGS}

    def find(self, case: Case) -> dict[str, Any] | None:
        """What was written of a case that is done; None if it has to be done."""
        if not all(output.path.exists() for output in case.outputs):
            return None
        try:
            record = json.loads(self._path(case).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and all(name in record for name in _KEPT[:2]) else None

    def add(self, case: Case, report: Mapping[str, Any]) -> None:
        """Note that a case is done."""
        self._folder.mkdir(exist_ok=True)
        kept = {name: report[name] for name in _KEPT if name in report}
        with atomic_path(self._path(case)) as temporary:
            temporary.write_text(json.dumps({**kept, "output": case.output.name}), encoding="utf-8")

    def _path(self, case: Case) -> Path:
        fields = {name: str(value) for name, value in vars(case).items()}
        seen = [_state(path) for path in case.inputs if path != self._table]  # in which other rows may change
        text = json.dumps([fields, self._settings, seen], sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _state(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns
