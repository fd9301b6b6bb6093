"""What Slicer's side adds to a fit: `python Testing/benchmarks/slicer_layer.py` where slicer-core is installed.

The shipped liver prior on a made-up liver, from three curve nodes and from a segment of 512 x 512 x 100 voxels. Printed
are seconds, medians over the repeats:

nodes, sent, shown, sum
    From the nodes to the observation, of handing over the request, of showing the result, and their sum.
there_and_back
    From the start until the fit is heard to have its input, and of packing and unpacking the result.
cancelled
    From the cancelling of a fit until the process has taken up the next one, input included.
fit, report
    As the fitting process takes them.

`preview_percent` is the share of the fit's time that previews take in the fitting process,
`slicer_preview_percent` the same in Slicer's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing" / "slicer")]

from trame_slicer.core import SlicerApp

APP = SlicerApp()  # before anything of Slicer is imported

from refine_cases import curves_on
from scene_nodes import add_segment, segmentation_node

from dals.demo.synthetic_liver import synthetic_liver
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.prior_files import find_prior
from DALSRefineLib.nodes.inputs import contours_from_curves, segmentation_from_node
from DALSRefineLib.priors import organ_of
from DALSRefineLib.process.jobs import Event, FitFinished, FitProgress, FitStarted, Request
from DALSRefineLib.process.messages import event_message, event_of
from DALSRefineLib.process.plain_process import PlainProcess
from DALSRefineLib.process.runner import ProcessRunner
from DALSRefineLib.process.wire import pack, unpack
from DALSRefineLib.session import RefineSession

SHAPE_KJI = (100, 512, 512)
SPACING = (0.7, 0.7, 2.5)
ENDLESS = {"shared_steps": 10_000_000}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="the median of as many fits is printed")
    options = parser.parse_args()
    truth = synthetic_liver()
    curves = curves_on(APP.scene, truth)
    node, identifier = _segment(truth)
    sources: dict[str, Callable[[], Any]] = {
        "contours": lambda: contours_from_curves(curves),
        "segmentation": lambda: segmentation_from_node(node, identifier),
    }
    runner = ProcessRunner(PlainProcess, python=sys.executable)
    bench = Bench(RefineSession(APP.scene, runner), runner, options.device)
    try:
        bench.measure(sources["contours"], {"shared_steps": 2, "local_steps": 2})  # loads torch
        for name, source in sources.items():
            rows = [bench.measure(source, {}) for _ in range(options.repeats)]
            figures = {key: np.median([row[key] for row in rows]) for key in rows[0]}
            figures["cancelled_s"] = np.median([bench.cancel(source) for _ in range(options.repeats)])
            print(f"{name:13s} " + "  ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    finally:
        bench.session.close()
    return 0


def _segment(truth: TriangleMesh) -> tuple[Any, str]:
    """The liver as a segment on a grid as large as a CT's."""
    matrix = np.diag([*SPACING, 1.0])
    middle = 0.5 * (truth.vertices.min(axis=0) + truth.vertices.max(axis=0))
    matrix[:3, 3] = middle - 0.5 * np.array(SPACING) * SHAPE_KJI[::-1]
    grid = LabelMap(np.zeros(SHAPE_KJI, dtype=bool), matrix, "grid")
    node = segmentation_node(APP.scene, grid)
    return node, add_segment(node, mesh_to_label_map(truth, grid))


class Bench:
    """Times what a session does."""

    def __init__(self, session: RefineSession, runner: ProcessRunner, device: str) -> None:
        self.session, self.device = session, device
        self._take = runner.on_event
        self._told: list[tuple[Event, float, float]] = []  # when it came, and how long the session took over it
        runner.on_event = self._time

    def measure(self, source: Callable[[], Any], changes: dict[str, Any]) -> dict[str, float]:
        """One refinement into the result's node of the one before."""
        times = [time.monotonic()]
        observation = source()
        times.append(time.monotonic())
        self._start(observation, changes)
        times.append(time.monotonic())
        while self.session.running:
            self.session.wait(0.02)
        if self.session.result is None or not isinstance(self.session.outcome, FitFinished):
            raise RuntimeError(self.session.outcome)
        report, (nodes_s, sent_s) = self.session.result.report, np.diff(times)
        fit_s = report["timings_s"]["fit"]
        started_s = next(when for event, when, _ in self._told if isinstance(event, FitStarted)) - times[1]
        shown_s = self._told[-1][2]
        previews_s = sum(took for event, _, took in self._told if isinstance(event, FitProgress) and event.mesh)
        return {
            "nodes_s": nodes_s,
            "sent_s": sent_s,
            "shown_s": shown_s,
            "sum_s": nodes_s + sent_s + shown_s,
            "there_and_back_s": started_s + _way_back_s(self.session.outcome),
            "fit_s": fit_s,
            "report_s": report["timings_s"]["report"],
            "previews": report["previews"]["count"],
            "preview_percent": 100 * report["previews"]["seconds"] / fit_s,
            "slicer_preview_percent": 100 * previews_s / fit_s,
        }

    def cancel(self, source: Callable[[], Any]) -> float:
        """Cancel a fit that is under way, and start the next one."""
        observation = source()
        self._start(observation, ENDLESS)
        self._until(FitProgress)
        self._told.clear()
        began = time.monotonic()
        self.session.cancel()
        self._start(observation, ENDLESS)
        self._until(FitStarted)
        took = time.monotonic() - began
        self.session.cancel()
        return took

    def _start(self, observation: Any, changes: dict[str, Any]) -> None:
        self._told.clear()
        request = Request(observation=observation, prior=find_prior("liver"), device=self.device, changes=changes)
        self.session.start(request, organ=organ_of("liver"), model=self.session.model)

    def _until(self, kind: type[Event]) -> None:
        while not any(isinstance(event, kind) for event, _, _ in self._told):
            self.session.wait(0.02)

    def _time(self, event: Event) -> None:
        began = time.monotonic()
        self._take(event)
        self._told.append((event, began, time.monotonic() - began))


def _way_back_s(event: FitFinished) -> float:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        event_of(unpack(pack(event_message(event, 1), Path(folder)), Path(folder)))
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
