"""From nodes to observations: always the place that Slicer shows."""

from __future__ import annotations

import json
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
    vtk_matrix,
)
from vtkmodules.util.numpy_support import numpy_to_vtk

from dals.errors import DalsWarning, InputError
from dals.geometry.vtk_bridge import polydata_of
from dals.io.markups import read_contours, write_contours
from dals.observations.contours import Contour

TRANSFORMS = [
    pytest.param(lambda scene, node: lambda points: points, id="none"),
    pytest.param(under_linear_transform, id="linear"),
    pytest.param(under_thin_plate_transform, id="thin plate"),
    pytest.param(under_grid_transform, id="grid"),
]
OPEN, DOTS = "vtkMRMLMarkupsCurveNode", "vtkMRMLMarkupsFiducialNode"
VOLUME = 4 / 3 * np.pi * RADIUS**3


def _gap(points, others):
    """Largest distance from one of the points to the nearest of the others."""
    return np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1).max()


# --- curves


@pytest.mark.parametrize("move", TRANSFORMS)
def test_curves_are_where_slicer_draws_them(scene, inputs, move):
    clicks = [circle(0), circle(1, 4.0), circle(2, -5.0)]
    nodes = [curve_node(scene, points, name=f"curve {axis}") for axis, points in enumerate(clicks)]
    moved = [move(scene, node) for node in nodes]
    observation = inputs.contours_from_curves(nodes)
    assert [contour.name for contour in observation.contours] == ["curve 0", "curve 1", "curve 2"]
    for contour, points, to_world, (axis, offset) in zip(
        observation.contours, clicks, moved, [(0, 0.0), (1, 4.0), (2, -5.0)], strict=True
    ):
        np.testing.assert_allclose(contour.control_points, to_world(points), atol=1e-3)
        assert len(contour.points) == 280  # the repeated last point is gone
        dense = to_world(circle(axis, offset, count=2000))
        assert _gap(contour.points, dense) < 0.1
        assert _gap(to_world(points), contour.points) < 1e-3


def test_points_that_are_not_placed_do_not_count(scene, inputs):
    others = [curve_node(scene, circle(axis), name=f"{axis}") for axis in (0, 1)]
    node = curve_node(scene, circle(2), name="unfinished")
    clean = inputs.contours_from_curves([node, *others]).contours[0]
    node.AddControlPoint(300.0, 300.0, 300.0)
    node.SetNthControlPointPosition(28, 300.0, 300.0, 300.0, node.PositionPreview)
    node.AddControlPoint(400.0, 300.0, 300.0)
    node.UnsetNthControlPointPosition(29)
    count = scene.GetNumberOfNodes()
    drawn = inputs.contours_from_curves([node, *others]).contours[0]
    np.testing.assert_allclose(drawn.control_points, clean.control_points, atol=1e-9)
    np.testing.assert_allclose(drawn.points, clean.points, atol=1e-4)
    assert inputs.plane_of_curve(node).points == 28
    assert scene.GetNumberOfNodes() == count
    assert node.GetNumberOfControlPoints() == 30


