"""Many cases on two workers, one of which is killed in the middle: `python Testing/benchmarks/cluster.py`.

Prepares small synthetic label maps through the engine of `dals prepare --scheduler local`, ends one worker's process by
SIGKILL when half of them are done, and starts the same run again at the end. Each making of a shape leaves a line in a
log, by which what was lost or done twice is counted. The killed worker's case in progress is begun twice.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from dals.cli.cluster import LOCAL, cluster_client, each_done
from dals.cli.prepare import make_once
from dals.dataset.cases import ShapeCase
from dals.dataset.preparation import prepare
from dals.geometry.label_map import LabelMap
from dals.io.label_maps import write_label_map


def main() -> int:
    """Make the cases, prepare them, print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, log = Path(place), Path(place) / "log"
        log.touch()
        write_cases(folder / "maps", options.cases)
        for attempt in (1, 2):
            began = time.monotonic()
            with cluster_client(LOCAL, workers=options.workers) as client:
                killer = Killer(client, after=options.cases // 2 if attempt == 1 else None)

                def make(cases: Sequence[ShapeCase], client=client, killer=killer) -> Iterator[tuple[str, str | None]]:
                    for (case, _), outcome in each_done(client, logged, [(case.absolute(), log) for case in cases]):
                        killer.count()
                        yield case.name, outcome

                report = prepare([folder / "maps"], folder / "set", make=make)
            seconds = time.monotonic() - began
            lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
            begun, done = (Counter(name for what, name in lines if what == word) for word in ("begun", "done"))
            print(
                f"run {attempt}: {seconds:.0f} s, {killer.killed} of {options.workers} workers killed; "
                f"{report.usable} shapes, {len(report.prepared)} made now, {len(report.skipped)} not usable, "
                f"{options.cases - len(done)} lost, {sum(n > 1 for n in done.values())} done twice, "
                f"{sum(n > 1 for n in begun.values())} begun twice",
                flush=True,
            )
    return 0


class Killer:
    """Ends the process of one worker after a number of cases."""

    def __init__(self, client, *, after: int | None) -> None:
        self._client, self._after, self._done, self.killed = client, after, 0, 0

    def count(self) -> None:
        """Another case is done."""
        self._done += 1
        if self._done == self._after:
            os.kill(next(iter(self._client.run(os.getpid).values())), signal.SIGKILL)
            self.killed = 1


def logged(task: tuple[ShapeCase, Path]) -> str | None:
    """Make a shape and leave a line before and after."""
    case, log = task
    before = case.target.stat().st_ino if case.target.exists() else None
    _append(log, f"begun {case.name}")
    outcome = make_once(case)
    if outcome is not None or case.target.stat().st_ino != before:  # it was written now
        _append(log, f"done {case.name}")
    return outcome


def _append(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def write_cases(folder: Path, count: int) -> None:
    """Label maps of ellipsoids of 10 to 16 mm."""
    folder.mkdir(parents=True)
    rng, grid = np.random.default_rng(0), np.indices((20, 20, 20)) - 9.5
    for number in range(count):
        radii = rng.uniform(5.0, 8.0, 3)[:, None, None, None]
        write_label_map(folder / f"case{number:04d}.nii.gz", LabelMap(((grid / radii) ** 2).sum(axis=0) < 1, np.eye(4)))


if __name__ == "__main__":
    sys.exit(main())
