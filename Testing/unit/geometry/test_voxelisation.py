import numpy as np
import pytest
from known_shapes import ellipsoid, grid, inside_ellipsoid, marked_points

from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_label_map, write_label_map

GRIDS = [
    {"shape_ijk": (140, 110, 90), "spacing": (1.0, 1.0, 1.0)},
    {"shape_ijk": (120, 80, 40), "spacing": (1.2, 1.5, 4.0), "angles": (20.0, -30.0, 50.0)},
    {"shape_ijk": (120, 80, 40), "spacing": (1.2, 1.5, 4.0), "angles": (20.0, -30.0, 50.0), "left_handed": True},
]


@pytest.mark.parametrize("parameters", GRIDS)
def test_volume_and_position_on_any_grid(parameters):
    mesh = ellipsoid()
    filled = mesh_to_label_map(mesh, grid(**parameters))
    assert filled.volume == pytest.approx(mesh.volume, rel=0.01)
    np.testing.assert_allclose(marked_points(filled).mean(axis=0), [20, -30, 40], atol=0.2)
    assert np.mean(filled.array != inside_ellipsoid(filled)) < 0.002


def test_voxel_centres_decide():
    corners = np.array([[x, y, z] for x in (0.6, 3.4) for y in (0.6, 2.4) for z in (0.6, 4.4)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads]
    empty = grid((8, 8, 8), (1, 1, 1), centre=(3.5, 3.5, 3.5))
    array = mesh_to_label_map(TriangleMesh(corners, np.array(faces)), empty).array
    expected = np.zeros((8, 8, 8), bool)
    expected[1:5, 1:3, 1:4] = True
    np.testing.assert_array_equal(array, expected)


def test_inside_out_is_filled_all_the_same():
    mesh = ellipsoid(rings=16)
    empty = grid((70, 60, 50), (2, 2, 2))
    turned = TriangleMesh(mesh.vertices, mesh.faces[:, ::-1])
    np.testing.assert_array_equal(mesh_to_label_map(turned, empty).array, mesh_to_label_map(mesh, empty).array)


def test_what_lies_outside_the_grid_is_cut_off():
    part = grid((30, 110, 90), (1, 1, 1), centre=(20.0, -30.0, 40.0))
    filled = mesh_to_label_map(ellipsoid(), part)
    assert filled.touches_border
    assert np.mean(filled.array != inside_ellipsoid(part)) < 0.005
    elsewhere = grid((30, 30, 30), (1, 1, 1), centre=(500.0, 0, 0))
    assert mesh_to_label_map(ellipsoid(), elsewhere).is_empty


def test_an_empty_mesh_marks_nothing():
    nothing = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    assert mesh_to_label_map(nothing, grid((5, 5, 5), (1, 1, 1))).is_empty


def test_through_a_file_and_back(tmp_path):
    filled = mesh_to_label_map(ellipsoid(), grid(**GRIDS[2]))
    write_label_map(tmp_path / "a.nii.gz", filled)
    back = read_label_map(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(marked_points(back).mean(axis=0), marked_points(filled).mean(axis=0), atol=1e-3)
    assert back.volume == pytest.approx(filled.volume, rel=1e-4)
