"""Drawing closed curves on slices, the list of them, and noticing that they change."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scene_nodes import (
    circle,
    curve_node,
    under_grid_transform,
    under_linear_transform,
    under_thin_plate_transform,
    vtk_matrix,
)
from scipy.spatial.transform import Rotation

from dals.observations.contours import Plane

RED = (0.9, 0.2, 0.1)
OFF_CENTRE = np.array([12.0, -34.0, 56.0])
NORMALS = {"Axial": (0, 0, 1), "Sagittal": (1, 0, 0), "Coronal": (0, 1, 0)}
MOVES = [
    pytest.param(lambda scene, node: None, id="none"),
    pytest.param(under_linear_transform, id="linear"),
    pytest.param(under_thin_plate_transform, id="thin plate"),
    pytest.param(under_grid_transform, id="grid"),
]


@pytest.fixture(scope="module")
def drawing(app):
    """The module under test: it can be imported only where Slicer is."""
    from DALSRefineLib.nodes import drawing

    return drawing


@pytest.fixture
def keeper(drawing):
    keeper = drawing.PlaneKeeper()
    yield keeper
    keeper.close()


@pytest.fixture
def slice_node(scene):
    """Makes a slice node of a view, through a point off the centre."""

    def make(orientation="Axial", view="Red"):
        node = scene.AddNewNodeByClass("vtkMRMLSliceNode", view)
        node.SetLayoutName(view)
        if orientation == "oblique":
            matrix = np.eye(4)
            matrix[:3, :3] = Rotation.from_euler("xyz", (20.0, -30.0, 40.0), degrees=True).as_matrix()
            matrix[:3, 3] = OFF_CENTRE
            node.GetSliceToRAS().DeepCopy(vtk_matrix(matrix))
            node.UpdateMatrices()
        else:
            assert node.SetOrientation(orientation)
            node.JumpSliceByCentering(*OFF_CENTRE)
        return node

    return make


@pytest.fixture
def contour(scene, drawing, slice_node):
    """An empty contour on an axial slice."""
    return drawing.new_contour(scene, slice_node(), colour=RED)


def own_points(node) -> np.ndarray:
    """Control points in the node's own coordinates."""
    return np.array([node.GetNthControlPointPosition(index) for index in range(node.GetNumberOfControlPoints())])


def watched(node) -> bool:
    """Whether anybody is told of moved points; of a bare curve nobody is."""
    return bool(node.HasObserver(node.PointModifiedEvent))


def holders(tool) -> int:
    """How many hold on to a keeper or a watcher; each of its observers does."""
    return sys.getrefcount(tool)


# --- new contours -------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["Axial", "Sagittal", "Coronal", "oblique"])
def test_a_new_contour_lies_on_the_slice_that_is_shown(scene, drawing, slice_node, orientation):
    node = slice_node(orientation)
    contour = drawing.new_contour(scene, node, colour=RED)
    plane = drawing.plane_of(contour)
    matrix = node.GetSliceToRAS()
    normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
    assert abs(plane.normal @ normal) == pytest.approx(1.0, abs=1e-7)
    if orientation in NORMALS:
        assert abs(plane.normal @ np.array(NORMALS[orientation])) == pytest.approx(1.0)
    assert plane.distances(OFF_CENTRE[None]) == pytest.approx(0.0, abs=1e-5)
    assert contour.IsA("vtkMRMLMarkupsClosedCurveNode")
    assert contour.GetScene() is scene
    assert contour.GetNumberOfControlPoints() == 0
    assert contour.GetDisplayNode().GetSelectedColor() == pytest.approx(RED)
    assert not contour.GetDisplayNode().GetPropertiesLabelVisibility()
    assert not contour.GetDisplayNode().GetPointLabelsVisibility()


def test_contours_are_named_after_their_slice_and_told_apart(scene, drawing, slice_node):
    view = slice_node("Coronal", "Green")
    names = [drawing.new_contour(scene, view, colour=RED).GetName() for _ in range(3)]
    assert all(name.startswith("Coronal contour") for name in names)
    assert len(set(names)) == 3


