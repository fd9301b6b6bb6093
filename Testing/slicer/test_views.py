"""What the panel does in the views and with other nodes: cameras, marks, appearance, destinations, outlines, lists."""

from __future__ import annotations

import numpy as np
import pytest
from scene_nodes import (
    CENTRE,
    RADIUS,
    add_segment,
    circle,
    curve_node,
    oblique_grid,
    rasterised,
    segmentation_node,
    sphere,
    volume_node,
)

from dals.errors import InputError
from dals.observations.contours import Plane

FAR = np.array([40.0, -150.0, -1450.0])
"""Where the liver of a CT can be that has its origin at the scanner's."""


@pytest.fixture
def camera(scene):
    node = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    yield node
    scene.RemoveNode(node)


@pytest.fixture
def slice_nodes(scene):
    from slicer import vtkMRMLSliceNode

    vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    nodes = {}
    for view, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        nodes[view] = scene.AddNewNodeByClass("vtkMRMLSliceNode", view)
        nodes[view].SetLayoutName(view)
        nodes[view].SetOrientation(orientation)
    return nodes


def model(scene, mesh, name="liver"):
    from DALSRefineLib.nodes.outputs import new_model

    return new_model(scene, mesh, name=name, colour=(1.0, 0.0, 0.0))


# --- the 3D view


def test_a_camera_turns_to_an_organ_that_it_does_not_show(scene, camera):
    from DALSRefineLib.nodes.view_focus import bring_into_view

    mesh = sphere(centre=FAR, radius=80.0)
    assert bring_into_view(scene, mesh) == 1
    np.testing.assert_allclose(camera.GetFocalPoint(), FAR, atol=2.0)
    back = np.array(camera.GetPosition()) - FAR
    np.testing.assert_allclose(back / np.linalg.norm(back), [0, 1, 0], atol=0.02)
    assert np.tan(np.radians(camera.GetViewAngle() / 2)) * np.linalg.norm(back) > 80.0, "all of it is seen"
    assert bring_into_view(scene, mesh) == 0


@pytest.mark.parametrize("where", [(0.0, 0.0, 0.0), (60.0, -20.0, 50.0)])
def test_a_camera_that_shows_the_organ_stays(scene, camera, where):
    from DALSRefineLib.nodes.view_focus import bring_into_view

    before = camera.GetPosition()
    assert bring_into_view(scene, sphere(centre=np.array(where), radius=80.0)) == 0
    assert camera.GetPosition() == before


@pytest.mark.parametrize(
    "where", [(0.0, 900.0, 0.0), (0.0, 500.0, 0.0), (400.0, 0.0, 0.0)], ids=["behind", "around", "beside"]
)
def test_behind_around_or_beside_the_camera_is_not_in_view(scene, camera, where):
    from DALSRefineLib.nodes.view_focus import bring_into_view

    assert bring_into_view(scene, sphere(centre=np.array(where), radius=80.0)) == 1


# --- the mark


def test_there_is_one_mark_and_it_moves(scene, slice_nodes):
    from DALSRefineLib.nodes import marks

    assert marks.mark_of(scene) is None
    before = scene.GetNumberOfNodes()
    first = marks.show_mark(scene, (1.0, 2.0, 3.0), "19.6 mm", name="Please check")
    again = marks.show_mark(scene, (4.0, 5.0, 6.0), "7.1 mm", name="Please check")
    assert again is first
    assert first.GetNumberOfControlPoints() == 1
    assert first.GetNthControlPointPosition(0) == (4.0, 5.0, 6.0)
    assert first.GetNthControlPointLabel(0) == "7.1 mm"
    assert first.GetLocked()
    assert not first.GetSaveWithScene()
    marks.jump_to_place(scene, (4.0, 5.0, 6.0))
    assert [abs(slice_nodes[view].GetSliceOffset()) for view in ("Red", "Yellow", "Green")] == pytest.approx([6, 4, 5])
    marks.remove_mark(scene)
    assert scene.GetNumberOfNodes() == before
    marks.remove_mark(scene)


# --- how a result looks


def test_appearance_is_set_and_read(scene):
    from DALSRefineLib.nodes.appearance import Appearance, appearance_of, set_appearance

    node = model(scene, sphere(level=2))
    for look in (Appearance(0.3, 5, True, False), Appearance(1.0, 1, False, True), Appearance(0.5, 2, False, False)):
        set_appearance(node, look)
        assert appearance_of(node) == pytest.approx(look)
    assert not node.GetDisplayNode().GetVisibility()
    assert appearance_of(None) is None


