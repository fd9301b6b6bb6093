"""The tests that `DALSRefineTest` runs in Slicer, on the sample data. For Slicer only."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
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
from DALSRefineLib.panel.fit_options import CONTOURS, POINTS, SEGMENTATION

PATIENCE_S = 180.0


def test_contours(case: Any) -> None:
    """Three contours, refined in the panel, exported and loaded again."""
    panel, nodes, truth = _opened(case)
    _choose_contours(panel, nodes)
    case.assertTrue(panel.ui.refineButton.enabled, panel.ui.refineButton.toolTip)
    _click_and_wait(case, panel)
    mesh = _check(case, panel, nodes, truth, volume=0.10, overlap=0.85)
    case.assertGreaterEqual(panel.ui.resultTable.rowCount, 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "liver.stl"
        panel.result.export(path)
        again = slicer.util.loadModel(str(path))
        np.testing.assert_allclose(_bounds(mesh_of_model(again)), _bounds(mesh), atol=0.01)


def test_segmentation(case: Any) -> None:
    """A damaged segmentation, refined, coloured by distance and added as a segment of its own."""
    panel, nodes, truth = _opened(case)
    segmentation = nodes[-1]
    ids = segmentation.GetSegmentation().GetSegmentIDs()
    before = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, ids[0], nodes[0]).copy()
    parameters = panel.parameters
    parameters.source, parameters.segmentation, parameters.segment = SEGMENTATION, segmentation, ids[0]
    _click_and_wait(case, panel)
    _check(case, panel, nodes, truth, volume=0.12, overlap=0.88)
    panel.ui.colourButton.click()
    case.assertTrue(parameters.result.GetDisplayNode().GetScalarVisibility())
    parameters.resultSegmentation, parameters.referenceVolume = segmentation, nodes[0]
    panel.ui.segmentButton.click()
    case.assertEqual(segmentation.GetSegmentation().GetNumberOfSegments(), len(ids) + 1)
    after = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, ids[0], nodes[0])
    np.testing.assert_array_equal(after, before)


def test_points_cancel_and_undo(case: Any) -> None:
    """Points of a model; a fit that is cancelled changes nothing; undo brings the first result back."""
    panel, nodes, truth = _opened(case)
    parameters = panel.parameters
    surface = slicer.util.loadModel(str(sample_data.sample_folder() / f"{sample_data.NAME}-truth.stl"))
    parameters.source, parameters.points = POINTS, surface
    _click_and_wait(case, panel)
    first = _check(case, panel, nodes, truth, volume=0.03, overlap=0.95)
    panel.ui.refineButton.click()
    _wait_for(lambda: panel.ui.progressBar.value > 0)
    began = time.monotonic()
    panel.ui.refineButton.click()
    case.assertFalse(panel.session.running)
    case.assertLess(time.monotonic() - began, 0.5)
    np.testing.assert_array_equal(mesh_of_model(parameters.result).vertices, first.vertices)
    parameters.seed, parameters.iterations = 1, 20  # another surface, and soon
    _click_and_wait(case, panel)
    case.assertTrue(panel.ui.undoButton.enabled)
    panel.ui.undoButton.click()
    np.testing.assert_allclose(mesh_of_model(parameters.result).vertices, first.vertices, atol=1e-4)


def test_choices_are_saved_with_the_scene(case: Any) -> None:
    """Choices, contours and curves come back from a scene bundle; a closed scene leaves nothing behind."""
    panel, nodes, _ = _opened(case)
    _choose_contours(panel, nodes)
    panel.parameters.seed, panel.parameters.lambdaDir = 7, 0.5
    names = [node.GetName() for node in panel.source.curves]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mrb"
        case.assertTrue(slicer.util.saveScene(str(path)))
        slicer.mrmlScene.Clear()
        slicer.util.getModuleWidget("DALSRefine").initializeParameterNode()
        case.assertEqual(panel.source.curves, [])
        slicer.util.loadScene(str(path))
        slicer.util.getModuleWidget("DALSRefine").initializeParameterNode()
    case.assertEqual((panel.parameters.seed, panel.parameters.lambdaDir), (7, 0.5))
    case.assertEqual([node.GetName() for node in panel.source.curves], names)


TESTS = (test_contours, test_segmentation, test_points_cancel_and_undo, test_choices_are_saved_with_the_scene)


def _opened(case: Any) -> tuple[Any, list[Any], TriangleMesh]:
    """The panel on an empty scene with the sample loaded: panel, nodes, true surface."""
    _need_packages(case)
    widget = slicer.util.getModuleWidget("DALSRefine")
    widget.initializeParameterNode()
    nodes = sample_data.load()
    truth = read_mesh(sample_data.sample_folder() / f"{sample_data.NAME}-truth.stl")
    case.assertEqual(len(nodes), 5)
    return widget.panel, nodes, truth


def _need_packages(case: Any) -> None:
    """Skip the test where packages are missing: a test installs nothing."""
    missing = install.missing_packages()
    if missing:
        case.skipTest(f"Not installed: {', '.join(missing)}. Install them in the module's panel.")


def _choose_contours(panel: Any, nodes: list[Any]) -> None:
    panel.parameters.source = CONTOURS
    for curve in nodes[1:4]:
        panel.source.add_curve(curve)
    panel.update()


def _click_and_wait(case: Any, panel: Any) -> None:
    panel.update()
    panel.ui.refineButton.click()
    case.assertTrue(panel.session.running, panel.ui.statusLabel.text)
    _wait_for(lambda: not panel.session.running)
    case.assertIsNotNone(panel.parameters.result, panel.ui.statusLabel.text)


def _wait_for(reached: Any) -> None:
    """Process Qt events until a condition holds."""
    began = time.monotonic()
    while not reached():
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError("nothing has happened for three minutes")
        slicer.app.processEvents()
        time.sleep(0.02)


def _check(
    case: Any, panel: Any, nodes: list[Any], truth: TriangleMesh, *, volume: float, overlap: float
) -> TriangleMesh:
    """Compare the result with the truth: relative error of the volume, Dice on the volume's grid."""
    mesh = mesh_of_model(panel.parameters.result)
    case.assertLess(abs(mesh.volume / truth.volume - 1), volume)
    grid = grid_of_volume(nodes[0])
    case.assertGreater(dice(mesh_to_label_map(mesh, grid), mesh_to_label_map(truth, grid)), overlap)
    return mesh


def _bounds(mesh: TriangleMesh) -> Any:
    return np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])
