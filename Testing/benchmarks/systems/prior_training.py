"""Training of the project's own prior as its users train one, `dals train`, but by the clock of the other systems."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import protocol
from dals.errors import DatasetError


def train_prior(dataset: Path, names: Sequence[str], path: Path, *, minutes: float) -> None:
    """Train a prior with the default recipe; a run that was killed goes on where it was.

    Parameters
    ----------
    dataset : Path
        Folder of a prepared data set.
    names : sequence of str
        Its shapes to train on.
    path : Path
        Of the prior; names, logs and checkpoint lie beside it.
    minutes : float
        Processor time on one core, the set-up included.

    Raises
    ------
    DatasetError
        If the training fails; the reason has been printed.
    """
    listed = path.with_suffix(".names.txt")
    listed.write_text("\n".join(names) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "dals", "train", str(dataset), str(path), "--names", str(listed)]
    command += ["--time-limit", f"{60 * minutes:g}s", "--processor-time", "--device", "cpu", "--validation", "0"]
    environment = {**os.environ, "PYTHONPATH": str(protocol.ROOT / "DALSRefine"), "OMP_NUM_THREADS": "1"}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise DatasetError("The prior could not be trained.")