def test_smoothing_takes_the_roughness_and_keeps_the_volume():
    from dals.geometry.mesh import TriangleMesh
    from DALSRefineLib.nodes.appearance import smoothed

    smooth = sphere(level=4, radius=50.0)
    outwards = (smooth.vertices - CENTRE) / 50.0
    rough = TriangleMesh(
        smooth.vertices + outwards * np.random.default_rng(1).normal(scale=1.0, size=(len(outwards), 1)), smooth.faces
    )
    assert smoothed(rough, 0.0) is rough
    less = smoothed(rough, 0.6)
    spread = [np.std(np.linalg.norm(mesh.vertices - CENTRE, axis=1)) for mesh in (rough, less)]
    assert spread[1] < 0.5 * spread[0]
    assert less.volume == pytest.approx(smooth.volume, rel=0.02)
    np.testing.assert_array_equal(less.faces, rough.faces)


# --- where a segment goes


def test_the_volume_in_the_views_is_found(scene):
    from DALSRefineLib.nodes.destination import shown_volume

    assert shown_volume(scene) is None
    first = volume_node(scene, oblique_grid(), name="CT")
    assert shown_volume(scene) is first
    second = volume_node(scene, oblique_grid(), name="MR")
    assert shown_volume(scene) is None, "either could be meant"
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(second.GetID())
    assert shown_volume(scene) is second
    scene.RemoveNode(composite)


def test_the_segmentation_on_a_volume_is_found(scene):
    from DALSRefineLib.nodes.destination import segmentation_of

    first, second = (volume_node(scene, oblique_grid(), name=name) for name in ("CT", "MR"))
    node = segmentation_node(scene)
    assert segmentation_of(scene, second) is None
    node.SetReferenceImageGeometryParameterFromVolumeNode(second)
    assert segmentation_of(scene, second) is node
    assert segmentation_of(scene, first) is None
    assert segmentation_of(scene, None) is None


def test_another_segment_never_changes(scene, outputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    identifier = add_segment(node, rasterised(grid), name="liver")
    before = node.GetSegmentation().GetSegment(identifier).GetRepresentation("Binary labelmap").GetMTime()
    names = []
    for _ in range(2):
        new = outputs.write_segment(sphere(radius=20.0), node, name="liver", colour=(1.0, 0.0, 0.0))
        names.append(node.GetSegmentation().GetSegment(new).GetName())
    assert names == ["liver 2", "liver 3"]
    after = node.GetSegmentation().GetSegment(identifier).GetRepresentation("Binary labelmap").GetMTime()
    assert after == before


# --- outlines that are drawn in advance


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 0, 0), (0.3, -0.5, 0.8)])
def test_an_outline_follows_the_surface_on_the_plane(app, normal):
    from DALSRefineLib.nodes import surface_contours

    normal = np.array(normal) / np.linalg.norm(normal)
    plane = Plane(CENTRE + 5.0 * normal, normal)
    (outline,) = surface_contours.outlines_on(sphere(), plane)
    assert len(outline) <= 12
    np.testing.assert_allclose(plane.distances(outline), 0.0, atol=1e-6)
    assert np.abs(np.linalg.norm(outline - CENTRE, axis=1) - RADIUS).max() < 0.5


def test_a_plane_beside_the_surface_has_no_outline(app):
    from DALSRefineLib.nodes import surface_contours

    with pytest.raises(InputError, match="does not cut"):
        surface_contours.outlines_on(sphere(), Plane(CENTRE + np.array([0, 0, 50.0]), np.array([0.0, 0.0, 1.0])))


def test_small_sections_are_left_out(app):
    from dals.geometry.mesh import TriangleMesh
    from DALSRefineLib.nodes import surface_contours

    def together(*meshes):
        faces = [mesh.faces + sum(len(m.vertices) for m in meshes[:i]) for i, mesh in enumerate(meshes)]
        return TriangleMesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))

    beside = CENTRE + np.array([80.0, 0.0, 0.0])
    mesh = together(
        sphere(), sphere(centre=beside, radius=25.0), sphere(centre=beside + np.array([60.0, 0, 0]), radius=4.0)
    )
    outlines = surface_contours.outlines_on(mesh, Plane(CENTRE, np.array([0.0, 0.0, 1.0])))
    assert [round(float(outline[:, 0].mean())) for outline in outlines] == [20, 100]


