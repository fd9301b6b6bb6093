import numpy as np
import pytest
from known_shapes import grid, inside_ellipsoid

from dals.errors import DalsWarning, InputError
from dals.geometry.label_map import LabelMap
from dals.observations.painted_slices import contours_from_painted_slices

RADII = np.array([60.0, 45.0, 35.0])
CENTRE = np.array([20.0, -30.0, 40.0])


def _painted(full, slices, thickness=1):
    """Keep the given slices of a full mask, a mapping from image axis (0 is I) to slice indices."""
    mask = np.zeros_like(full.array)
    for axis, indices in slices.items():
        for index in indices:
            place = [slice(None)] * 3
            place[2 - axis] = slice(index, index + thickness)
            mask[tuple(place)] |= full.array[tuple(place)]
    return full.with_array(mask)


def _organ(**parameters):
    empty = grid(**{"shape_ijk": (130, 100, 80), "spacing": (1.0, 1.0, 1.0), **parameters})
    return empty.with_array(inside_ellipsoid(empty))


def _residual(points):
    """Approximate distance of points from the ellipsoid's surface, millimetres."""
    scaled = (points - CENTRE) / RADII
    return np.abs(np.linalg.norm(scaled, axis=1) - 1) / np.linalg.norm(scaled / RADII, axis=1)


@pytest.mark.parametrize(
    ("parameters", "slices"),
    [
        ({}, {0: [60], 1: [52], 2: [38]}),
        ({}, {2: [25, 40, 55]}),
        ({}, {0: [40, 64, 90], 2: [40]}),
        (
            {"shape_ijk": (90, 70, 30), "spacing": (1.5, 1.8, 4.0), "angles": (15.0, -20.0, 35.0)},
            {0: [45], 1: [35], 2: [15]},
        ),
        ({"shape_ijk": (90, 70, 30), "spacing": (1.5, 1.8, 4.0), "left_handed": True}, {0: [45], 1: [35], 2: [15]}),
    ],
)
def test_the_outlines_lie_on_the_organ(parameters, slices):
    full = _organ(**parameters)
    observation = contours_from_painted_slices(_painted(full, slices))
    assert len(observation.contours) == sum(map(len, slices.values()))
    half = max(parameters.get("spacing", (1.0,))) / 2
    for contour in observation.contours:
        residual = _residual(contour.points)
        assert residual.mean() < 0.5 * half
        assert residual.max() < 1.5 * half
        assert contour.deviation_mm < 1e-4
        gaps = np.linalg.norm(contour.points - np.roll(contour.points, 1, axis=0), axis=1)
        assert gaps.max() < 3.1 * half * 2  # unbroken where the planes cross


def test_the_area_has_no_bias():
    """Marching squares half way between voxels neither shrinks nor grows the section."""
    full = _organ()
    for contour in contours_from_painted_slices(_painted(full, {0: [64], 1: [50], 2: [40]})).contours:
        axis = int(np.argmax(np.abs(contour.plane.normal)))
        x, y = np.delete(contour.points - CENTRE, axis, axis=1).T
        area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        offset = contour.plane.origin[axis] - CENTRE[axis]
        others = np.delete(RADII, axis)
        assert area == pytest.approx(np.pi * others.prod() * (1 - (offset / RADII[axis]) ** 2), rel=0.01)


@pytest.mark.parametrize("thickness", [2, 3])
def test_a_thick_brush_counts_once(thickness):
    sparse = _painted(_organ(), {0: [60], 1: [52], 2: [38]}, thickness)
    assert len(contours_from_painted_slices(sparse).contours) == 3


def test_lines_that_stick_out_of_a_section_are_no_part_of_it():
    full = _organ()
    sparse = _painted(full, {0: [60], 2: [38]})
    array = sparse.array.copy()
    array[:, 5:95, 60] |= np.abs(np.arange(80) - 40)[:, None] < 20  # the sagittal section was painted too far
    observation = contours_from_painted_slices(full.with_array(sparse.array | (array & _near_section(full))))
    axial = observation.contours[-1]
    assert _residual(axial.points).max() < 2.0


def _near_section(full):
    """The organ, grown by four voxels."""
    from scipy import ndimage

    return ndimage.binary_dilation(full.array, iterations=4)


