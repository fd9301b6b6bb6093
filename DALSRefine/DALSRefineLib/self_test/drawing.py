"""Contours: traced, drawn in advance, added at once. For Slicer only."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from dals.geometry.cross_sections import section_loops
from DALSRefineLib.nodes import drawing
from DALSRefineLib.nodes.outputs import new_model
from DALSRefineLib.self_test.common import opened


def test_a_traced_curve(case: Any) -> None:
    """An outline traced with the mouse in the red view; needs a main window."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    panel, _nodes, truth = opened(case)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    middle = 0.5 * (truth.vertices.min(axis=0) + truth.vertices.max(axis=0))
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *middle.tolist())
    slicer.util.resetSliceViews()
    slicer.app.processEvents()
    panel.parameters.freehand = True
    panel.source.drawing.draw("axial")
    node = drawing.slice_node_of(slicer.mrmlScene, "Red")
    plane = drawing.plane_shown(node)
    outline = max(section_loops(truth, plane.origin, plane.normal), key=len)
    _trace(manager.sliceWidget("Red").sliceView().interactor(), node, outline)
    case.assertFalse(panel.source.drawing.is_drawing)
    curve = panel.source.curves[-1]
    case.assertGreaterEqual(curve.GetNumberOfControlPoints(), 8)
    case.assertLess(curve.GetNumberOfControlPoints(), 60)
    points = np.array([curve.GetNthControlPointPosition(i) for i in range(curve.GetNumberOfControlPoints())])
    case.assertLess(np.abs(plane.distances(points)).max(), 0.01)


def test_outlines_in_advance(case: Any) -> None:
    """The surface's outline on a suggested slice, drawn by the button and by Enter, and accepted with Enter."""
    panel, nodes, truth = opened(case)
    for curve in nodes[1:3]:
        panel.source.add_curve(curve)
    panel.parameters.autoRefine = False
    panel.parameters.result = new_model(slicer.mrmlScene, truth, name="Liver", colour=(0.8, 0.5, 0.4))
    panel.update()
    if drawing.slice_node_of(slicer.mrmlScene, "Red") is None:  # no slice views
        return
    panel.ui.suggestButton.click()
    case.assertTrue(panel.source.drawing.awaits_enter, panel.ui.statusLabel.text)
    shown = drawing.plane_shown(drawing.slice_node_of(slicer.mrmlScene, panel.source.drawing.suggested))
    panel.ui.predrawButton.click()
    proposals = panel.source.drawing.proposals
    case.assertGreaterEqual(len(proposals), 1)
    plane = drawing.plane_of(proposals[0])
    case.assertTrue(plane is not None and plane.angle_to(shown) < 1.0)
    for proposal in proposals:
        slicer.mrmlScene.RemoveNode(proposal)
    panel.ui.suggestButton.click()
    panel.source.drawing.enter()
    case.assertGreaterEqual(len(panel.source.drawing.proposals), 1)
    case.assertEqual(len(panel.source.accepted), 2)
    panel.source.drawing.enter()
    case.assertEqual(panel.source.drawing.proposals, [])
    case.assertGreaterEqual(len(panel.source.accepted), 3)


def test_curves_at_once(case: Any) -> None:
    """All closed curves of the organ are added with one click; a plane is ticked as incomplete."""
    panel, nodes, _truth = opened(case)
    panel.ui.addAllCurvesButton.click()
    case.assertEqual([curve.GetID() for curve in panel.source.curves], [curve.GetID() for curve in nodes[1:4]])
    case.assertTrue(panel.ui.refineButton.enabled, panel.ui.obstacleLabel.text)
    case.assertEqual(panel.ui.contourTable.rowCount, 3)


def _trace(interactor: Any, slice_node: Any, line: Any) -> None:
    """Press, drag along a line (N, 3), RAS mm, and let go."""
    inverse = vtkMatrix4x4()
    inverse.DeepCopy(slice_node.GetXYToRAS())
    inverse.Invert()
    pixels = [inverse.MultiplyPoint((*point, 1.0))[:2] for point in np.asarray(line).tolist()]
    for number, (x, y) in enumerate(pixels):
        interactor.SetEventPosition(round(x), round(y))
        interactor.InvokeEvent("MouseMoveEvent" if number else "LeftButtonPressEvent")
    interactor.InvokeEvent("LeftButtonReleaseEvent")
