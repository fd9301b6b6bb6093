"""A session: following the hand, undo with curves, places, looks, segments, many rounds. For Slicer only."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import qt
import slicer

from DALSRefineLib.nodes import marks
from DALSRefineLib.nodes.incomplete import is_incomplete
from DALSRefineLib.nodes.outputs import mesh_of_model
from DALSRefineLib.nodes.view_focus import bring_into_view
from DALSRefineLib.self_test.common import choose_contours, click_and_wait, opened, wait_for

ROUNDS = 4
_SLOWER = 3.0
_FEW = 12


def test_following_and_undo(case: Any) -> None:
    """The surface follows a dragged point; undo and redo take surface and curve together."""
    panel, nodes, _truth = _small(case)
    click_and_wait(case, panel)
    first = mesh_of_model(panel.parameters.result)
    curve, place = nodes[1], nodes[1].GetNthControlPointPosition(0)
    seen: list[Any] = []
    panel.session.listeners.append(lambda event: seen.append(getattr(event, "mesh", None)))
    try:
        curve.InvokeEvent(curve.PointStartInteractionEvent)
        curve.SetNthControlPointPosition(0, place[0] + 8.0, place[1], place[2])
        moved = curve.GetNthControlPointPosition(0)
        wait_for(panel, lambda: any(mesh is not None for mesh in seen))
        curve.InvokeEvent(curve.PointEndInteractionEvent)
        wait_for(panel, lambda: not panel.session.running)
    finally:
        panel.session.listeners.pop()
    panel.ui.undoButton.click()
    np.testing.assert_allclose(mesh_of_model(panel.parameters.result).vertices, first.vertices, atol=1e-4)
    np.testing.assert_allclose(curve.GetNthControlPointPosition(0), place, atol=1e-3)
    panel.ui.redoButton.click()
    np.testing.assert_allclose(curve.GetNthControlPointPosition(0), moved, atol=1e-3)


def test_place_look_and_segment(case: Any) -> None:
    """The worst place is shown, the look is changed, and one click adds a segment beside the others."""
    panel, nodes, _truth = _small(case)
    click_and_wait(case, panel)
    ui, result = panel.ui, panel.parameters.result
    case.assertIn(" ml", ui.summaryLabel.text)
    ui.worstPlaceButton.click()
    case.assertIsNotNone(marks.mark_of(slicer.mrmlScene))
    ui.opacitySlider.value = 40
    case.assertAlmostEqual(result.GetDisplayNode().GetOpacity(), 0.4)
    before = result.GetPolyData().GetBounds()
    ui.smoothingSlider.value = 60
    case.assertNotEqual(result.GetPolyData().GetBounds(), before)
    ui.smoothingSlider.value = 0
    segmentation = nodes[-1].GetSegmentation()
    before = segmentation.GetNumberOfSegments()
    ui.segmentButton.click()
    case.assertEqual(panel.parameters.resultSegmentation.GetID(), nodes[-1].GetID())
    case.assertEqual(segmentation.GetNumberOfSegments(), before + 1)


def test_view_keys_and_ticks(case: Any) -> None:
    """The 3D views turn to a first surface that they do not show; keys and ticks do what they say."""
    slicer.mrmlScene.Clear()
    panel, nodes, _truth = _small(case)
    scene = slicer.mrmlScene
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
        camera = scene.GetNthNodeByClass(index, "vtkMRMLCameraNode")
        camera.SetFocalPoint(0.0, 0.0, 5000.0)
        camera.SetPosition(0.0, 500.0, 5000.0)
    click_and_wait(case, panel)
    case.assertEqual(bring_into_view(scene, mesh_of_model(panel.parameters.result)), 0)
    panel.ui.contourTable.item(0, 4).setCheckState(qt.Qt.Checked)
    case.assertTrue(is_incomplete(nodes[1]))
    if slicer.util.mainWindow() is not None:
        panel.shortcuts.switch(True)
        case.assertTrue(panel.shortcuts.active("Alt+R"))
        case.assertFalse(panel.shortcuts.active("Return"))
    if panel.ui.uncertaintyButton.enabled:  # of a fit that estimates it
        panel.ui.uncertaintyButton.click()
        case.assertTrue(panel.parameters.result.GetDisplayNode().GetScalarVisibility())
        panel.ui.uncertaintyButton.click()
        case.assertFalse(panel.parameters.result.GetDisplayNode().GetScalarVisibility())


def test_rounds(case: Any) -> None:
    """Fits, cancels and emptied scenes in a row leave no node behind and take about as long each."""
    times, counts = [], []
    for _round in range(ROUNDS):
        slicer.mrmlScene.Clear()
        panel, _nodes, _truth = _small(case)
        began = time.monotonic()
        click_and_wait(case, panel)
        times.append(time.monotonic() - began)
        _cancel_a_fit(case, panel)
        counts.append(slicer.mrmlScene.GetNumberOfNodes())
    case.assertEqual(len(set(counts[1:])), 1, counts)
    case.assertLess(times[-1], _SLOWER * median(times), times)


def _cancel_a_fit(case: Any, panel: Any) -> None:
    panel.parameters.iterations = 2000
    panel.ui.refineButton.click()
    wait_for(panel, lambda: panel.ui.progressBar.value > 0)
    panel.ui.refineButton.click()
    case.assertEqual(panel.ui.progressBar.value, 0)


def _small(case: Any) -> tuple[Any, list[Any], Any]:
    """The panel with the sample's contours and a fit of few steps on a coarse mesh."""
    panel, nodes, truth = opened(case)
    choose_contours(panel, nodes)
    panel.parameters.iterations, panel.parameters.level = _FEW, 3
    panel.source.watcher.forget()
    return panel, nodes, truth