def test_specks_are_dropped_aloud():
    sparse = _painted(_organ(), {0: [60], 2: [38]})
    array = sparse.array.copy()
    array[38, 3:5, 3:5] = True
    with pytest.warns(DalsWarning, match="1 fragment"):
        observation = contours_from_painted_slices(sparse.with_array(array))
    assert len(observation.contours) == 2


def test_separate_sections_and_filled_holes():
    array = np.zeros((40, 60, 80), bool)
    array[20, 10:30, 10:30] = array[20, 10:30, 45:65] = True
    array[20, 18:22, 18:22] = False
    array[5:35, 20, 10:30] = array[5:35, 20, 45:65] = True
    observation = contours_from_painted_slices(LabelMap(array, np.eye(4)))
    assert len(observation.contours) == 4
    assert len(observation.by_plane) == 2


def test_a_full_segmentation_is_turned_away():
    with pytest.raises(InputError, match="as a full segmentation"):
        contours_from_painted_slices(_organ())
    with pytest.raises(InputError, match="as a full segmentation"):
        contours_from_painted_slices(_organ(shape_ijk=(130, 100, 16), spacing=(1.0, 1.0, 5.0)))


def test_one_slice_is_not_enough():
    with pytest.raises(InputError, match="same plane"):
        contours_from_painted_slices(_painted(_organ(), {2: [38]}))


def test_empty_and_hardly_painted():
    empty = grid((20, 20, 20), (1, 1, 1))
    with pytest.raises(InputError, match="empty"):
        contours_from_painted_slices(empty)
    array = empty.array.copy()
    array[5, 5, 5] = True
    with pytest.raises(InputError, match="no slice"):
        contours_from_painted_slices(empty.with_array(array))


def _thin_lobe():
    """Three painted slices, 8 mm thick, of an organ with a lobe of one slice."""
    organ = np.zeros((16, 90, 90), bool)
    organ[4:12, 20:60, 20:60] = True
    organ[10, 60:80, 20:60] = True  # the lobe, 20 mm long and one slice thick
    organ[9, 60:64, 20:60] = True
    painted = np.zeros_like(organ)
    painted[10], painted[:, :, 40], painted[:, 40] = organ[10], organ[:, :, 40], organ[:, 40]
    return LabelMap(painted, np.diag([1.0, 1.0, 8.0, 1.0]))


def test_a_lobe_of_one_thick_slice_keeps_its_tip():
    sagittal = next(
        contour for contour in contours_from_painted_slices(_thin_lobe()).contours if abs(contour.plane.normal[0]) > 0.9
    )
    assert sagittal.points[:, 1].max() == pytest.approx(79.5, abs=0.6)


def test_outlines_run_straight_between_the_ends_of_thick_slices():
    rows = np.arange(10)
    organ = np.zeros((10, 80, 80), bool)
    for row in rows:
        organ[row, 10 : 40 + 3 * row, 10:70] = True  # a wall that leans by 3 mm a slice
    painted = np.zeros_like(organ)
    painted[5], painted[:, :, 40] = organ[5], organ[:, :, 40]
    contours = contours_from_painted_slices(LabelMap(painted, np.diag([1.0, 1.0, 8.0, 1.0]))).contours
    wall = next(contour for contour in contours if abs(contour.plane.normal[0]) > 0.9).points
    wall = wall[(wall[:, 1] > 38.0) & (wall[:, 2] > 10.0) & (wall[:, 2] < 60.0)]
    assert np.abs(wall[:, 1] - (39.5 + 3.0 * wall[:, 2] / 8.0)).max() < 0.6


def test_a_thin_part_is_not_split_where_another_plane_crosses_it():
    organ = np.zeros((40, 60, 60), bool)
    organ[10:30, 10:50, 10:30] = True
    organ[19:22, 10:50, 30:50] = True  # a lobe of three voxels, and the axial plane in its middle
    painted = np.zeros_like(organ)
    painted[20], painted[:, 30] = organ[20], organ[:, 30]
    coronal = [
        contour
        for contour in contours_from_painted_slices(LabelMap(painted, np.eye(4))).contours
        if abs(contour.plane.normal[1]) > 0.9
    ]
    assert len(coronal) == 1
    assert coronal[0].points[:, 0].max() == pytest.approx(49.5, abs=0.6)