def test_slice_nodes_are_found_by_their_view(scene, drawing, slice_node):
    assert drawing.slice_node_of(scene, "Red") is None
    red, green = slice_node("Axial", "Red"), slice_node("Coronal", "Green")
    assert drawing.slice_node_of(scene, "Red") is red
    assert drawing.slice_node_of(scene, drawing.SLICE_VIEWS["coronal"]) is green
    assert drawing.slice_node_of(scene, "Yellow") is None
    found = [drawing.slice_node_of(scene, "Red") for _ in range(20)]
    references = red.GetReferenceCount()
    found += [drawing.slice_node_of(scene, "Red") for _ in range(20)]
    assert red.GetReferenceCount() == references  # no collection of nodes is left behind


@pytest.mark.parametrize(
    "text", [None, "", "1 2 3", "0 0 0 0 0 0", "0 0 0 0 0 nan", "1 2 3 four 5 6", "1 2 3 0 0 1 7", "0 0 inf 0 0 1"]
)
def test_an_attribute_that_is_no_plane(scene, drawing, keeper, text):
    node = curve_node(scene, circle(2))
    before = own_points(node)
    node.SetAttribute(drawing.PLANE_ATTRIBUTE, text)
    assert drawing.plane_of(node) is None
    keeper.keep([node])
    node.SetNthControlPointPosition(0, *(before[0] + [0, 0, 9]))
    drawing.put_on_plane(node)
    np.testing.assert_allclose(own_points(node)[0], before[0] + [0, 0, 9])
    assert not watched(node)


def test_an_attribute_edited_by_hand_need_not_be_a_unit_vector(scene, drawing):
    node = curve_node(scene, circle(2))
    node.SetAttribute(drawing.PLANE_ATTRIBUTE, "1 2 3   0 -3 4")
    plane = drawing.plane_of(node)
    assert isinstance(plane, Plane)
    np.testing.assert_allclose(plane.normal, [0, -0.6, 0.8])
    np.testing.assert_allclose(plane.origin, [1, 2, 3])


# --- points stay on their plane -----------------------------------------------------------------


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("orientation", ["Axial", "oblique"])
def test_points_are_put_back_when_placed_and_dragged(scene, drawing, keeper, slice_node, orientation, move):
    node = drawing.new_contour(scene, slice_node(orientation), colour=RED)
    plane = drawing.plane_of(node)
    move(scene, node)
    keeper.keep([node])
    rng = np.random.default_rng(2)
    given = OFF_CENTRE + rng.normal(scale=20.0, size=(8, 3))
    for point in given.tolist():
        node.AddControlPoint(*point)
    along = given - np.outer(plane.distances(given), plane.normal)
    np.testing.assert_allclose(own_points(node), along, atol=2e-3)
    for index in range(8):
        node.SetNthControlPointPosition(index, *(along[index] + [3.0, -4.0, 9.0]))
    moved = along + np.array([3.0, -4.0, 9.0])
    moved -= np.outer(plane.distances(moved), plane.normal)
    np.testing.assert_allclose(own_points(node), moved, atol=2e-3)


def test_a_point_dragged_in_the_world_is_put_back(scene, drawing, keeper, contour):
    under_linear_transform(scene, contour)
    for point in circle(2):
        contour.AddControlPoint(*point)
    keeper.keep([contour])
    drawing.put_on_plane(contour)
    plane = drawing.plane_of(contour)
    contour.SetNthControlPointPositionWorld(4, 100.0, 50.0, -70.0)
    assert np.abs(plane.distances(own_points(contour))).max() < 2e-3


