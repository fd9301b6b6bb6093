import json
from pathlib import Path

import numpy as np
import pytest
from known_shapes import ellipse_contour, grid

from dals.errors import InputError
from dals.geometry.splines import sample_closed_spline
from dals.io.meshes import read_mesh
from dals.observations import Contour, PlanarContours, PointCloud, Segmentation

LIVERS = Path(__file__).resolve().parents[4] / "shared" / "data" / "livers"
needs_livers = pytest.mark.skipif(not LIVERS.is_dir(), reason="the real livers of ../shared/data are not here")


def _three():
    return [ellipse_contour(axis, offset) for axis, offset in enumerate((4.0, -3.0, 2.0))]


def _moved(contour, shift):
    return Contour(contour.points + shift, None, contour.name)


def test_plane_length_and_extent_of_a_contour():
    contour = ellipse_contour(2, 5.0, radii=(50.0, 50.0, 40.0), centre=(0, 0, 0))
    np.testing.assert_allclose(contour.plane.normal, [0, 0, 1], atol=1e-9)
    assert contour.plane.origin[2] == pytest.approx(5.0)
    radius = 50 * np.sqrt(1 - (5 / 40) ** 2)
    assert contour.length == pytest.approx(2 * np.pi * radius, rel=1e-3)
    assert contour.extent == pytest.approx(2 * radius * np.sqrt(2), rel=1e-3)
    assert contour.deviation_mm == pytest.approx(0.0, abs=1e-9)


def test_a_repeated_last_point_is_removed():
    points = ellipse_contour(2).points
    assert len(Contour(np.vstack([points, points[:1]])).points) == len(points)


def test_three_good_contours():
    observation = PlanarContours(tuple(_three()))
    assert len(observation.by_plane) == 3
    assert observation.points.shape == (600, 3)


def test_parallel_planes_are_planes_too():
    assert len(PlanarContours((ellipse_contour(2, -10.0), ellipse_contour(2, 10.0))).by_plane) == 2


@pytest.mark.parametrize(
    ("points", "match"),
    [
        (np.empty((0, 3)), "no points"),
        (np.zeros((5, 2)), "three-dimensional"),
        (np.array([[0.0, 0, 0], [1, 0, 0]]), "2 points; a closed curve needs at least 3"),
        (np.zeros((5, 3)), "1 different points"),
        (np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2], [5, 5, 5]]), "straight line"),
        (np.array([[0.0, 0, 0], [1, 0, 0], [0, np.nan, 0]]), "finite"),
        (np.array([[0.0, 0, 0], [1, 0, 0], [0, np.inf, 0]]), "finite"),
    ],
)
def test_contours_that_are_none(points, match):
    with pytest.raises(InputError, match=match):
        Contour(points, None, "axial")


def test_points_on_no_common_plane_are_named_with_their_deviation():
    bent = ellipse_contour(0).points.copy()
    bent[:, 0] += 15 * np.sin(np.linspace(0, 4 * np.pi, len(bent)))
    with pytest.raises(InputError, match=r"'bent' lie on no common plane.* 1[0-9]\.[0-9] mm"):
        PlanarContours((Contour(bent, None, "bent"), ellipse_contour(1)))


def test_a_trembling_hand_is_no_reason_to_refuse():
    rng = np.random.default_rng(0)
    shaky = [Contour(c.points + rng.normal(size=c.points.shape) * 0.5, None, c.name) for c in _three()]
    assert len(PlanarContours(tuple(shaky)).contours) == 3


@pytest.mark.parametrize("count", [1, 3])
def test_one_plane_is_not_enough(count):
    with pytest.raises(InputError, match="same plane; please draw"):
        PlanarContours(tuple(ellipse_contour(2, 0.3 * number, name=f"c{number}") for number in range(count)))
    with pytest.raises(InputError, match="no contour"):
        PlanarContours(())


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("turn", range(8))
def test_a_contour_that_was_moved_contradicts_the_others(which, turn):
    """By 40 mm within its plane, in any direction."""
    contours = _three()
    shift = np.insert(40 * np.array([np.cos(turn * np.pi / 4 + 0.2), np.sin(turn * np.pi / 4 + 0.2)]), which, 0.0)
    contours[which] = _moved(contours[which], shift)
    with pytest.raises(InputError, match=rf"'{contours[which].name}'.*contradict each other: .* [0-9]+ mm apart"):
        PlanarContours(tuple(contours))


