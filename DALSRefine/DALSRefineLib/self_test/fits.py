"""From the sample data to a surface, a file, a segment, and back. For Slicer only."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from DALSRefineLib import sample_data
from DALSRefineLib.nodes.outputs import mesh_of_model
from DALSRefineLib.panel.fit_options import POINTS, SEGMENTATION
from DALSRefineLib.self_test.common import bounds, check, choose_contours, click_and_wait, opened, wait_for


def test_contours(case: Any) -> None:
    """Three contours, refined in the panel, exported and loaded again."""
    panel, nodes, truth = opened(case)
    choose_contours(panel, nodes)
    case.assertTrue(panel.ui.refineButton.enabled, panel.ui.refineButton.toolTip)
    click_and_wait(case, panel)
    mesh = check(case, panel, nodes, truth, volume=0.10, overlap=0.85)
    case.assertGreaterEqual(panel.ui.resultTable.rowCount, 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "liver.stl"
        panel.result.export(path)
        again = slicer.util.loadModel(str(path))
        np.testing.assert_allclose(bounds(mesh_of_model(again)), bounds(mesh), atol=0.01)


def test_segmentation(case: Any) -> None:
    """A damaged segmentation, refined, coloured by distance and added as a segment of its own."""
    panel, nodes, truth = opened(case)
    segmentation = nodes[-1]
    ids = segmentation.GetSegmentation().GetSegmentIDs()
    before = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, ids[0], nodes[0]).copy()
    parameters = panel.parameters
    parameters.source, parameters.segmentation, parameters.segment = SEGMENTATION, segmentation, ids[0]
    click_and_wait(case, panel)
    check(case, panel, nodes, truth, volume=0.12, overlap=0.88)
    panel.ui.colourButton.click()
    case.assertTrue(parameters.result.GetDisplayNode().GetScalarVisibility())
    parameters.resultSegmentation, parameters.referenceVolume = segmentation, nodes[0]
    panel.ui.segmentButton.click()
    case.assertEqual(segmentation.GetSegmentation().GetNumberOfSegments(), len(ids) + 1)
    after = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, ids[0], nodes[0])
    np.testing.assert_array_equal(after, before)


def test_points_cancel_and_undo(case: Any) -> None:
    """Points of a model; a fit that is cancelled changes nothing; undo brings the first result back."""
    panel, nodes, truth = opened(case)
    parameters = panel.parameters
    surface = slicer.util.loadModel(str(sample_data.sample_folder() / f"{sample_data.NAME}-truth.stl"))
    parameters.source, parameters.points = POINTS, surface
    click_and_wait(case, panel)
    first = check(case, panel, nodes, truth, volume=0.03, overlap=0.95)
    panel.ui.refineButton.click()
    wait_for(panel, lambda: panel.ui.progressBar.value > 0)
    began = time.monotonic()
    panel.ui.refineButton.click()
    case.assertFalse(panel.session.running)
    case.assertLess(time.monotonic() - began, 0.5)
    np.testing.assert_array_equal(mesh_of_model(parameters.result).vertices, first.vertices)
    parameters.seed, parameters.iterations = 1, 20  # another surface, and soon
    click_and_wait(case, panel)
    case.assertTrue(panel.ui.undoButton.enabled)
    panel.ui.undoButton.click()
    np.testing.assert_allclose(mesh_of_model(parameters.result).vertices, first.vertices, atol=1e-4)


def test_choices_are_saved_with_the_scene(case: Any) -> None:
    """Choices, contours and curves come back from a scene bundle; a closed scene leaves nothing behind."""
    panel, nodes, _ = opened(case)
    choose_contours(panel, nodes)
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
