"""Results of a benchmark beside the code: every case as CSV, and the text for people."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dals.io.atomic import atomic_path

RESULTS = Path(__file__).resolve().parent / "results"


def store(name: str, kind: type[Any], rows: Sequence[Any], text: str, *, folder: Path = RESULTS) -> None:
    """Write dataclass instances of one kind to `name`.csv and a text to `name`.md, each whole or not at all."""
    with atomic_path(folder / f"{name}.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    with atomic_path(folder / f"{name}.md") as path:
        path.write_text(text.rstrip() + "\n", encoding="utf-8")
