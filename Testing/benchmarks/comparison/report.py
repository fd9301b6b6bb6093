"""Rows of single cases to tables: pure functions, and the files they are written to."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from dals.errors import DalsError
from dals.io.atomic import atomic_path

Row = dict[str, Any]

COLUMNS: dict[str, tuple[str, str]] = {
    "chamfer": ("Chamfer ↓ (1e-3)", "{:.3f}"),
    "hausdorff": ("Hausdorff ↓", "{:.3f}"),
    "f_score_1": ("F@1% ↑", "{:.1f}"),
    "f_score_2": ("F@2% ↑", "{:.1f}"),
    "quality": ("quality ↑", "{:.3f}"),
    "self_intersections": ("self-intersections % ↓", "{:.2f}"),
}
"""Metrics of the paper's tables, with their titles and formats."""
RESOURCES: dict[str, tuple[str, str]] = {
    "processor_seconds": ("fit s", "{:.1f}"),
    "peak_mb": ("fit MB", "{:.0f}"),
    "model_mb": ("model MB", "{:.2f}"),
}
_SCALE = {"chamfer": 1e3}
_TEXTS = frozenset({"system", "condition", "case", "error", "commit", "key"})
_NOT_APPLICABLE = "not applicable"


def summary(rows: Iterable[Row], column: str) -> tuple[float, float, int]:
    """Mean, standard deviation and number of the finite values of a column; not-a-number if there is none."""
    values = [float(row[column]) for row in rows if row.get(column) is not None]
    finite = np.array([value for value in values if np.isfinite(value)])
    if len(finite) == 0:
        return float("nan"), float("nan"), 0
    return float(finite.mean()), float(finite.std()), len(finite)


def cell(rows: Sequence[Row], column: str, form: str) -> str:
    """One cell of a table, mean ± standard deviation."""
    mean, deviation, count = summary(rows, column)
    if count == 0:
        return "–"
    scale = _SCALE.get(column, 1.0)
    return f"{form.format(scale * mean)} ± {form.format(scale * deviation)}"


def markdown(
    rows: Sequence[Row],
    *,
    systems: Sequence[str],
    columns: dict[str, tuple[str, str]] = COLUMNS,
) -> str:
    """A table with a line for each condition and system.

    Failed cases are no part of the means, so their number is stated; where all cases failed for a
    reason of the system's, that is its line.
    """
    shown = list(dict.fromkeys(row["condition"] for row in rows))
    head = ["system", *(title for title, _ in columns.values()), "cases"]
    if len(shown) > 1:
        head = ["observation", *head]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for condition in shown:
        for system in systems:
            found = [row for row in rows if row["system"] == system and row["condition"] == condition]
            if not found:
                continue
            good = [row for row in found if not row.get("error")]
            cells = [system] if len(shown) == 1 else [condition, system]
            if good:
                cells += [cell(good, column, form) for column, (_, form) in columns.items()]
                failed = len(found) - len(good)
                cells.append(str(len(good)) + (f" ({failed} failed)" if failed else ""))
            else:
                reason = str(found[0]["error"])
                cells += [_NOT_APPLICABLE, *[""] * (len(columns) - 1), f"0 ({reason})"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def provenance(root: Path, **facts: Any) -> str:
    """One paragraph: date, commit, hardware, and what else a figure depends on."""
    parts = [date.today().isoformat(), f"commit {commit(root)}", hardware()]
    parts += [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value not in (None, "")]
    return "; ".join(parts) + ".\n"


def commit(root: Path) -> str:
    """Short hash of the working tree's commit, with a plus if files but results differ; 'unknown' outside git."""
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)*/results/*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def hardware() -> str:
    """The processor in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name} ({platform.machine()}), one thread a fit"


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """All rows as CSV, the columns in order of appearance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path) -> list[Row]:
    """Rows of `write_rows`, numbers as numbers; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(file)]


def updated(before: Sequence[Row], measured: Sequence[Row], planned: Sequence[dict[str, str]]) -> list[Row]:
    """Rows in the order of `planned` (system, condition, case): those measured anew, and all others as they were.

    Raises
    ------
    DalsError
        If a row is in neither.
    """
    names = ("system", "condition", "case")
    found = {tuple(row[name] for name in names): row for rows in (before, measured) for row in rows}
    places = [tuple(place[name] for name in names) for place in planned]
    missing = [place for place in places if place not in found]
    if missing:
        raise DalsError(f"There is no row of {', '.join(missing[0])} to keep; make the whole table.")
    return [found[place] for place in places]


def write_text(path: Path, text: str) -> None:
    """A text, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def curve(
    rows: Sequence[Row], system: str, column: str, position: Callable[[Row], float]
) -> tuple[list[float], list[float], list[float]]:
    """Positions, means and standard deviations of one system's line in a plot, by increasing position."""
    chosen = [row for row in rows if row["system"] == system and not row.get("error")]
    places = sorted({position(row) for row in chosen})
    found = [summary([row for row in chosen if position(row) == place], column) for place in places]
    return places, [mean for mean, _, _ in found], [deviation for _, deviation, _ in found]


def read_rows(path: Path) -> list[Row]:
    """Rows of an interrupted run; a last line that was cut off is left out."""
    rows: list[Row] = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def append_row(path: Path, row: Row) -> None:
    """Add a row to those that `read_rows` finds."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    return None if not text else int(text) if text.isdigit() else float(text)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