def test_a_point_under_the_mouse_is_left_out_under_a_transform_too(scene, inputs):
    others = [curve_node(scene, circle(axis), name=f"{axis}") for axis in (0, 1)]
    node = curve_node(scene, circle(2))
    for each in (node, *others):
        under_linear_transform(scene, each)
    clean = inputs.contours_from_curves([node, *others]).contours[0]
    node.AddControlPoint(300.0, 300.0, 300.0)
    node.SetNthControlPointPosition(28, 300.0, 300.0, 300.0, node.PositionPreview)
    drawn = inputs.contours_from_curves([node, *others]).contours[0]
    np.testing.assert_allclose(drawn.points, clean.points, atol=1e-4)


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_curves_from_files_are_where_dals_reads_them(scene, inputs, tmp_path, system):
    from slicer import vtkMRMLMarkupsJsonStorageNode

    nodes, expected = [], []
    for axis in range(3):
        path = tmp_path / f"curve{axis}.mrk.json"
        points = circle(axis, 3.0, count=12)
        write_contours(path, [Contour(points, points, f"curve{axis}")])
        if system == "RAS":
            document = json.loads(path.read_text())
            document["markups"][0]["coordinateSystem"] = "RAS"
            path.write_text(json.dumps(document))
        storage = vtkMRMLMarkupsJsonStorageNode()
        scene.AddNode(storage)
        storage.SetFileName(str(path))
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", f"curve{axis}")
        assert storage.ReadData(node)
        nodes.append(node)
        expected.extend(read_contours(path))
    for contour, other in zip(inputs.contours_from_curves(nodes).contours, expected, strict=True):
        np.testing.assert_allclose(contour.control_points, other.control_points, atol=1e-4)
        assert contour.points.shape == other.points.shape
        np.testing.assert_allclose(contour.points, other.points, atol=0.3)
        assert contour.name == other.name


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda scene: None, "No curve is chosen"),
        (
            lambda scene: curve_node(scene, circle(2)[:2], name="open one", kind=OPEN),
            "'open one' has 2 .* an open curve needs",
        ),
        (
            lambda scene: curve_node(scene, circle(2), name="dots", kind=DOTS),
            "'dots' is no curve",
        ),
        (lambda scene: volume_node(scene, oblique_grid(), name="CT"), "'CT' is no curve"),
        (lambda scene: curve_node(scene, circle(2)[:2], name="short"), r"'short' has 2 placed point\(s\)"),
        (lambda scene: curve_node(scene, [], name="blank"), r"'blank' has 0 placed"),
        (lambda scene: curve_node(scene, [CENTRE] * 5, name="spot"), "'spot' has 1 different"),
        (lambda scene: curve_node(scene, [CENTRE, CENTRE + 1, CENTRE + 2], name="line"), "straight line"),
        (lambda scene: curve_node(scene, [*circle(2), [np.nan, 0, 0]], name="hole"), "'hole' has coordinates"),
    ],
)
def test_what_is_no_closed_curve_is_refused_by_name(scene, inputs, make, match):
    with pytest.raises(InputError, match=match):
        inputs.contours_from_curves([make(scene)])


def test_open_curves_and_open_planes(scene, inputs):
    from DALSRefineLib.nodes.incomplete import set_incomplete

    nodes = [curve_node(scene, circle(axis), name=f"{axis}") for axis in range(2)]
    nodes.append(curve_node(scene, circle(2)[:20], name="part", kind=OPEN))
    set_incomplete(nodes[1], True)
    contours = inputs.contours_from_curves(nodes).contours
    assert [contour.closed for contour in contours] == [True, True, False]
    assert [contour.open_plane for contour in contours] == [False, True, False]
    np.testing.assert_allclose(contours[2].points[[0, -1]], circle(2)[[0, 19]], atol=1e-3)


def test_curves_of_one_plane_are_refused(scene, inputs):
    nodes = [curve_node(scene, circle(2), name=name) for name in ("a", "b")]
    with pytest.raises(InputError, match="same plane"):
        inputs.contours_from_curves(nodes)


@pytest.mark.parametrize(("axis", "name"), list(enumerate(["sagittal", "coronal", "axial"])))
def test_the_plane_in_words(scene, inputs, axis, name):
    row = inputs.plane_of_curve(curve_node(scene, circle(axis, 4.0)))
    assert row[0] == name
    assert row[1] == pytest.approx(CENTRE[axis] + 4.0, abs=1e-3)
    assert row[2] == 28


