"""From surfaces to nodes: the right place, and nothing else changes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from known_shapes import marked_points
from scene_nodes import (
    CENTRE,
    LINEAR,
    RADIUS,
    add_segment,
    add_surface_segment,
    circle,
    curve_node,
    oblique_grid,
    rasterised,
    segmentation_node,
    sphere,
    stored_voxels,
    under_grid_transform,
    under_linear_transform,
    under_thin_plate_transform,
    volume_node,
)
from vtkmodules.util.numpy_support import vtk_to_numpy

from dals.demo.synthetic_liver import synthetic_liver
from dals.errors import DalsWarning, InputError, OutputError
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import signed_distances
from dals.io.meshes import read_mesh

RED = (0.8, 0.2, 0.1)
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
ENTRY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)
MOVES = [
    pytest.param(lambda scene, node: None, id="none"),
    pytest.param(under_linear_transform, id="linear"),
    pytest.param(lambda scene, node: under_linear_transform(scene, node, MIRROR), id="mirror"),
    pytest.param(under_thin_plate_transform, id="thin plate"),
    pytest.param(under_grid_transform, id="grid"),
]


@pytest.fixture
def model(scene, outputs):
    return outputs.new_model(scene, sphere(), name="liver", colour=RED)


def _moved(mesh, shift=(5.0, 0.0, 0.0)):
    return TriangleMesh(mesh.vertices + shift, mesh.faces)


def _normals(node):
    return vtk_to_numpy(node.GetPolyData().GetPointData().GetNormals())


# --- models


def test_a_new_model(scene, outputs):
    node = outputs.new_model(scene, sphere(), name="liver", colour=RED, opacity=0.4)
    display = node.GetDisplayNode()
    assert node.GetName() == "liver"
    assert display.GetColor() == pytest.approx(RED)
    assert display.GetOpacity() == pytest.approx(0.4)
    assert display.GetVisibility()
    assert display.GetVisibility2D()
    assert display.GetInterpolation() == display.GouraudInterpolation
    assert not display.GetScalarVisibility()
    outwards = (sphere().vertices - CENTRE) / RADIUS
    assert (_normals(node) * outwards).sum(axis=1).min() > 0.99
    other = outputs.new_model(scene, sphere(), name="liver", colour=RED)
    assert other.GetName() != "liver"
    assert other.GetID() != node.GetID()


@pytest.mark.parametrize("move", MOVES)
def test_what_goes_into_a_model_comes_out(scene, outputs, model, move):
    move(scene, model)
    mesh = _moved(sphere(level=3), (3.0, 4.0, 5.0))
    outputs.show_mesh(model, mesh)
    back = outputs.mesh_of_model(model)
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-2)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    assert back.volume == pytest.approx(mesh.volume, rel=1e-3)


def test_moved_vertices_keep_the_cells(outputs, model):
    polydata, cells = model.GetPolyData(), model.GetPolyData().GetPolys()
    heard = []
    model.AddObserver(model.MeshModifiedEvent, lambda *_: heard.append(True))
    squashed = TriangleMesh(sphere().vertices * [1.0, 1.0, 0.5], sphere().faces)
    outputs.show_mesh(model, squashed)
    assert model.GetPolyData() is polydata
    assert model.GetPolyData().GetPolys() is cells
    assert len(heard) == 1
    np.testing.assert_allclose(outputs.mesh_of_model(model).vertices, squashed.vertices)
    assert polydata.GetBounds()[4:] == pytest.approx([(CENTRE[2] - RADIUS) / 2, (CENTRE[2] + RADIUS) / 2])
    gradient = (squashed.vertices - CENTRE * [1, 1, 0.5]) / [1, 1, 0.25]
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    assert (_normals(model) * gradient).sum(axis=1).min() > 0.98


def test_other_faces_make_another_surface(outputs, model):
    polydata = model.GetPolyData()
    flipped = TriangleMesh(sphere().vertices, sphere().faces[::-1])
    for mesh in (sphere(level=2), flipped, sphere()):
        outputs.show_mesh(model, mesh)
        assert model.GetPolyData() is not polydata
        np.testing.assert_array_equal(outputs.mesh_of_model(model).faces, mesh.faces)


def test_models_without_a_surface(scene, outputs):
    blank = scene.AddNewNodeByClass("vtkMRMLModelNode", "blank")
    with pytest.raises(InputError, match="'blank' has no surface"):
        outputs.mesh_of_model(blank)
    with pytest.raises(InputError, match="No model is chosen"):
        outputs.mesh_of_model(None)
    outputs.show_mesh(blank, sphere())
    assert outputs.mesh_of_model(blank).volume == pytest.approx(sphere().volume)
    outputs.show_mesh(blank, TriangleMesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])))
    with pytest.raises(InputError, match="finite"):
        outputs.mesh_of_model(blank)


# --- colours


@pytest.mark.parametrize("move", MOVES[:2])
def test_a_model_coloured_by_distance(scene, outputs, model, move):
    move(scene, model)
    outputs.show_mesh(model, _moved(sphere()))
    outputs.colour_by_distance(model, sphere())
    display = model.GetDisplayNode()
    values = vtk_to_numpy(model.GetPolyData().GetPointData().GetArray("Displacement (mm)"))
    np.testing.assert_allclose(values.max(), 5.0, atol=0.2)
    np.testing.assert_allclose(values.min(), -5.0, atol=0.2)
    assert values[np.argmax(sphere().vertices[:, 0])] > 4.8
    assert display.GetScalarVisibility()
    assert display.GetActiveScalarName() == "Displacement (mm)"
    low, high = display.GetScalarRange()
    assert high == -low == pytest.approx(np.percentile(np.abs(values), 98))
    colours = display.GetColorNode().GetLookupTable()
    count = display.GetColorNode().GetNumberOfColors()
    inside, middle, outside = (np.array(colours.GetTableValue(index)[:3]) for index in (0, count // 2, count - 1))
    assert inside[2] > inside[0] + 0.2  # blue
    assert outside[0] > outside[2] + 0.2  # red
    assert np.ptp(middle) < 0.1


def test_the_limit_of_the_colours(outputs, model):
    assert outputs.colour_by_distance(model, sphere(), limit_mm=3.0) == 3.0
    assert model.GetDisplayNode().GetScalarRange() == (-3.0, 3.0)
    outputs.colour_by_distance(model, sphere())  # nothing has moved
    low, high = model.GetDisplayNode().GetScalarRange()
    assert high == -low == pytest.approx(1.0)


def test_the_table_of_colours_is_made_once(scene, outputs, model):
    outputs.colour_by_distance(model, sphere())
    count = scene.GetNumberOfNodesByClass("vtkMRMLColorNode")
    other = outputs.new_model(scene, sphere(), name="other", colour=RED)
    outputs.colour_by_distance(other, sphere())
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorNode") == count


def test_slicers_own_table_of_colours_is_used_where_it_is(scene, outputs, model):
    from slicer import vtkMRMLColorTableNode

    shipped = vtkMRMLColorTableNode()
    shipped.SetTypeToUser()
    shipped.SetNumberOfColors(2)
    shipped.SetSingletonTag("FileDivergingBlueRed.txt")
    shipped = scene.AddNode(shipped)
    outputs.colour_by_distance(model, sphere())
    assert model.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
    scene.RemoveNode(shipped)


def test_a_model_that_slicer_made_can_be_coloured(scene, outputs, model):
    other = scene.AddNewNodeByClass("vtkMRMLModelNode", "other")
    with pytest.raises(InputError, match="'other' has no surface"):
        outputs.colour_by_distance(other, sphere())
    other.SetAndObservePolyData(model.GetPolyData())
    outputs.colour_by_distance(other, sphere())
    assert other.GetDisplayNode().GetScalarVisibility()


def test_colours_by_distance_are_taken_back(outputs, model):
    outputs.colour_by_distance(model, sphere())
    outputs.colour_plainly(model)
    assert not model.GetDisplayNode().GetScalarVisibility()
    assert not model.GetPolyData().GetPointData().HasArray("Displacement (mm)")
    assert model.GetDisplayNode().GetColor() == pytest.approx(RED)


@pytest.mark.parametrize("mesh", [_moved(sphere()), sphere(level=2)])
def test_another_surface_does_not_keep_the_colours_of_the_last(outputs, model, mesh):
    outputs.colour_by_distance(model, sphere())
    outputs.show_mesh(model, mesh)
    assert not model.GetDisplayNode().GetScalarVisibility()
    assert not model.GetPolyData().GetPointData().HasArray("Displacement (mm)")


def test_scalars_of_the_user_are_left_alone(outputs, model):
    model.GetDisplayNode().SetActiveScalarName("Curvature")
    model.GetDisplayNode().SetScalarVisibility(True)
    outputs.colour_plainly(model)
    assert model.GetDisplayNode().GetActiveScalarName() == "Curvature"
    assert model.GetDisplayNode().GetScalarVisibility()


# --- segments


def _volume_and_centre(inputs, node, segment_id):
    label_map = inputs.segment_label_map(node, segment_id)
    return label_map.volume, marked_points(label_map).mean(axis=0)


@pytest.mark.parametrize("move", MOVES)
def test_a_segment_is_where_the_surface_is(scene, inputs, outputs, move):
    grid = oblique_grid((90, 80, 60))
    node = segmentation_node(scene, grid)
    to_world = move(scene, node)
    centre = CENTRE if to_world is None else to_world(CENTRE[None])[0]
    mesh = sphere(centre=centre, radius=20.0)
    segment_id = outputs.write_segment(mesh, node, grid=None, name="liver", colour=RED, terminology=ENTRY)
    volume, found = _volume_and_centre(inputs, node, segment_id)
    assert volume == pytest.approx(mesh.volume, rel=0.03)
    warped = node.GetParentTransformNode() is not None and not node.GetParentTransformNode().IsTransformToWorldLinear()
    np.testing.assert_allclose(found, centre, atol=1.0 if warped else 0.3)  # reading resamples: half a voxel
    segment = node.GetSegmentation().GetSegment(segment_id)
    assert segment.GetName() == "liver"
    assert segment.GetColor() == pytest.approx(RED)
    assert _tag(segment, segment.GetTerminologyEntryTagName()) == ENTRY


def _tag(segment, name):
    from vtkmodules.vtkCommonCore import reference

    value = reference("")
    assert segment.GetTag(name, value)
    return value.get()


def test_terminology_before_slicer_5_10(app):
    from DALSRefineLib.nodes.segment_nodes import _set_terminology

    class Segment:
        tags = {}  # noqa: RUF012

        def GetTerminologyEntryTagName(self):  # noqa: N802
            return "TerminologyEntry"

        def SetTag(self, name, value):  # noqa: N802
            self.tags[name] = value

    _set_terminology(Segment(), ENTRY)
    assert Segment.tags == {"TerminologyEntry": ENTRY}


@pytest.mark.parametrize("move", MOVES[:3])
def test_a_grid_for_a_segmentation_that_has_none(scene, inputs, outputs, move):
    grid = oblique_grid()
    node = segmentation_node(scene)
    move(scene, node)
    segment_id = outputs.write_segment(sphere(), node, grid=grid, name="liver", colour=RED)
    volume, centre = _volume_and_centre(inputs, node, segment_id)
    assert volume == pytest.approx(rasterised(grid).volume, rel=1e-3)
    np.testing.assert_allclose(centre, CENTRE, atol=0.3)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("with_surfaces", [True, False])
def test_the_neighbours_stay_as_they_are(scene, inputs, outputs, shared, with_surfaces):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    segmentation = node.GetSegmentation()
    parts = [sphere(radius=10.0, centre=CENTRE + shift) for shift in ([-15, 0, 0], [15, 0, 0])]
    ids = [add_segment(node, rasterised(grid, part), name=f"part {index}") for index, part in enumerate(parts)]
    if shared:
        segmentation.CollapseBinaryLabelmaps()
    if with_surfaces:
        assert segmentation.CreateRepresentation("Closed surface")
    before = [stored_voxels(node, segment_id) for segment_id in ids]
    labels = [segmentation.GetSegment(segment_id).GetLabelValue() for segment_id in ids]
    layers = segmentation.GetNumberOfLayers()
    first = outputs.write_segment(sphere(), node, name="liver", colour=RED)  # covers both
    second = outputs.write_segment(sphere(centre=CENTRE + 3), node, name="liver", colour=RED)
    assert [stored_voxels(node, segment_id) for segment_id in ids] == before
    assert [segmentation.GetSegment(segment_id).GetLabelValue() for segment_id in ids] == labels
    assert segmentation.GetNumberOfLayers() == layers + 2
    assert segmentation.GetSegment(second).GetName() == "liver 2"
    np.testing.assert_array_equal(inputs.segment_label_map(node, first).array, rasterised(grid).array)
    assert segmentation.ContainsRepresentation("Closed surface") == with_surfaces


def test_only_the_box_of_a_segment_is_stored(scene, outputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    segment_id = outputs.write_segment(sphere(radius=5.0), node, name="small", colour=RED)
    extent, _, voxels = stored_voxels(node, segment_id)
    assert len(voxels) == np.prod([extent[axis + 1] - extent[axis] + 1 for axis in (0, 2, 4)])
    assert len(voxels) < grid.array.size / 50


@pytest.mark.parametrize("move", MOVES[:3])
def test_among_surfaces_the_surface_itself_becomes_the_segment(scene, inputs, outputs, move):
    from slicer import vtkMRMLModelNode

    node = segmentation_node(scene, oblique_grid())
    other = add_surface_segment(node, sphere(radius=10.0), name="tumour")
    before = node.GetSegmentation().GetSegment(other).GetRepresentation("Closed surface").GetMTime()
    move(scene, node)
    segment_id = outputs.write_segment(sphere(), node, name="liver", colour=RED)
    surface = vtkMRMLModelNode()
    surface.SetAndObservePolyData(node.GetSegmentation().GetSegment(segment_id).GetRepresentation("Closed surface"))
    scene.AddNode(surface)
    surface.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    back = outputs.mesh_of_model(surface)
    np.testing.assert_allclose(back.vertices, sphere().vertices, atol=1e-3)
    assert back.volume == pytest.approx(sphere().volume, rel=1e-3)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")
    assert node.GetSegmentation().GetSegment(other).GetRepresentation("Closed surface").GetMTime() == before


def test_segments_that_cannot_be_written(scene, outputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid, name="organs")
    options = {"name": "liver", "colour": RED}
    with pytest.raises(InputError, match="No segmentation"):
        outputs.write_segment(sphere(), None, **options)
    with pytest.raises(OutputError, match="outside of the image"):
        outputs.write_segment(sphere(centre=CENTRE + 500.0), node, **options)
    bare = segmentation_node(scene, name="bare")
    with pytest.raises(OutputError, match="'bare' has no grid"):
        outputs.write_segment(sphere(), bare, **options)
    under_grid_transform(scene, bare)
    with pytest.raises(OutputError, match="'bare' is under a non-linear transform"):
        outputs.write_segment(sphere(), bare, grid=grid, **options)
    odd = segmentation_node(scene, grid, name="odd")
    odd.GetSegmentation().SetSourceRepresentationName("Planar contour")
    with pytest.raises(OutputError, match="'odd' consists of 'Planar contour'"):
        outputs.write_segment(sphere(), odd, **options)
    assert [each.GetSegmentation().GetNumberOfSegments() for each in (node, bare, odd)] == [0, 0, 0]


def test_a_surface_that_reaches_beyond_the_image_warns(scene, inputs, outputs):
    node = segmentation_node(scene, oblique_grid())
    with pytest.warns(DalsWarning, match="beyond the image"):
        cut = outputs.write_segment(sphere(radius=45.0), node, name="liver", colour=RED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = outputs.write_segment(sphere(), node, name="liver", colour=RED)
    assert inputs.segment_label_map(node, cut).touches_border
    assert not inputs.segment_label_map(node, whole).touches_border
    assert inputs.segment_label_map(node, whole).volume == pytest.approx(sphere().volume, rel=0.03)


@pytest.mark.parametrize("move", MOVES[:2])
def test_a_new_segmentation_has_the_grid_of_its_volume(scene, inputs, outputs, move):
    grid = oblique_grid()
    volume = volume_node(scene, grid)
    move(scene, volume)
    node = outputs.new_segmentation(scene, volume, name="result")
    world = inputs.grid_of_volume(volume)
    centre = world.ijk_to_ras[:3, :3] @ ((np.array(grid.array.shape[::-1]) - 1) / 2) + world.ijk_to_ras[:3, 3]
    segment_id = outputs.write_segment(sphere(centre=centre), node, name="liver", colour=RED)
    label_map = inputs.segment_label_map(node, segment_id)
    np.testing.assert_allclose(label_map.ijk_to_ras, world.ijk_to_ras, atol=1e-4)
    assert label_map.array.shape == grid.array.shape
    assert node.GetNodeReferenceID("referenceImageGeometryRef") == volume.GetID()
    other = outputs.new_segmentation(scene, world, name="result")
    assert other.GetName() != node.GetName()
    segment_id = outputs.write_segment(sphere(centre=centre), other, name="liver", colour=RED)
    np.testing.assert_array_equal(inputs.segment_label_map(other, segment_id).array, label_map.array)


def test_a_new_segmentation_needs_a_grid(scene, outputs):
    volume = volume_node(scene, oblique_grid())
    under_grid_transform(scene, volume)
    count = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="non-linear"):
        outputs.new_segmentation(scene, volume, name="result")
    with pytest.raises(InputError, match="No volume"):
        outputs.new_segmentation(scene, None, name="result")
    assert scene.GetNumberOfNodes() == count


# --- files


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj", ".vtp"])
@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_an_exported_model_is_where_it_was(scene, outputs, model, tmp_path, suffix, space):
    under_linear_transform(scene, model)
    path = tmp_path / f"liver{suffix}"
    outputs.export_model(model, path, space=space)
    mesh = outputs.mesh_of_model(model)
    back = read_mesh(path)
    np.testing.assert_allclose(back.vertices.mean(axis=0), mesh.vertices.mean(axis=0), atol=0.05)
    assert back.volume == pytest.approx(mesh.volume, rel=1e-4)
    np.testing.assert_allclose(mesh.vertices, sphere().vertices @ LINEAR[:3, :3].T + LINEAR[:3, 3], atol=1e-9)


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj", ".vtp"])
@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_slicer_opens_an_exported_model_in_its_place(scene, outputs, model, tmp_path, suffix, space):
    from slicer import vtkMRMLModelStorageNode

    path = tmp_path / f"liver{suffix}"
    outputs.export_model(model, path, space=space)
    storage = vtkMRMLModelStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    loaded = scene.AddNewNodeByClass("vtkMRMLModelNode", "loaded")
    assert storage.ReadData(loaded)
    back = outputs.mesh_of_model(loaded)
    assert back.volume == pytest.approx(sphere().volume, rel=1e-4)
    expected = np.stack([sphere().vertices.min(axis=0), sphere().vertices.max(axis=0)])
    np.testing.assert_allclose(np.stack([back.vertices.min(axis=0), back.vertices.max(axis=0)]), expected, atol=1e-3)


def test_files_that_cannot_be_written(scene, outputs, model, tmp_path):
    with pytest.raises(OutputError, match="must end in"):
        outputs.export_model(model, tmp_path / "liver.docx")
    with pytest.raises(OutputError, match="does not exist"):
        outputs.export_model(model, tmp_path / "no" / "liver.stl")
    with pytest.raises(InputError, match="No model"):
        outputs.export_model(None, tmp_path / "liver.stl")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_scene_brings_everything_back(scene, inputs, outputs, tmp_path):
    grid = oblique_grid()
    volume = volume_node(scene, grid)
    curves = [curve_node(scene, circle(axis), name=f"curve {axis}") for axis in range(3)]
    node = outputs.new_segmentation(scene, volume, name="result")
    outputs.write_segment(sphere(), node, name="liver", colour=RED, terminology=ENTRY)
    model = outputs.new_model(scene, _moved(sphere()), name="liver surface", colour=RED)
    outputs.colour_by_distance(model, sphere())
    before = (
        outputs.mesh_of_model(model),
        inputs.contours_from_curves(curves),
        inputs.segment_label_map(node, node.GetSegmentation().GetNthSegmentID(0)),
    )
    path = tmp_path / "case.mrb"
    assert scene.WriteToMRB(str(path))
    scene.Clear(False)
    assert scene.GetFirstNodeByName("liver surface") is None
    assert scene.ReadFromMRB(str(path))

    model = scene.GetFirstNodeByName("liver surface")
    back = outputs.mesh_of_model(model)
    np.testing.assert_allclose(back.vertices, before[0].vertices, atol=1e-3)
    np.testing.assert_array_equal(back.faces, before[0].faces)
    assert model.GetDisplayNode().GetColor() == pytest.approx(RED)
    assert model.GetDisplayNode().GetScalarVisibility()
    assert model.GetDisplayNode().GetColorNode() is not None
    restored = inputs.contours_from_curves([scene.GetFirstNodeByName(f"curve {axis}") for axis in range(3)])
    np.testing.assert_allclose(restored.points, before[1].points, atol=1e-3)
    segmentation = scene.GetFirstNodeByName("result").GetSegmentation()
    segment_id = segmentation.GetNthSegmentID(0)
    label_map = inputs.segment_label_map(scene.GetFirstNodeByName("result"), segment_id)
    np.testing.assert_allclose(
        np.sort(marked_points(label_map), axis=0), np.sort(marked_points(before[2]), axis=0), atol=1e-3
    )
    segment = segmentation.GetSegment(segment_id)
    assert segment.GetName() == "liver"
    assert _tag(segment, segment.GetTerminologyEntryTagName()) == ENTRY


def test_a_liver_goes_through_all_of_it(scene, inputs, outputs):
    liver = synthetic_liver(spacing=6.0)
    low, high = liver.vertices.min(axis=0), liver.vertices.max(axis=0)
    grid = oblique_grid((80, 80, 60), (4.0, 4.0, 5.0))
    grid.ijk_to_ras[:3, 3] += (low + high) / 2 - CENTRE
    node = outputs.new_segmentation(scene, volume_node(scene, grid), name="liver")
    segment_id = outputs.write_segment(liver, node, name="liver", colour=RED)
    found = inputs.segmentation_from_node(node, segment_id).label_map
    assert found.volume == pytest.approx(liver.volume, rel=0.02)
    model = outputs.new_model(scene, liver, name="liver", colour=RED)
    distances = signed_distances(marked_points(found), outputs.mesh_of_model(model))
    assert distances.max() < 0.01  # all voxels' centres lie inside


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj", ".vtp"])
def test_files_say_how_far_points_may_be_off(scene, outputs, model, tmp_path, suffix):
    from slicer import vtkMRMLModelStorageNode
    from vtkmodules.util.numpy_support import vtk_to_numpy

    from DALSRefineLib.nodes.deviations import set_deviation

    deviation = np.linspace(0.5, 4.0, len(sphere().vertices))
    set_deviation(model, deviation)
    path = tmp_path / f"liver{suffix}"
    outputs.export_model(model, path)
    storage = vtkMRMLModelStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    loaded = scene.AddNewNodeByClass("vtkMRMLModelNode", "loaded")
    assert storage.ReadData(loaded)
    array = loaded.GetPolyData().GetPointData().GetArray("uncertainty_mm")
    assert (array is not None) == (suffix == ".vtp"), "Slicer reads no other array of a .ply"
    if array is not None:
        np.testing.assert_allclose(vtk_to_numpy(array), deviation, atol=1e-4)
    assert (b"uncertainty_mm" in path.read_bytes()) == (suffix in (".ply", ".vtp"))
