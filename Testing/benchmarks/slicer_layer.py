"""What Slicer's side adds to a fit: `python Testing/benchmarks/slicer_layer.py` where slicer-core is installed.

The shipped liver prior on a made-up liver, from three curve nodes and from a segment of 512 x 512 x 100 voxels. For
each: seconds from the nodes to the observation, of handing over the job, and of showing the result; their sum beside
the fit; and the share of the fit's time that previews take, in the fitting process and in Slicer's.
"""

from __future__ import annotations

import argparse
import sys
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
from DALSRefineLib.process.jobs import Failed, Finished, Progress
from DALSRefineLib.process.runner import ProcessRunner
from DALSRefineLib.session import RefineSession, Request

SHAPE_KJI = (100, 512, 512)
SPACING = (0.7, 0.7, 2.5)
PAUSE_S = 0.05  # of the panel's timer


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
    runner = ProcessRunner(sys.executable)
    session = RefineSession(APP.scene, runner)
    try:
        _measure(session, sources["contours"], options.device, {"shared_steps": 2, "local_steps": 2})  # loads torch
        for name, source in sources.items():
            rows = [_measure(session, source, options.device, {}) for _ in range(options.repeats)]
            print(f"{name:13s} " + "  ".join(f"{key} {np.median([row[key] for row in rows]):.4g}" for key in rows[0]))
    finally:
        session.close()
    return 0


def _segment(truth: TriangleMesh) -> tuple[Any, str]:
    """The liver as a segment on a grid as large as a CT's."""
    matrix = np.diag([*SPACING, 1.0])
    middle = 0.5 * (truth.vertices.min(axis=0) + truth.vertices.max(axis=0))
    matrix[:3, 3] = middle - 0.5 * np.array(SPACING) * SHAPE_KJI[::-1]
    grid = LabelMap(np.zeros(SHAPE_KJI, dtype=bool), matrix, "grid")
    node = segmentation_node(APP.scene, grid)
    return node, add_segment(node, mesh_to_label_map(truth, grid))


def _measure(
    session: RefineSession, source: Callable[[], Any], device: str, changes: dict[str, Any]
) -> dict[str, float]:
    """One refinement, polled as the panel does, into the result's node of the one before."""
    times = [time.monotonic()]
    observation = source()
    times.append(time.monotonic())
    session.start(
        Request(
            observation=observation,
            prior=find_prior("liver"),
            organ=organ_of("liver"),
            device=device,
            changes=changes,
            model=session.model,
        )
    )
    times.append(time.monotonic())
    previews_s = shown_s = 0.0
    while session.running:
        time.sleep(PAUSE_S)
        began = time.monotonic()
        events = session.poll()
        took = time.monotonic() - began
        if any(isinstance(event, Finished) for event in events):
            shown_s = took
        elif any(isinstance(event, Progress) and event.mesh is not None for event in events):
            previews_s += took
    if isinstance(session.outcome, Failed) or session.result is None:
        raise RuntimeError(session.outcome)
    report, (nodes_s, sent_s) = session.result.report, np.diff(times)
    fit_s = report["timings_s"]["fit"]
    return {
        "nodes_s": nodes_s,
        "sent_s": sent_s,
        "shown_s": shown_s,
        "sum_s": nodes_s + sent_s + shown_s,
        "fit_s": fit_s,
        "report_s": report["timings_s"]["report"],
        "previews": report["previews"]["count"],
        "preview_percent": 100 * report["previews"]["seconds"] / fit_s,
        "slicer_preview_percent": 100 * previews_s / fit_s,
    }


if __name__ == "__main__":
    sys.exit(main())
