"""Curves of few points through strokes of the mouse, and the pen that makes them."""

from __future__ import annotations

import numpy as np
import pytest
from scene_nodes import circle, curve_node, under_linear_transform
from scipy.spatial import cKDTree

from dals.geometry.splines import sample_closed_spline

RED = (0.9, 0.2, 0.1)


@pytest.fixture(scope="module")
def strokes(app):
    from DALSRefineLib.nodes import strokes

    return strokes


@pytest.fixture
def slice_node(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    node.SetLayoutName("Red")
    node.SetOrientationToAxial()
    node.SetDimensions(400, 400, 1)
    node.SetFieldOfView(250.0, 250.0, 1.0)
    node.JumpSliceByCentering(20.0, -30.0, 41.0)
    return node


@pytest.fixture
def interactor():
    import vtkmodules.vtkRenderingUI  # noqa: F401 - the implementations of interactors
    from vtkmodules.vtkRenderingCore import vtkRenderWindowInteractor

    return vtkRenderWindowInteractor()


@pytest.fixture
def curve(scene, slice_node, app):
    from DALSRefineLib.nodes import drawing

    return drawing.new_contour(scene, slice_node, colour=RED)


@pytest.fixture
def pen(interactor, slice_node, curve):
    from DALSRefineLib.nodes.freehand import FreehandPen

    ends = []
    pen = FreehandPen(interactor, slice_node, curve, lambda: ends.append(1))
    pen.ends = ends
    yield pen
    pen.close()


def organ(count=600):
    """An outline with a dent and a tip, (count, 3) mm."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = 60 + 14 * np.cos(2 * angle) - 9 * np.sin(3 * angle) + 4 * np.cos(5 * angle)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, 7.0)], axis=1)


def deviation(control, line) -> float:
    return float(cKDTree(sample_closed_spline(control, points_per_segment=40)).query(line)[0].max())


def test_few_points_follow_a_line(strokes):
    control = strokes.control_points_of(organ())
    assert len(control) <= 32
    assert deviation(control, organ()) <= strokes.TOLERANCE_MM + 0.1
    gaps = np.linalg.norm(control - np.roll(control, 1, axis=0), axis=1)
    assert gaps.max() < 2 * gaps.min()


def test_a_looser_tolerance_takes_fewer_points(strokes):
    counts = [len(strokes.control_points_of(organ(), tolerance_mm=mm)) for mm in (0.3, 1.0, 4.0)]
    assert counts[0] > counts[1] > counts[2] >= strokes.COUNTS[0]


def test_a_trembling_hand_is_smoothed(strokes):
    rng = np.random.default_rng(3)
    stroke = organ(200) + np.array([1.0, 1.0, 0.0]) * rng.normal(scale=0.5, size=(200, 3))
    control = strokes.outline_of_stroke(stroke)
    assert len(control) <= 40
    assert deviation(control, organ()) < 2.0
    np.testing.assert_allclose(control[:, 2], 7.0)


def test_a_stroke_that_passes_its_beginning_is_cut_off_there(strokes):
    from dals.observations.contours import Contour
    from dals.observations.self_crossing import check_crossing

    whole = organ(200)
    outwards = 1 + 0.02 * np.linspace(0, 1, 220)[:, None] * np.array([1.0, 1.0, 0.0])
    stroke = np.concatenate([whole, whole[:20]]) * outwards
    control = strokes.outline_of_stroke(stroke)
    check_crossing(Contour(sample_closed_spline(control), control, "stroke"))
    assert deviation(control, whole) < 3.0


def test_a_line_without_length_is_refused(strokes):
    with pytest.raises(ValueError, match="length"):
        strokes.control_points_of(np.ones((5, 3)))


# --- the pen


def at(interactor, slice_node, point) -> None:
    """Put the mouse on a point, RAS mm."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    inverse = vtkMatrix4x4()
    vtkMatrix4x4.Invert(slice_node.GetXYToRAS(), inverse)
    x, y = inverse.MultiplyPoint((*np.asarray(point, dtype=float).tolist(), 1.0))[:2]
    interactor.SetEventPosition(round(x), round(y))


def trace(interactor, slice_node, line) -> None:
    at(interactor, slice_node, line[0])
    interactor.InvokeEvent("LeftButtonPressEvent")
    for point in line[1:]:
        at(interactor, slice_node, point)
        interactor.InvokeEvent("MouseMoveEvent")
    interactor.InvokeEvent("LeftButtonReleaseEvent")


def test_a_stroke_becomes_a_curve_of_few_points(interactor, slice_node, curve, pen, inputs):
    line = circle(2, 1.0, count=300)
    trace(interactor, slice_node, line)
    assert pen.ends == [1]
    assert not pen.active
    count = curve.GetNumberOfControlPoints()
    assert 8 <= count <= 24
    points = np.array([curve.GetNthControlPointPosition(i) for i in range(count)])
    np.testing.assert_allclose(points[:, 2], 41.0, atol=1e-3)
    assert deviation(points, line) < 1.5
    assert inputs.plane_of_curve(curve).name == "axial"


def test_while_it_is_traced_the_curve_is_seen(interactor, slice_node, curve, pen):
    line = circle(2, 1.0, count=300)
    at(interactor, slice_node, line[0])
    interactor.InvokeEvent("LeftButtonPressEvent")
    for point in line[1:150]:
        at(interactor, slice_node, point)
        interactor.InvokeEvent("MouseMoveEvent")
    assert 10 < curve.GetNumberOfControlPoints() < 100
    assert pen.active


def test_clicks_place_single_points_until_a_right_click(interactor, slice_node, curve, pen):
    for point in circle(2, 1.0, count=5):
        at(interactor, slice_node, point)
        interactor.InvokeEvent("LeftButtonPressEvent")
        interactor.InvokeEvent("LeftButtonReleaseEvent")
    assert curve.GetNumberOfControlPoints() == 5
    assert pen.active
    interactor.InvokeEvent("RightButtonPressEvent")
    assert pen.active
    interactor.InvokeEvent("RightButtonReleaseEvent")
    assert not pen.active
    assert pen.ends == [1]


def test_a_double_click_ends_it_and_leaves_the_view_as_it_is(interactor, pen):
    heard = []
    interactor.AddObserver("LeftButtonDoubleClickEvent", lambda _caller, event: heard.append(event))
    interactor.InvokeEvent("LeftButtonDoubleClickEvent")
    assert not pen.active
    assert heard == []


@pytest.mark.parametrize("key", ["Escape", "Return"])
def test_a_key_ends_it(interactor, pen, key):
    interactor.SetKeySym("a")
    interactor.InvokeEvent("KeyPressEvent")
    assert pen.active
    interactor.SetKeySym(key)
    interactor.InvokeEvent("KeyPressEvent")
    assert not pen.active


def test_others_hear_of_the_mouse_only_where_the_pen_leaves_it_alone(interactor, slice_node, curve, pen):
    heard = []
    for event in ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent", "RightButtonPressEvent"):
        interactor.AddObserver(event, lambda _caller, event: heard.append(event))
    interactor.InvokeEvent("MouseMoveEvent")
    assert heard == ["MouseMoveEvent"], "nothing is pressed: the views' cross-hair follows"
    trace(interactor, slice_node, circle(2, 1.0, count=60))
    assert heard == ["MouseMoveEvent"]
    interactor.InvokeEvent("LeftButtonPressEvent")
    assert heard[-1] == "LeftButtonPressEvent", "the pen has ended"


def test_a_deleted_curve_ends_it(scene, interactor, slice_node, curve, pen):
    scene.RemoveNode(curve)
    trace(interactor, slice_node, circle(2, 1.0, count=60))
    assert not pen.active


def test_a_curve_under_a_transform_is_drawn_where_the_mouse_is(scene, interactor, slice_node, curve, pen, inputs):
    under_linear_transform(scene, curve)
    line = circle(2, 1.0, count=200)
    trace(interactor, slice_node, line)
    assert cKDTree(line).query(inputs.placed_in_world(curve))[0].max() < 2.0


# --- all points at once


def test_points_are_set_at_once(scene, app):
    from DALSRefineLib.nodes.curve_points import bring_back, set_points, states_of

    node = curve_node(scene, circle(2))
    before, told = states_of([node]), []
    node.AddObserver(node.PointModifiedEvent, lambda *_: told.append(node.GetNumberOfControlPoints()))
    set_points(node, circle(2, 5.0, count=9))
    assert node.GetNumberOfControlPoints() == 9
    assert set(told) == {9}, "nobody sees half of them"
    assert bring_back(scene, before) == 0
    assert states_of([node])[0].points.shape == (28, 3)
    np.testing.assert_array_equal(states_of([node])[0].points, before[0].points)
    scene.RemoveNode(node)
    assert bring_back(scene, before) == 1


def test_a_curve_that_was_moved_as_a_whole_comes_back_with_its_plane(scene, app, slice_node):
    from DALSRefineLib.nodes import drawing
    from DALSRefineLib.nodes.curve_points import bring_back, set_points, states_of

    node = drawing.new_contour(scene, slice_node, colour=RED)
    set_points(node, circle(2, 1.0))
    keeper = drawing.PlaneKeeper()
    keeper.keep([node])
    before = states_of([node])
    tilted = circle(2, 1.0) + np.array([0.0, 0.0, 1.0]) * (circle(2, 1.0)[:, :1] * 0.4)
    set_points(node, tilted)
    assert not np.allclose(drawing.plane_of(node).normal, [0, 0, 1])
    bring_back(scene, before)
    np.testing.assert_allclose(states_of([node])[0].points, before[0].points, atol=1e-6)
    np.testing.assert_allclose(np.abs(drawing.plane_of(node).normal), [0, 0, 1], atol=1e-6)
    keeper.close()
