import json

import numpy as np
import pytest
from known_shapes import ellipsoid

from dals.errors import InputError
from dals.io.meshes import write_mesh
from dals.io.points import read_points

POINTS = np.array([[1.0, 2.0, 3.0], [-4.5, 5.0, 6.25], [7.0, -8.0, 9.0]])
LPS = POINTS * [-1, -1, 1]


def _write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("suffix", ["ply", "stl", "obj", "vtp"])
def test_the_vertices_of_a_mesh(tmp_path, suffix):
    mesh = ellipsoid(rings=6)
    write_mesh(tmp_path / f"a.{suffix}", mesh)
    points = read_points(tmp_path / f"a.{suffix}")
    assert points.shape == mesh.vertices.shape
    np.testing.assert_allclose(np.sort(points[:, 2]), np.sort(mesh.vertices[:, 2]), atol=1e-4)
    np.testing.assert_allclose(points.mean(axis=0), mesh.vertices.mean(axis=0), atol=1e-3)


@pytest.mark.parametrize("faces", ["", "element face 0\nproperty list uchar int vertex_indices\n"])
@pytest.mark.parametrize("comment", ["", "comment SPACE=RAS\n"])
def test_a_ply_without_faces(tmp_path, faces, comment):
    header = f"ply\nformat ascii 1.0\n{comment}element vertex 3\n"
    header += "property float x\nproperty float y\nproperty float z\n"
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in (POINTS if comment else LPS))
    path = _write(tmp_path, "a.ply", header + faces + "end_header\n" + rows)
    np.testing.assert_allclose(read_points(path), POINTS)


def test_a_slicer_point_list(tmp_path):
    control = [{"position": p.tolist()} for p in LPS]
    control.append({"position": [0, 0, 0], "positionStatus": "undefined"})
    markups = [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": control}]
    path = _write(tmp_path, "F.mrk.json", json.dumps({"markups": markups}))
    np.testing.assert_allclose(read_points(path, space="RAS"), POINTS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", "-1 -2 3\n4.5 -5 6.25\n\n-7 8 9\n"),
        ("a.xyz", "3\n-1 -2 3\n4.5 -5 6.25\n-7 8 9\n"),
        ("a.txt", "# points\n-1\t-2\t3\t0 0 1\n4.5,-5,6.25\n-7 8 9 # the last\n"),
        ("a.csv", "x,y,z\n-1,-2,3\n4.5,-5,6.25\n-7,8,9\n"),
        ("a.csv", "label;x;y;z\nA;-1;-2;3\nB;4.5;-5;6.25\nC;-7;8;9\n"),
        ("a.csv", "label,r,a,s,defined\nA,1,2,3,1\nB,-4.5,5,6.25,1\nC,7,-8,9,1\n"),
        ("a.csv", "\ufefflabel,l,p,s\nA,-1,-2,3\nB,4.5,-5,6.25\nC,-7,8,9\n"),
        ("a.xyz", "# SPACE=RAS\n1 2 3\n-4.5 5 6.25\n7 -8 9\n"),
    ],
)
def test_text(tmp_path, name, text):
    np.testing.assert_allclose(read_points(_write(tmp_path, name, text)), POINTS)


def test_the_caller_may_say_ras(tmp_path):
    path = _write(tmp_path, "a.xyz", "1 2 3\n-4.5 5 6.25\n7 -8 9\n")
    np.testing.assert_allclose(read_points(path, space="RAS"), POINTS)


def test_an_array(tmp_path):
    np.save(tmp_path / "a.npy", LPS.astype(np.float32))
    np.testing.assert_allclose(read_points(tmp_path / "a.npy"), POINTS, rtol=1e-6)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 2)), np.zeros(3), np.array([{"a": 1}], dtype=object), np.array(["a"]), np.empty((0, 3))]
)
def test_arrays_that_hold_no_points(tmp_path, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError):
        read_points(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.xyz", "", "no points"),
        ("a.xyz", "1 2\n", "Line 1"),
        ("a.csv", "x,y,z\n1,2,3\n1,two,3\n", "Line 3"),
        ("a.xyz", "1 2 nan\n", "finite"),
        ("a.txt", "1 2 inf\n", "finite"),
        ("a.npy", "not an array", "array"),
        ("a.ply", "nonsense", "cannot be read"),
        ("a.json", "{}", "not a Slicer markups file"),
        ("a.json", '{"markups": []}', "no points"),
        ("a.pdf", "", "no file of points"),
    ],
)
def test_bad_files(tmp_path, name, text, match):
    with pytest.raises(InputError, match=match):
        read_points(_write(tmp_path, name, text))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="text"):
        read_points(tmp_path / "a.csv")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_points(tmp_path / "no.csv")