def test_a_point_that_follows_the_mouse_is_left_alone(contour, keeper, drawing):
    keeper.keep([contour])
    for point in ((0, 0, 9), (10, 0, 9), (10, 10, 9)):
        contour.AddControlPoint(*point)
    index = contour.AddControlPoint(0, 0, 9)
    contour.SetNthControlPointPosition(index, 5.0, 5.0, 99.0, contour.PositionPreview)
    assert contour.GetNthControlPointPositionStatus(index) == contour.PositionPreview
    assert contour.GetNthControlPointPosition(index) == (5.0, 5.0, 99.0)
    contour.SetNthControlPointPosition(index, 5.0, 6.0, 99.0, contour.PositionDefined)
    np.testing.assert_allclose(own_points(contour)[index], [5.0, 6.0, OFF_CENTRE[2]], atol=2e-3)


def test_a_hardened_transform_takes_the_plane_along(scene, drawing, keeper, contour):
    keeper.keep([contour])
    for x, y, _ in circle(2):
        contour.AddControlPoint(x, y, 0.0)
    before = own_points(contour)
    shift = under_linear_transform(scene, contour)
    contour.HardenTransform()
    np.testing.assert_allclose(own_points(contour), shift(before), atol=1e-3)
    contour.SetNthControlPointPosition(3, 0.0, 0.0, 0.0)
    plane = drawing.plane_of(contour)
    assert np.abs(plane.distances(own_points(contour))).max() < 2e-3
    assert np.abs(plane.distances(shift(before))).max() < 2e-3


def test_a_curve_that_a_hardened_warp_has_bent_is_no_longer_kept(scene, drawing, keeper, contour):
    keeper.keep([contour])
    for x, y, _ in circle(2):
        contour.AddControlPoint(x, y, 0.0)
    before = own_points(contour)
    shift = under_thin_plate_transform(scene, contour)
    contour.HardenTransform()
    np.testing.assert_allclose(own_points(contour), shift(before), atol=1e-2)
    assert drawing.plane_of(contour) is None


def test_a_keeper_watches_just_the_curves_that_it_is_given(scene, drawing, keeper, slice_node):
    view = slice_node()
    first, second = (drawing.new_contour(scene, view, colour=RED) for _ in range(2))
    keeper.keep([first])
    keeper.keep([first, second])
    assert watched(first)
    assert watched(second)
    keeper.keep([second])
    assert not watched(first)
    first.AddControlPoint(0, 0, 0)
    assert own_points(first)[0, 2] == 0
    second.AddControlPoint(0, 0, 0)
    assert own_points(second)[0, 2] == pytest.approx(OFF_CENTRE[2])
    scene.RemoveNode(second)
    keeper.close()
    assert not watched(second)


@pytest.mark.parametrize("kind", ["keeper", "watcher"])
def test_one_observer_for_each_event_and_none_in_the_end(keeper, watcher, contour, kind):
    tool = keeper if kind == "keeper" else watcher
    watch = keeper.keep if kind == "keeper" else watcher.watch
    unused = holders(tool)
    watch([contour])
    used = holders(tool)
    assert used > unused
    for _ in range(3):
        watch([contour])
    assert holders(tool) == used
    tool.close()
    assert holders(tool) == unused
    assert not watched(contour)


def test_a_keeper_lets_go_of_curves_that_are_no_longer_on_a_plane(drawing, keeper, contour):
    keeper.keep([contour])
    contour.RemoveAttribute(drawing.PLANE_ATTRIBUTE)
    keeper.keep([contour])
    assert not watched(contour)


@pytest.mark.parametrize("kind", ["keeper", "watcher"])
def test_a_curve_of_another_scene_with_the_same_id_is_watched(scene, drawing, kind):
    from DALSRefineLib.nodes.watching import ChangeWatcher

    tool = drawing.PlaneKeeper() if kind == "keeper" else ChangeWatcher()
    watch = tool.keep if kind == "keeper" else tool.watch
    old = curve_node(scene, circle(2))
    old.SetAttribute(drawing.PLANE_ATTRIBUTE, "20 -30 40 0 0 1")
    watch([old])
    scene.Clear(False)
    new = curve_node(scene, circle(2))
    new.SetAttribute(drawing.PLANE_ATTRIBUTE, "20 -30 40 0 0 1")
    assert new.GetID() == old.GetID()
    watch([new])
    assert not watched(old)
    assert watched(new)
    tool.close()
    assert not watched(new)