def test_a_proposal_is_not_used_until_it_is_accepted(scene):
    from DALSRefineLib.nodes import surface_contours
    from DALSRefineLib.nodes.contour_list import ContourList

    curves = ContourList(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    drawn, proposed = curve_node(scene, circle(0)), scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode")
    surface_contours.fill_proposed(proposed, circle(1))
    for curve in (drawn, proposed):
        curves.add(curve)
    assert curves.accepted == [drawn]
    surface_contours.accept(proposed)
    assert curves.accepted == [drawn, proposed]


# --- incomplete planes


def test_a_plane_that_is_outlined_in_part_is_told_to_the_fit(scene, inputs):
    from DALSRefineLib.nodes import incomplete

    curves = [curve_node(scene, circle(axis), name=f"{axis}") for axis in range(3)]
    incomplete.set_incomplete(curves[1], True)
    assert [incomplete.is_incomplete(curve) for curve in curves] == [False, True, False]
    contours = inputs.contours_from_curves(curves).contours
    if hasattr(contours[0], "open_plane"):
        assert [contour.open_plane for contour in contours] == [False, True, False]
    incomplete.set_incomplete(curves[1], False)
    assert curves[1].GetAttribute(incomplete.OPEN_PLANE_ATTRIBUTE) is None


# --- curves from elsewhere


def test_all_curves_of_an_organ_are_found(scene, app):
    from DALSRefineLib.nodes.related_curves import curves_of_organ

    ours = [curve_node(scene, circle(axis), name=f"ours {axis}") for axis in range(3)]
    curve_node(scene, circle(0)[:2], name="unfinished")
    curve_node(scene, circle(0), name="open", kind="vtkMRMLMarkupsCurveNode")
    assert curves_of_organ(scene, []) == ours
    assert curves_of_organ(scene, ours[:1]) == ours[1:]
    with pytest.raises(InputError, match="no other"):
        curves_of_organ(scene, ours)
    other = curve_node(scene, circle(0, centre=CENTRE + np.array([300.0, 0.0, 0.0])), name="spleen")
    assert curves_of_organ(scene, ours[:1]) == ours[1:]
    with pytest.raises(InputError, match="several organs"):
        curves_of_organ(scene, [])
    with pytest.raises(InputError, match="another organ"):
        curves_of_organ(scene, ours)
    assert other.GetScene() is scene


# --- names


def test_names_do_not_count_on_after_a_deletion(scene):
    from DALSRefineLib.nodes.naming import unique_name

    def add():
        return scene.AddNewNodeByClass("vtkMRMLModelNode", unique_name(scene, "Liver"))

    first, second = add(), add()
    assert (first.GetName(), second.GetName()) == ("Liver", "Liver 2")
    scene.RemoveNode(first)
    assert add().GetName() == "Liver"
    assert add().GetName() == "Liver 3"


# --- the next slice


def test_the_next_slice_is_shown_in_its_view(scene, slice_nodes):
    from DALSRefineLib.nodes import drawing

    assert drawing.show_plane(scene, Plane(CENTRE, np.array([1.0, 0.0, 0.0]))) == "Yellow"
    assert abs(slice_nodes["Yellow"].GetSliceOffset()) == pytest.approx(CENTRE[0])
    assert slice_nodes["Red"].GetSliceOffset() == pytest.approx(CENTRE[2])
    tilted = np.array([0.3, -0.2, 0.9])
    tilted /= np.linalg.norm(tilted)
    assert drawing.show_plane(scene, Plane(CENTRE, tilted)) == "Red"
    shown = drawing.plane_shown(slice_nodes["Red"])
    assert abs(shown.normal @ tilted) == pytest.approx(1.0, abs=1e-6)
    assert shown.distances(CENTRE[None])[0] == pytest.approx(0.0, abs=1e-4)
    assert drawing.show_plane(scene, Plane(CENTRE, np.array([0.0, 0.0, -1.0]))) == "Red"
    assert abs(drawing.plane_shown(slice_nodes["Red"]).normal[2]) == pytest.approx(1.0)


def test_the_view_that_was_scrolled_last_is_known(scene, slice_nodes):
    from DALSRefineLib.nodes import drawing

    for view in ("Green", "Red", "Yellow"):
        slice_nodes[view].JumpSlice(1.0, 2.0, 3.0 + len(view))
        slice_nodes[view].Modified()
        assert drawing.view_scrolled_last(scene) == view


def test_the_next_slice_is_where_nothing_is_drawn(scene, app):
    from DALSRefineLib.nodes.suggestions import suggested_slice
    from DALSRefineLib.nodes.uncertainty import deviation_of, set_deviation

    result = model(scene, sphere())
    curves = [curve_node(scene, circle(axis, -18.0)) for axis in (0, 1)]
    found = suggested_slice(result, curves)
    assert abs(found.normal[2]) == 1.0 or float(np.abs((found.origin - CENTRE) @ found.normal)) > 5.0
    with pytest.raises(InputError, match="Draw contours first"):
        suggested_slice(result, [])
    assert deviation_of(result) is None
    points = result.GetPolyData().GetPoints()
    up = np.array([points.GetPoint(i)[2] for i in range(points.GetNumberOfPoints())]) - CENTRE[2]
    set_deviation(result, 0.1 + np.maximum(up, 0.0) ** 2 / 100)
    told = suggested_slice(result, [])
    assert float((told.origin - CENTRE) @ np.array([0.0, 0.0, 1.0])) > 0.2 * RADIUS or abs(told.normal[2]) < 1.0
