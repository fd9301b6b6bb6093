"""From the sample data to a surface, a file, a segment, and back. For Slicer only."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from vtkmodules.vtkFiltersSources import vtkSphereSource

from DALSRefineLib import sample_data
from DALSRefineLib.nodes import marks
from DALSRefineLib.nodes.outputs import mesh_of_model
from DALSRefineLib.panel.fit_options import POINTS, SEGMENTATION
from DALSRefineLib.self_test.common import bounds, check, choose_contours, click_and_wait, opened, wait_for
from DALSRefineLib.session import report_of


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


def test_edits(case: Any) -> None:
    """Edits in the table: a tick is carried out at once, the segment follows it, a click shows the place."""
    panel, nodes, _truth = opened(case)
    segmentation, parameters, ui = nodes[-1], panel.parameters, panel.ui
    given = segmentation.GetSegmentation().GetNthSegmentID(0)
    parameters.source, parameters.segmentation, parameters.segment = SEGMENTATION, segmentation, given
    click_and_wait(case, panel)
    count = ui.editsTable.rowCount
    case.assertGreaterEqual(count, 2)
    case.assertEqual(ui.editsNoteLabel.text, "")
    first = ui.editsTable.item(0, 0)
    was = first.checkState() == qt.Qt.Checked
    began = time.monotonic()
    first.setCheckState(qt.Qt.Unchecked if was else qt.Qt.Checked)
    wait_for(panel, lambda: _applied(panel)[0] != was)
    logging.info(f"A tick was carried out in {time.monotonic() - began:.2f} s.")
    panel.result.edits.go_to(0)
    case.assertIsNotNone(marks.mark_of(slicer.mrmlScene))
    ui.noEditsButton.click()
    wait_for(panel, lambda: not any(_applied(panel)))
    ui.segmentButton.click()
    added = segmentation.GetSegmentation().GetNthSegmentID(segmentation.GetSegmentation().GetNumberOfSegments() - 1)
    voxels = [slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, each, nodes[0]) > 0 for each in (given, added)]
    np.testing.assert_array_equal(*voxels)
    slicer.mrmlScene.RemoveNode(parameters.result)
    panel.update()
    case.assertEqual(ui.editsTable.rowCount, 0)


def test_several_organs(case: Any) -> None:
    """Two segments with a prior each: one Refine makes a model of each."""
    panel, nodes, truth = opened(case)
    segmentation, parameters, ui = nodes[-1], panel.parameters, panel.ui
    given = segmentation.GetSegmentation().GetNthSegmentID(0)
    ball = vtkSphereSource()
    low, high = bounds(truth)
    ball.SetCenter(high[0] + 55.0, *(0.5 * (low + high))[1:].tolist())
    ball.SetRadius(38.0)
    ball.SetThetaResolution(48)
    ball.SetPhiResolution(48)
    ball.Update()
    segmentation.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "Spleen", [0.6, 0.4, 0.6])
    parameters.source, parameters.segmentation, parameters.segment = SEGMENTATION, segmentation, given
    panel.update()
    case.assertEqual(ui.organsTable.rowCount, 1)
    ui.organsTable.item(0, 0).setCheckState(qt.Qt.Checked)
    case.assertEqual([prior for _name, prior, _id in panel.source.other_organs], ["spleen"])
    click_and_wait(case, panel)
    models = panel.session.models.nodes
    case.assertEqual([node.GetName() for node in models], ["Liver", "Spleen"])
    ui.organComboBox.currentIndex = 1
    case.assertEqual(parameters.result.GetID(), models[1].GetID())
    case.assertIn(" ml", ui.summaryLabel.text)


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


def _applied(panel: Any) -> list[bool]:
    """Which edits of the shown result are carried out, as its report says."""
    report = report_of(panel.parameters.result) or {}
    return [edit["applied"] for edit in report["edits"]]
