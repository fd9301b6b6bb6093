"""What the self tests share. For Slicer only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from dals.evaluation.metrics import dice
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.meshes import read_mesh
from DALSRefineLib import install, sample_data
from DALSRefineLib.nodes.inputs import grid_of_volume
from DALSRefineLib.nodes.outputs import mesh_of_model
from DALSRefineLib.panel.fit_options import CONTOURS

PATIENCE_S = 300.0
"""Without any sign of life; loading PyTorch on a busy machine takes minutes and gives none."""


def opened(case: Any) -> tuple[Any, list[Any], TriangleMesh]:
    """The panel on an empty scene with the sample loaded: panel, nodes, true surface."""
    need_packages(case)
    widget = slicer.util.getModuleWidget("DALSRefine")
    widget.initializeParameterNode()
    nodes = sample_data.load()
    truth = read_mesh(sample_data.sample_folder() / f"{sample_data.NAME}-truth.stl")
    case.assertEqual(len(nodes), 5)
    return widget.panel, nodes, truth


def need_packages(case: Any) -> None:
    """Skip the test where packages are missing: a test installs nothing."""
    missing = install.missing_packages()
    if missing:
        case.skipTest(f"Not installed: {', '.join(missing)}. Install them in the module's panel.")


def choose_contours(panel: Any, nodes: list[Any]) -> None:
    """Use the sample's three curves."""
    panel.parameters.source = CONTOURS
    for curve in nodes[1:4]:
        panel.source.add_curve(curve)
    panel.update()


def click_and_wait(case: Any, panel: Any) -> None:
    """Press Refine and wait for the result."""
    panel.update()
    panel.ui.refineButton.click()
    case.assertTrue(panel.session.running, panel.ui.statusLabel.text)
    wait_for(panel, lambda: not panel.session.running)
    case.assertIsNotNone(panel.parameters.result, panel.ui.statusLabel.text)


def wait_for(panel: Any, reached: Callable[[], Any]) -> None:
    """Process Qt events until a condition holds, as long as the fit gives signs of life.

    Raises
    ------
    TimeoutError
        After `PATIENCE_S` without an event of the fit.
    """
    heard = [time.monotonic()]

    def listen(_event: Any) -> None:
        heard[0] = time.monotonic()

    panel.session.listeners.append(listen)
    try:
        while not reached():
            if time.monotonic() - heard[0] > PATIENCE_S:
                raise TimeoutError(f"nothing has been heard for {PATIENCE_S:.0f} seconds")
            slicer.app.processEvents()
            time.sleep(0.02)
    finally:
        panel.session.listeners.remove(listen)


def check(
    case: Any, panel: Any, nodes: list[Any], truth: TriangleMesh, *, volume: float, overlap: float
) -> TriangleMesh:
    """Compare the result with the truth: relative error of the volume, Dice on the volume's grid."""
    mesh = mesh_of_model(panel.parameters.result)
    case.assertLess(abs(mesh.volume / truth.volume - 1), volume)
    grid = grid_of_volume(nodes[0])
    case.assertGreater(dice(mesh_to_label_map(mesh, grid), mesh_to_label_map(truth, grid)), overlap)
    return mesh


def bounds(mesh: TriangleMesh) -> Any:
    """Lowest and highest coordinates, (2, 3)."""
    return np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])