def test_small_slices_through_the_ends_of_an_organ_may_be_far_apart():
    """Two of a hippocampus are 17 mm apart, and each 14 mm wide."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = 7 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    ends = [Contour(np.add(np.roll(circle, 1, axis=1), [24.0, 0, 0]), None, "sagittal"), Contour(circle, None, "axial")]
    assert len(PlanarContours(tuple(ends)).contours) == 2


def test_a_contour_of_another_scene():
    contours = _three()
    contours[1] = _moved(contours[1], [600.0, 0, 300])
    with pytest.raises(InputError, match=r"'coronal'.*contradict each other: they are [0-9]{3} mm apart"):
        PlanarContours(tuple(contours))


def test_holes_and_separate_sections_agree():
    """A sphere with a cavity and a second sphere: planes show one, two or three outlines."""
    sphere = {"radii": (50.0, 50.0, 50.0), "centre": (0, 0, 0)}
    cavity = {"radii": (15.0, 15.0, 15.0), "centre": (0, 0, 0)}
    second = {"radii": (20.0, 20.0, 20.0), "centre": (90.0, 0, 0)}
    outer = [ellipse_contour(axis, **sphere) for axis in range(3)]
    holes = [ellipse_contour(axis, **cavity, name="hole") for axis in range(3)]
    others = [ellipse_contour(axis, **second, name="second") for axis in (1, 2)]
    assert len(PlanarContours((*outer, *holes, *others)).by_plane) == 3
    PlanarContours((*outer, holes[1], others[1]))  # some of them left out


def test_points_and_segmentations():
    assert PointCloud(np.eye(4, 3)).points.shape == (4, 3)
    for points in (np.zeros((4, 3)), np.empty((0, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(InputError):
            PointCloud(points)
    with pytest.raises(InputError, match="empty"):
        Segmentation(grid((4, 4, 4), (1, 1, 1)))


def _outline(mesh, origin, normal):
    """The longest closed outline of a mesh on a plane as 28 clicks, or None if a cut is not closed."""
    height = (mesh.vertices - origin) @ normal
    neighbours = {}
    for corners in mesh.faces.tolist():
        cut = [
            tuple(sorted((a, b)))
            for a, b in zip(corners, (*corners[1:], corners[0]), strict=True)
            if (height[a] < 0) != (height[b] < 0)
        ]
        for one, other in (cut, cut[::-1]) if cut else ():
            neighbours.setdefault(one, []).append(other)
    if any(len(set(found)) != 2 for found in neighbours.values()):
        return None
    loops = []
    while neighbours:
        loop = [next(iter(neighbours))]
        while following := [edge for edge in neighbours.pop(loop[-1]) if edge in neighbours]:
            loop.append(following[0])
        a, b = np.array(loop).T
        share = (height[a] / (height[a] - height[b]))[:, None]
        loops.append(mesh.vertices[a] + share * (mesh.vertices[b] - mesh.vertices[a]))
    return max((_resampled(loop) for loop in loops), key=lambda pair: pair[1])[0]


def _resampled(loop, count=28):
    closed = np.vstack([loop, loop[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    places = np.arange(count) / count * along[-1]
    return np.stack([np.interp(places, along, closed[:, axis]) for axis in range(3)], axis=1), along[-1]


def _liver_contours(rng):
    """Three outlines each of some training livers: 28 clicks, half a millimetre of tremor, planes off the centre."""
    for name in json.loads((LIVERS / "splits.json").read_text())["msd_train"][:16]:
        mesh = read_mesh(LIVERS / "meshes" / f"{name}.ply", space="RAS")
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        clicks = [
            _outline(mesh, (low + high) / 2 + axis * (high - low) * rng.uniform(-0.08, 0.08, 3), axis)
            for axis in np.eye(3)
        ]
        if all(clicked is not None for clicked in clicks):
            shaky = [clicked + rng.normal(size=clicked.shape) * 0.5 for clicked in clicks]
            yield [Contour(sample_closed_spline(c), c, f"{name} {p}") for p, c in zip("sca", shaky, strict=True)]


@needs_livers
def test_no_false_alarm_on_real_livers():
    accepted = [PlanarContours(tuple(contours)) for contours in _liver_contours(np.random.default_rng(7))]
    assert len(accepted) >= 5


@needs_livers
def test_most_misplaced_contours_of_real_livers_are_noticed():
    """A shift within the plane by 40 mm; some outlines fit as well afterwards, or no longer cross the others."""
    rng = np.random.default_rng(8)
    noticed = []
    for contours in _liver_contours(rng):
        which = int(rng.integers(3))
        angle = rng.uniform(0, 2 * np.pi)
        contours[which] = _moved(contours[which], np.insert(40 * np.array([np.cos(angle), np.sin(angle)]), which, 0.0))
        try:
            PlanarContours(tuple(contours))
        except InputError:
            noticed.append(True)
        else:
            noticed.append(False)
    assert np.mean(noticed) >= 0.7


def test_open_curves_and_open_planes_survive_the_way_to_another_process():
    contours = [ellipse_contour(axis, 3.0, count=28) for axis in range(3)]
    part = Contour(contours[2].points[:20], None, "part", closed=False)
    observation = PlanarContours((*contours[:2], part)).with_open_planes([contours[0].name])
    back = PlanarContours.from_arrays(*observation.to_arrays())
    assert [contour.closed for contour in back.contours] == [True, True, False]
    assert [contour.open_plane for contour in back.contours] == [True, False, False]
    assert part.length < 0.75 * contours[2].length


def test_an_open_plane_has_to_be_one_that_was_drawn():
    contours = PlanarContours(tuple(ellipse_contour(axis, 3.0, count=28) for axis in range(3)))
    with pytest.raises(InputError, match=r"no contour named 'x'.*'axial'"):
        contours.with_open_planes(["axial", "x"])