# --- the mouse ----------------------------------------------------------------------------------


def test_placing_begins_and_ends(scene, drawing, contour):
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    assert not drawing.is_placing(scene)
    drawing.start_placing(scene, contour)
    assert drawing.is_placing(scene)
    assert selection.GetActivePlaceNodeID() == contour.GetID()
    assert selection.GetActivePlaceNodeClassName() == "vtkMRMLMarkupsClosedCurveNode"
    assert interaction.GetPlaceModePersistence()
    drawing.stop_placing(scene)
    assert not drawing.is_placing(scene)
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


def test_other_ways_of_using_the_mouse_are_left_alone(scene, drawing):
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    interaction.SetCurrentInteractionMode(interaction.AdjustWindowLevel)
    drawing.stop_placing(scene)
    assert interaction.GetCurrentInteractionMode() == interaction.AdjustWindowLevel
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def test_a_scene_without_views_cannot_be_drawn_in(drawing):
    from slicer import vtkMRMLMarkupsClosedCurveNode, vtkMRMLScene

    bare = vtkMRMLScene()
    bare.RegisterNodeClass(vtkMRMLMarkupsClosedCurveNode())
    node = bare.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode")
    drawing.start_placing(bare, node)
    drawing.stop_placing(bare)
    assert not drawing.is_placing(bare)
    assert drawing.slice_node_of(bare, "Red") is None


def test_jumping_to_a_curve_shows_its_middle_in_all_slices(scene, drawing, slice_node):
    views = [slice_node(name, view) for name, view in (("Axial", "Red"), ("Sagittal", "Yellow"), ("Coronal", "Green"))]
    node = curve_node(scene, circle(2))
    shift = under_linear_transform(scene, node)
    unplaced = node.AddControlPoint(1000.0, 1000.0, 1000.0)
    node.UnsetNthControlPointPosition(unplaced)
    drawing.jump_to(scene, node)
    middle = shift(circle(2)).mean(axis=0)
    for view, axis in zip(views, (2, 0, 1), strict=True):
        assert view.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(middle[axis], abs=1e-3)


def test_jumping_to_a_curve_without_points_moves_nothing(scene, drawing, slice_node, contour):
    view = slice_node("Coronal", "Green")
    before = [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    drawing.jump_to(scene, contour)
    assert [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)] == before


# --- the list -----------------------------------------------------------------------------------