def test_the_plane_of_a_turned_curve_is_that_in_the_world(scene, inputs):
    node = curve_node(scene, circle(2))
    under_linear_transform(scene, node)
    assert inputs.plane_of_curve(node) == ("oblique", None, 28)
    quarter = np.eye(4)
    quarter[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    under_linear_transform(scene, node, quarter)
    assert inputs.plane_of_curve(node).name == "coronal"
    assert inputs.plane_of_curve(node).position_mm == pytest.approx(-CENTRE[2], abs=1e-3)


def test_the_plane_of_what_is_not_finished(scene, inputs):
    assert inputs.plane_of_curve(curve_node(scene, circle(2)[:2])) == ("", None, 2)
    assert inputs.plane_of_curve(None) == ("", None, 0)
    assert inputs.plane_of_curve(curve_node(scene, circle(2), kind=DOTS)) == ("", None, 28)


# --- points


@pytest.mark.parametrize("move", TRANSFORMS)
@pytest.mark.parametrize("kind", ["points", "model"])
def test_points_are_where_slicer_shows_them(scene, inputs, move, kind):
    points = sphere(level=2).vertices
    if kind == "points":
        node = curve_node(scene, points, kind=DOTS)
    else:
        node = scene.AddNewNodeByClass("vtkMRMLModelNode", "scan")
        node.SetAndObservePolyData(polydata_of(sphere(level=2)))
    to_world = move(scene, node)
    np.testing.assert_allclose(inputs.points_from_node(node).points, to_world(points), atol=1e-3)


def test_points_that_cannot_be_used(scene, inputs):
    with pytest.raises(InputError, match="No points"):
        inputs.points_from_node(None)
    with pytest.raises(InputError, match="neither"):
        inputs.points_from_node(volume_node(scene, oblique_grid()))
    with pytest.raises(InputError, match="'blank' has 0"):
        inputs.points_from_node(scene.AddNewNodeByClass("vtkMRMLModelNode", "blank"))
    with pytest.raises(InputError, match="'two' has 2"):
        inputs.points_from_node(curve_node(scene, circle(2)[:2], name="two", kind=DOTS))
    with pytest.raises(InputError, match="fewer than 3 different"):
        inputs.points_from_node(curve_node(scene, [CENTRE] * 4, kind=DOTS))
    with pytest.raises(InputError, match="finite"):
        inputs.points_from_node(curve_node(scene, [*circle(2), [np.inf, 0, 0]], kind=DOTS))


# --- the grid of a volume


def test_the_grid_of_a_volume(scene, inputs):
    grid = oblique_grid()
    node = volume_node(scene, grid)
    found = inputs.grid_of_volume(node)
    np.testing.assert_allclose(found.ijk_to_ras, grid.ijk_to_ras, atol=1e-9)
    assert found.array.shape == grid.array.shape
    assert found.is_empty
    under_linear_transform(scene, node)
    np.testing.assert_allclose(inputs.grid_of_volume(node).ijk_to_ras, LINEAR @ grid.ijk_to_ras, atol=1e-9)


def test_a_volume_without_a_regular_grid(scene, inputs):
    node = volume_node(scene, oblique_grid(), name="CT")
    under_grid_transform(scene, node)
    with pytest.raises(InputError, match="'CT' is under a non-linear transform"):
        inputs.grid_of_volume(node)
    with pytest.raises(InputError, match="No volume"):
        inputs.grid_of_volume(None)
    with pytest.raises(InputError, match="'blank' holds no image"):
        inputs.grid_of_volume(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "blank"))


# --- segments


def _is_the_sphere(label_map, centre=CENTRE, *, volume=VOLUME):
    __tracebackhide__ = True
    np.testing.assert_allclose(marked_points(label_map).mean(axis=0), centre, atol=0.3)
    assert label_map.volume == pytest.approx(volume, rel=0.02)
    extent = np.linalg.norm(marked_points(label_map) - centre, axis=1).max()
    assert extent == pytest.approx(RADIUS, abs=max(label_map.spacing))


