"""Training curves as CSV, and in TensorBoard if it is installed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

_COLUMNS = ("epoch", "step", "seconds", "loss", "chamfer", "reg", "norm", "learning_rate")


class TrainingLog:
    """Appends one row per epoch to `log.csv` and to TensorBoard event files in a folder.

    Rows after `last_epoch`, written since the checkpoint from which training resumes, are dropped.
    """

    def __init__(self, folder: Path, *, last_epoch: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "log.csv"
        kept = []
        if self._path.exists() and last_epoch:
            with self._path.open(newline="", encoding="utf-8") as file:
                whole = (row for row in csv.DictReader(file) if all(row.values()))
                kept = [row for row in whole if int(row["epoch"]) <= last_epoch]
        with self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        self._board = _tensorboard(folder)

    def write(self, row: dict[str, float]) -> None:
        """Add the row of one epoch."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, _COLUMNS).writerow({k: f"{row[k]:.6g}" for k in _COLUMNS})
        if self._board is not None:
            for name in _COLUMNS[2:]:
                self._board.add_scalar(name, row[name], int(row["epoch"]))
            self._board.flush()


def _tensorboard(folder: Path) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