@pytest.fixture
def listed(scene):
    from DALSRefineLib.nodes.contour_list import ContourList

    return ContourList(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters"))


def test_the_list_keeps_its_order_and_each_curve_once(scene, listed):
    assert listed.nodes == []
    a, b, c = (curve_node(scene, circle(2), name=name) for name in "abc")
    for node in (b, a, c, a, b):
        listed.add(node)
    assert listed.nodes == [b, a, c]
    listed.remove(a)
    listed.remove(a)
    assert listed.nodes == [b, c]
    assert a.GetScene() is scene
    listed.add(a)
    assert listed.nodes == [b, c, a]


def test_a_curve_without_a_point_counts_only_once_it_has_one(scene, listed):
    drawn, begun = (curve_node(scene, points, name="curve") for points in (circle(2), np.empty((0, 3))))
    for node in (drawn, begun):
        listed.add(node)
    assert (listed.nodes, listed.accepted) == ([drawn, begun], [drawn])
    begun.AddControlPoint(1.0, 2.0, 3.0)
    assert listed.accepted == [drawn, begun]


def test_a_deleted_curve_is_off_the_list(scene, listed):
    a, b, c = (curve_node(scene, circle(2), name=name) for name in "abc")
    for node in (a, b, c):
        listed.add(node)
    scene.RemoveNode(b)
    assert listed.nodes == [a, c]
    d = curve_node(scene, circle(2), name="d")
    assert listed.nodes == [a, c]
    listed.add(d)
    assert listed.nodes == [a, c, d]
    listed.remove(a)
    assert listed.nodes == [c, d]


# --- changes ------------------------------------------------------------------------------------


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def watcher(app, clock):
    from DALSRefineLib.nodes.watching import ChangeWatcher

    watcher = ChangeWatcher(pause_s=0.5, clock=lambda: clock[0])
    yield watcher
    watcher.close()


def test_a_change_is_due_once_after_a_pause(scene, watcher, clock):
    node = curve_node(scene, circle(2))
    watcher.watch([node])
    clock[0] += 10
    assert not watcher.due()
    for _ in range(4):
        clock[0] += 0.4
        node.SetNthControlPointPosition(0, clock[0], 0, 0)
        assert not watcher.due()
    clock[0] += 0.4
    assert not watcher.due()
    clock[0] += 0.2
    assert watcher.due()
    assert not watcher.due()
    clock[0] += 10
    assert not watcher.due()


@pytest.mark.parametrize("change", ["moved", "added", "removed", "unset", "put under a transform", "transform changed"])
def test_what_counts_as_a_change(scene, watcher, clock, change):
    node = curve_node(scene, circle(2))
    under_linear_transform(scene, node)
    watcher.watch([node])
    if change == "moved":
        node.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    elif change == "added":
        node.AddControlPoint(1.0, 2.0, 3.0)
    elif change == "removed":
        node.RemoveNthControlPoint(0)
    elif change == "unset":
        node.UnsetNthControlPointPosition(0)
    elif change == "put under a transform":
        node.SetAndObserveTransformNodeID(None)
    else:
        node.GetParentTransformNode().SetMatrixTransformToParent(vtk_matrix(np.diag([2.0, 1.0, 1.0, 1.0])))
    clock[0] += 1
    assert watcher.due()


def test_what_does_not_count_as_a_change(scene, watcher, clock):
    node, other = curve_node(scene, circle(2)), curve_node(scene, circle(1))
    node.CreateDefaultDisplayNodes()
    watcher.watch([node])
    node.SetName("renamed")
    node.GetDisplayNode().SetSelectedColor(*RED)
    other.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    clock[0] += 1
    assert not watcher.due()


def test_changes_can_be_taken_as_dealt_with(scene, watcher, clock):
    node = curve_node(scene, circle(2))
    watcher.watch([node])
    node.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    watcher.forget()
    clock[0] += 1
    assert not watcher.due()
    node.SetNthControlPointPosition(0, 2.0, 2.0, 3.0)
    clock[0] += 1
    assert watcher.due()


def test_a_curve_that_is_no_longer_watched_is_not_heard(scene, watcher, clock):
    node, other = curve_node(scene, circle(2)), curve_node(scene, circle(1))
    watcher.watch([node, other])
    watcher.watch([other])
    assert not watched(node)
    node.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    clock[0] += 1
    assert not watcher.due()
    other.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    watcher.close()
    clock[0] += 1
    assert not watcher.due()
    assert not watched(other)


def test_a_point_that_is_let_go_is_due_at_once(scene, drawing):
    from DALSRefineLib.nodes.watching import ChangeWatcher

    now, released = [0.0], []
    watcher = ChangeWatcher(pause_s=0.6, clock=lambda: now[0], on_released=released.append)
    node = curve_node(scene, circle(2))
    watcher.watch([node])
    node.InvokeEvent(node.PointStartInteractionEvent)
    assert watcher.dragging
    node.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    assert watcher.pending
    assert not watcher.due()
    node.InvokeEvent(node.PointEndInteractionEvent)
    assert not watcher.dragging
    assert released == [node]
    assert watcher.due()
    assert watcher.released == watcher.gesture == 1
    node.SetNthControlPointPosition(0, 2.0, 2.0, 3.0)  # by a script
    now[0] = 1.0
    assert watcher.due()
    assert watcher.released is None
    node.InvokeEvent(node.PointStartInteractionEvent)
    watcher.watch([])
    assert not watcher.dragging, "the curve was deleted under the hand"