def test_a_segment_on_an_oblique_grid(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    full = rasterised(grid)
    segment_id = add_segment(node, full)
    label_map = inputs.segment_label_map(node, segment_id)
    np.testing.assert_array_equal(label_map.array, full.array)
    np.testing.assert_allclose(label_map.ijk_to_ras, grid.ijk_to_ras, atol=1e-6)
    assert label_map.name == "liver"
    _is_the_sphere(label_map)


def test_a_segment_that_is_stored_as_a_box_of_its_grid(scene, inputs):
    grid = oblique_grid()
    full = rasterised(grid)
    box = full.array[5:36, 8:55, 6:66]
    assert box.sum() == full.array.sum()
    corner = grid.ijk_to_ras.copy()
    corner[:3, 3] += corner[:3, :3] @ [6, 8, 5]
    part = type(grid)(box, corner, "part")
    node = segmentation_node(scene, grid)
    np.testing.assert_array_equal(
        inputs.segment_label_map(node, add_segment(node, part, offset=(6, 8, 5))).array, full.array
    )
    alone = segmentation_node(scene)  # without a reference geometry the grid is the segment's own
    label_map = inputs.segment_label_map(alone, add_segment(alone, part, offset=(6, 8, 5)))
    np.testing.assert_allclose(
        np.sort(marked_points(label_map), axis=0), np.sort(marked_points(full), axis=0), atol=1e-6
    )
    assert not label_map.touches_border


def test_a_segment_on_another_grid_than_the_reference(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    segment_id = add_segment(node, rasterised(oblique_grid((100, 100, 100), (0.8, 0.8, 0.8), (0, 0, 0))))
    label_map = inputs.segment_label_map(node, segment_id)
    np.testing.assert_allclose(label_map.ijk_to_ras, grid.ijk_to_ras, atol=1e-6)
    assert label_map.array.shape == grid.array.shape
    _is_the_sphere(label_map)


@pytest.mark.parametrize("same_axes", [True, False])
def test_what_lies_beyond_the_reference_is_kept(scene, inputs, same_axes):
    whole = oblique_grid() if same_axes else oblique_grid((100, 100, 100), (0.8, 0.8, 0.8), (0, 0, 0))
    small = oblique_grid()
    half = type(small)(small.array[:20], small.ijk_to_ras, "half of it")
    node = segmentation_node(scene, half)
    segment_id = add_segment(node, rasterised(whole))
    observation = inputs.segmentation_from_node(node, segment_id)
    assert "segmentation liver touches the image's border, " in " ".join(observation.notices)
    label_map = observation.label_map
    assert label_map.array.shape[1:] == half.array.shape[1:]
    _is_the_sphere(label_map)


def test_segments_that_share_a_label_map_are_told_apart(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    masks = [
        rasterised(grid, sphere(radius=10.0, centre=CENTRE + shift)) for shift in ([-15, 0, 0], [15, 0, 0], [0, 0, 25])
    ]
    ids = [add_segment(node, mask, name=f"part {number}") for number, mask in enumerate(masks)]
    node.GetSegmentation().CollapseBinaryLabelmaps()
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    for number, (segment_id, mask) in enumerate(zip(ids, masks, strict=True)):
        label_map = inputs.segment_label_map(node, segment_id)
        np.testing.assert_array_equal(label_map.array, mask.array)
        assert label_map.name == f"part {number}"


@pytest.mark.parametrize("with_reference", [True, False])
def test_a_segment_from_a_surface(scene, inputs, with_reference):
    grid = oblique_grid()
    node = segmentation_node(scene, grid if with_reference else None)
    segment_id = add_surface_segment(node, sphere())
    count = scene.GetNumberOfNodes()
    label_map = inputs.segmentation_from_node(node, segment_id).label_map
    _is_the_sphere(label_map)
    if with_reference:
        np.testing.assert_allclose(label_map.ijk_to_ras, grid.ijk_to_ras, atol=1e-6)
        assert label_map.array.shape == grid.array.shape
    segmentation = node.GetSegmentation()
    assert segmentation.GetSourceRepresentationName() == "Closed surface"
    assert not segmentation.ContainsRepresentation("Binary labelmap")
    assert scene.GetNumberOfNodes() == count


def test_a_segment_under_a_linear_transform(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    segment_id = add_segment(node, rasterised(grid))
    to_world = under_linear_transform(scene, node)
    label_map = inputs.segment_label_map(node, segment_id)
    np.testing.assert_allclose(label_map.ijk_to_ras, LINEAR @ grid.ijk_to_ras, atol=1e-6)
    _is_the_sphere(label_map, to_world(CENTRE[None])[0])


@pytest.mark.parametrize("move", [under_thin_plate_transform, under_grid_transform])
@pytest.mark.parametrize("surface", [True, False])
def test_a_segment_under_a_non_linear_transform(scene, inputs, move, surface):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    segment_id = add_surface_segment(node, sphere()) if surface else add_segment(node, rasterised(grid))
    before = None if surface else stored_voxels(node, segment_id)
    to_world = move(scene, node)
    count = scene.GetNumberOfNodes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # where the warp takes it does not matter to the border
        label_map = inputs.segmentation_from_node(node, segment_id).label_map
    warped = type(sphere())(to_world(sphere().vertices), sphere().faces)
    assert label_map.volume == pytest.approx(warped.volume, rel=0.03)
    inside = rasterised(label_map, warped).array
    overlap = 2 * (inside & label_map.array).sum() / (inside.sum() + label_map.array.sum())
    assert overlap > 0.96
    assert scene.GetNumberOfNodes() == count
    assert surface or stored_voxels(node, segment_id) == before
    assert node.GetParentTransformNode() is not None


def test_only_a_segment_at_the_border_is_noticed(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    inner = add_segment(node, rasterised(grid))
    outer = add_segment(node, rasterised(grid, sphere(radius=60.0)), name="big")
    within = inputs.segmentation_from_node(node, inner)
    assert within.notices == ()
    assert not within.label_map.touches_border
    cut = inputs.segmentation_from_node(node, outer)
    assert "segmentation big touches the image's border, " in " ".join(cut.notices)
    assert cut.label_map.touches_border


def two_balls(grid, larger=30.0):
    """A large ball on the patient's right (positive R) of the grid's middle and a smaller one on its left."""
    apart = np.array([45.0, 0.0, 0.0])
    right = rasterised(grid, sphere(radius=larger, centre=CENTRE + apart))
    left = rasterised(grid, sphere(radius=26.0, centre=CENTRE - apart))
    return grid.with_array(right.array | left.array), right, left


@pytest.fixture
def pair_grid():
    return oblique_grid((100, 50, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))


def test_left_and_right_in_one_segment_are_told_of(scene, inputs, pair_grid):
    both, right, _ = two_balls(pair_grid)
    node = segmentation_node(scene, pair_grid)
    observation = inputs.segmentation_from_node(node, add_segment(node, both, name="kidneys"))
    (sentence,) = observation.notices
    assert sentence.startswith("The segmentation kidneys holds left and right in one label: ")
    assert sentence.endswith("is used. Choose with the option component: left or right.")
    np.testing.assert_array_equal(observation.label_map.array, right.array)


def test_the_notices_are_those_of_the_command_line(scene, inputs, pair_grid, tmp_path):
    from dals import read_segmentation
    from dals.io.label_maps import write_label_map

    both, _, _ = two_balls(pair_grid, larger=36.0)
    path = tmp_path / "kidneys.nrrd"
    write_label_map(path, both)
    node = segmentation_node(scene, pair_grid)
    here = inputs.segmentation_from_node(node, add_segment(node, both, name="kidneys.nrrd")).notices
    assert here == read_segmentation(path).notices != ()


@pytest.mark.parametrize("component", ["left", 2])
def test_a_component_is_chosen(scene, inputs, pair_grid, component):
    both, _, left = two_balls(pair_grid)
    node = segmentation_node(scene, pair_grid)
    segment_id = add_segment(node, both)
    observation = inputs.segmentation_from_node(node, segment_id, component=component)
    assert observation.notices == ()
    np.testing.assert_array_equal(observation.label_map.array, left.array)
    with pytest.raises(InputError, match="no component 3"):
        inputs.segmentation_from_node(node, segment_id, component=3)


def test_left_is_left_in_the_world(scene, inputs, pair_grid):
    both, right, _ = two_balls(pair_grid)
    node = segmentation_node(scene, pair_grid)
    segment_id = add_segment(node, both)
    under_linear_transform(scene, node, np.diag([-1.0, -1.0, 1.0, 1.0]))
    observation = inputs.segmentation_from_node(node, segment_id, component="left")
    np.testing.assert_array_equal(observation.label_map.array, right.array)


def test_the_border_that_cuts_is_told_of_under_a_non_linear_transform_too(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    segment_id = add_segment(node, rasterised(grid, sphere(radius=60.0)))
    under_thin_plate_transform(scene, node)
    with pytest.warns(DalsWarning, match="may be cut off"):
        observation = inputs.segmentation_from_node(node, segment_id)
    assert observation.solid.touches_border


def test_the_components_that_can_be_chosen(scene, inputs, pair_grid):
    from DALSRefineLib.nodes.segment_observations import component_options_of

    both, _, left = two_balls(pair_grid)
    node = segmentation_node(scene, pair_grid)
    found = component_options_of(node, add_segment(node, both))
    assert [option.choice for option in found] == ["right", "left"]
    assert component_options_of(node, add_segment(node, left)) == ()
    assert component_options_of(node, node.GetSegmentation().AddEmptySegment("nothing")) == ()
    assert component_options_of(None, "") == ()


def test_a_segment_that_was_painted_on_is_in_another_state(scene, inputs, pair_grid):
    from DALSRefineLib.nodes.segment_observations import state_of_segment

    both, _, _ = two_balls(pair_grid)
    node = segmentation_node(scene, pair_grid)
    segment_id = add_segment(node, both)
    states = [state_of_segment(node, segment_id)]
    assert state_of_segment(node, segment_id) == states[0]
    image = node.GetSegmentation().GetSegment(segment_id).GetRepresentation("Binary labelmap")
    image.Modified()
    states.append(state_of_segment(node, segment_id))
    under_linear_transform(scene, node)
    states.append(state_of_segment(node, segment_id))
    node.GetParentTransformNode().SetMatrixTransformToParent(vtk_matrix(np.eye(4)))
    states.append(state_of_segment(node, segment_id))
    assert len(set(states)) == 4
    assert state_of_segment(node, "x") is state_of_segment(None, "") is None


# --- probabilities


def probabilities(scene, grid, values, *, name="softmax"):
    node = volume_node(scene, grid, name=name)
    node.GetImageData().GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=True))
    return node


def test_probabilities_on_the_grid_of_the_segment_are_taken_as_they_are(scene, inputs):
    grid = oblique_grid()
    mask = rasterised(grid)
    values = np.where(mask.array, np.float32(0.8), np.float32(0.1))
    values[3, 4, 5] = 1.0005  # rounding
    node = segmentation_node(scene, grid)
    volume = probabilities(scene, grid, values)
    for each in (node, volume):
        under_linear_transform(scene, each)
    found = inputs.segmentation_from_node(node, add_segment(node, mask), probabilities_node=volume)
    assert found.probabilities.dtype == np.float32
    np.testing.assert_array_equal(found.probabilities, np.clip(values, 0, 1))


def test_probabilities_on_another_grid_are_interpolated(scene, inputs):
    grid, other = oblique_grid(), oblique_grid((45, 40, 50), (2.0, 2.5, 2.0), (5.0, 10.0, -20.0))

    def ramp(label_map):
        """Linear along R, so that linear interpolation is exact."""
        kji = np.indices(label_map.array.shape).reshape(3, -1)
        r = (label_map.ijk_to_ras[:3, :3] @ kji[::-1] + label_map.ijk_to_ras[:3, 3:])[0]
        return (0.5 + (r - CENTRE[0]) / 400).reshape(label_map.array.shape)

    mask = rasterised(grid)
    node = segmentation_node(scene, grid)
    volume = probabilities(scene, other, ramp(other))
    found = inputs.segmentation_from_node(node, add_segment(node, mask), probabilities_node=volume)
    np.testing.assert_allclose(found.probabilities[mask.array], ramp(grid)[mask.array], atol=1e-5)
    assert found.probabilities[0, 0, 0] == 0, "beyond the volume"


def test_probabilities_of_the_other_component_are_left_out(scene, inputs, pair_grid):
    both, right, left = two_balls(pair_grid)
    node = segmentation_node(scene, pair_grid)
    volume = probabilities(scene, pair_grid, left.array * 0.9 + right.array * 0.3)
    segment_id = add_segment(node, both)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the other component's low values are no reason for doubt
        found = inputs.segmentation_from_node(
            node, segment_id, component="left", probabilities_node=volume
        ).probabilities
    assert found[left.array].min() > 0.5
    assert found[right.array].max() == 0


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda mask: mask * 87.0 + 1, "'softmax' holds values .*percentages"),
        (lambda mask: mask - 0.5, "raw output"),
        (lambda mask: np.where(mask, np.nan, 0.5), "not finite"),
    ],
)
def test_values_that_are_no_probabilities_are_refused(scene, inputs, spoil, match):
    segment = rasterised(oblique_grid())
    node = segmentation_node(scene)
    volume = probabilities(scene, segment, spoil(segment.array))
    with pytest.raises(InputError, match=match):
        inputs.segmentation_from_node(node, add_segment(node, segment), probabilities_node=volume)


def test_a_volume_without_a_regular_grid_gives_no_probabilities(scene, inputs):
    segment = rasterised(oblique_grid())
    node = segmentation_node(scene)
    volume = probabilities(scene, segment, segment.array * 0.9)
    under_grid_transform(scene, volume)
    with pytest.raises(InputError, match="under a non-linear transform"):
        inputs.segmentation_from_node(node, add_segment(node, segment), probabilities_node=volume)


def test_doubtful_probabilities_are_told_of(scene, inputs):
    grid = rasterised(oblique_grid())
    node = segmentation_node(scene, oblique_grid())
    segment_id = add_segment(node, grid)
    for values, expected in ((grid.array * 1, "nothing but 0 and 1"), (grid.array * 0.2, "0.20 on average")):
        volume = probabilities(scene, grid, values)
        observation = inputs.segmentation_from_node(node, segment_id, probabilities_node=volume)
        assert expected in " ".join(observation.notices)


def test_segments_that_are_not_there(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid, name="organs")
    node.GetSegmentation().AddEmptySegment("void", "void")
    add_segment(node, grid, name="unmarked")
    with pytest.raises(InputError, match="No segmentation is chosen"):
        inputs.segment_label_map(None, "x")
    with pytest.raises(InputError, match="No segmentation is chosen"):
        inputs.segmentation_from_node(volume_node(scene, grid), "x")
    for missing in ("x", "", None):
        with pytest.raises(InputError, match="'organs' has no segment"):
            inputs.segmentation_from_node(node, missing)
    with pytest.raises(InputError, match="'void' of 'organs' is empty"):
        inputs.segmentation_from_node(node, "void")
    with pytest.raises(InputError, match="'unmarked' of 'organs' is empty"):
        inputs.contours_from_painted_segment(node, node.GetSegmentation().GetSegmentIdBySegmentName("unmarked"))


@pytest.mark.parametrize("move", TRANSFORMS[:2])
def test_painted_slices_in_three_directions(scene, inputs, move):
    grid = oblique_grid()
    full = rasterised(grid).array
    mask = np.zeros_like(full)
    mask[20] |= full[20]
    mask[:, 30] |= full[:, 30]
    mask[:, :, 35] |= full[:, :, 35]
    node = segmentation_node(scene, grid)
    segment_id = add_segment(node, grid.with_array(mask))
    centre = move(scene, node)(CENTRE[None])[0]
    observation = inputs.contours_from_painted_segment(node, segment_id)
    assert len(observation.contours) == 3
    assert all(contour.name.startswith("liver, slice") for contour in observation.contours)
    radii = np.linalg.norm(observation.points - centre, axis=1)
    assert np.abs(radii - RADIUS).mean() < 0.6
    assert np.abs(radii - RADIUS).max() < 2.5


def test_a_full_segment_has_no_painted_slices(scene, inputs):
    grid = oblique_grid()
    node = segmentation_node(scene, grid)
    with pytest.raises(InputError, match="almost every slice"):
        inputs.contours_from_painted_segment(node, add_segment(node, rasterised(grid)))
