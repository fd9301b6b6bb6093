import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from known_shapes import ellipsoid
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOPLY import vtkPLYReader

from dals.errors import InputError, OutputError
from dals.geometry.mesh import TriangleMesh
from dals.io import meshes
from dals.io.meshes import check_mesh_writable, read_mesh, read_polydata, write_mesh

FORMATS = ("stl", "ply", "obj", "vtp")
TETRAHEDRON = TriangleMesh(
    np.array([[0.0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30]]), np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
)


@pytest.mark.parametrize("space", ["LPS", "RAS"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip(tmp_path, suffix, space):
    mesh = ellipsoid(rings=12)
    path = tmp_path / f"organ.{suffix}"
    write_mesh(path, mesh, space=space)
    back = read_mesh(path)
    assert len(back.vertices) == len(mesh.vertices)
    assert back.is_closed
    assert back.euler_characteristic == 2
    assert back.volume == pytest.approx(mesh.volume, rel=1e-5)  # positive: the orientation is kept
    np.testing.assert_allclose(back.vertices.min(axis=0), mesh.vertices.min(axis=0), atol=1e-4)
    np.testing.assert_allclose(back.vertices.max(axis=0), mesh.vertices.max(axis=0), atol=1e-4)


@pytest.mark.parametrize("suffix", ["ply", "obj", "vtp"])
def test_vertex_order_is_kept_where_the_format_can(tmp_path, suffix):
    mesh = ellipsoid(rings=8)
    write_mesh(tmp_path / f"a.{suffix}", mesh)
    back = read_mesh(tmp_path / f"a.{suffix}")
    if suffix == "obj":  # duplicates are merged, which may renumber
        assert len(back.vertices) == len(mesh.vertices)
        return
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-4)
    np.testing.assert_array_equal(back.faces, mesh.faces)


def test_stl_is_binary_lps_with_slicers_header(tmp_path):
    write_mesh(tmp_path / "a.stl", TETRAHEDRON)
    data = (tmp_path / "a.stl").read_bytes()
    assert b"SPACE=LPS" in data[:80]
    assert not data.startswith(b"solid")
    assert struct.unpack("<I", data[80:84]) == (4,)
    corners = np.frombuffer(data[84 : 84 + 50], "<f4", 12).reshape(4, 3)[1:]
    np.testing.assert_allclose(corners, [[0, 0, 0], [0, -20, 0], [-10, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "text"), [("ply", b"comment SPACE=RAS"), ("obj", b"# DALSRefine output. SPACE=RAS")]
)
def test_the_space_stands_in_a_comment(tmp_path, suffix, text):
    write_mesh(tmp_path / f"a.{suffix}", TETRAHEDRON, space="RAS")
    assert text in (tmp_path / f"a.{suffix}").read_bytes()


def _polygon_file(path, comment):
    """A square pyramid with one quadrilateral, as text, in whatever space the comment says."""
    vertices = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0), (1, 1, 3)]
    faces = [(3, 2, 1, 0), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)]
    if path.suffix == ".vtk":
        lines = ["# vtk DataFile Version 3.0", comment or "title", "ASCII", "DATASET POLYDATA", "POINTS 5 float"]
        lines += [" ".join(map(str, v)) for v in vertices]
        lines += [f"POLYGONS 5 {sum(len(f) + 1 for f in faces)}"] + [f"{len(f)} {' '.join(map(str, f))}" for f in faces]
    elif path.suffix == ".obj":
        lines = [f"# {comment}"] + [f"v {x} {y} {z}" for x, y, z in vertices]
        lines += ["f " + " ".join(str(i + 1) for i in f) for f in faces]
    else:
        lines = ["ply", "format ascii 1.0", f"comment {comment}", "element vertex 5"]
        lines += [f"property float {axis}" for axis in "xyz"]
        lines += ["element face 5", "property list uchar int vertex_indices", "end_header"]
        lines += [" ".join(map(str, v)) for v in vertices] + [f"{len(f)} {' '.join(map(str, f))}" for f in faces]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("suffix", [".vtk", ".obj", ".ply"])
@pytest.mark.parametrize(
    ("comment", "space", "flipped"),
    [
        ("3D Slicer output. SPACE=LPS", None, True),
        ("3D Slicer output. SPACE=RAS", None, False),
        ("from elsewhere", None, True),
        ("from elsewhere", "RAS", False),
        ("3D Slicer output. SPACE=LPS", "RAS", True),  # the file knows best
    ],
)
def test_the_file_counts_then_what_the_caller_says_then_lps(tmp_path, suffix, comment, space, flipped):
    path = tmp_path / f"pyramid{suffix}"
    _polygon_file(path, comment)
    mesh = read_mesh(path, space=space)
    assert len(mesh.faces) == 6
    assert mesh.volume == pytest.approx(4.0)
    assert (mesh.vertices[:, 0].min() < -1) == flipped


def test_a_text_stl_is_read_too(tmp_path):
    faces = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join(f"vertex {x} {y} {z}\n" for x, y, z in corner)
        + "endloop\nendfacet\n"
        for corner in TETRAHEDRON.corners
    )
    (tmp_path / "a.stl").write_text(f"solid SPACE=RAS\n{faces}endsolid\n")
    mesh = read_mesh(tmp_path / "a.stl")
    assert len(mesh.vertices) == 4
    assert mesh.volume == pytest.approx(1000.0)
    assert mesh.vertices.min() >= 0


@pytest.mark.parametrize("suffix", ["stl", "ply", "obj", "vtp", "vtk"])
@pytest.mark.parametrize("content", [b"", b"this is no mesh at all\n" * 20, bytes(range(256)) * 8])
def test_what_is_no_mesh_is_refused_in_one_sentence(tmp_path, capfd, suffix, content):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="bad"):
        read_mesh(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [*FORMATS, "vtk"])
def test_a_truncated_file_never_breaks_the_program(tmp_path, suffix):
    """In a process of its own, as a reader written in C could end it."""
    if suffix == "vtk":
        _polygon_file(tmp_path / "whole.vtk", "title")
    else:
        write_mesh(tmp_path / f"whole.{suffix}", ellipsoid(rings=6))
    data = (tmp_path / f"whole.{suffix}").read_bytes()
    for number, fraction in enumerate((0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)):
        (tmp_path / f"cut{number}.{suffix}").write_bytes(data[: int(len(data) * fraction)])
    code = (
        "import sys, pathlib\nfrom dals.io.meshes import read_mesh\nfrom dals.errors import InputError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).glob('cut*')):\n"
        "    try: read_mesh(path)\n    except InputError as error: assert str(path) in str(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False,
                          env=_environment())  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("suffix", FORMATS)
def test_endings_in_capitals(tmp_path, suffix):
    write_mesh(tmp_path / f"A.{suffix.upper()}", TETRAHEDRON)
    assert [path.name for path in tmp_path.iterdir()] == [f"A.{suffix.upper()}"]
    assert len(read_mesh(tmp_path / f"A.{suffix.upper()}").faces) == 4


@pytest.mark.parametrize("suffix", [".ply", ".PLY"])
def test_a_writer_that_does_not_notice_a_full_disk(suffix, tmp_path, monkeypatch):
    def fill(path, mesh, space, values):
        meshes._write_ply(path, mesh, space, values)
        os.truncate(path, path.stat().st_size - 1)

    monkeypatch.setitem(meshes._WRITERS, ".ply", fill)
    with pytest.raises(OutputError, match="full"):
        write_mesh(tmp_path / f"a{suffix}", ellipsoid(rings=12))
    assert not list(tmp_path.iterdir())


def test_missing_unknown_and_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_mesh(tmp_path / "no.stl")
    with pytest.raises(InputError, match=r"\.ply"):
        read_mesh(tmp_path / "no.3ds")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(InputError, match="not a file"):
        read_mesh(tmp_path / "folder.ply")


def test_points_without_faces_are_no_mesh(tmp_path):
    header = (
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (tmp_path / "a.ply").write_text(header + "1 2 3\n4 5 6\n")
    with pytest.raises(InputError, match="no faces"):
        read_mesh(tmp_path / "a.ply")


def test_nan_is_refused(tmp_path):
    data = b"DALSRefine".ljust(80) + struct.pack("<I", 1) + struct.pack("<12fH", *[0.0] * 9, 1.0, float("nan"), 2.0, 0)
    (tmp_path / "a.stl").write_bytes(data)
    with pytest.raises(InputError):
        read_mesh(tmp_path / "a.stl")
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 nan 0\nf 1 2 3\n")
    with pytest.raises(InputError):
        read_mesh(tmp_path / "a.obj")


def test_a_face_that_refers_to_nothing(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    body = "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"
    (tmp_path / "a.ply").write_text(header + body)
    with pytest.raises(InputError):
        read_mesh(tmp_path / "a.ply")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="must end in"):
        write_mesh(tmp_path / "a.xyz", TETRAHEDRON)
    with pytest.raises(OutputError, match="does not exist"):
        check_mesh_writable(tmp_path / "no" / "a.stl")
    with pytest.raises(OutputError, match="empty"):
        write_mesh(tmp_path / "a.stl", TriangleMesh(np.zeros((3, 3)), np.empty((0, 3), dtype=np.int64)))
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_vertices_are_in_vtp_and_ply(tmp_path):
    mesh = ellipsoid()
    values = {"uncertainty_mm": np.linspace(1.0, 5.0, len(mesh.vertices))}
    for suffix in (".vtp", ".ply", ".stl", ".obj"):
        write_mesh(tmp_path / f"a{suffix}", mesh, point_values=values)
        np.testing.assert_allclose(
            np.ptp(read_mesh(tmp_path / f"a{suffix}").vertices, axis=0), np.ptp(mesh.vertices, axis=0), rtol=1e-5
        )
    polydata, space = read_polydata(tmp_path / "a.vtp")
    assert space == "LPS"
    array = polydata.GetPointData().GetArray("uncertainty_mm")
    np.testing.assert_allclose(vtk_to_numpy(array), values["uncertainty_mm"], rtol=1e-6)
    reader = vtkPLYReader()  # another reader than ours takes the file, too
    reader.SetFileName(str(tmp_path / "a.ply"))
    reader.Update()
    assert reader.GetOutput().GetNumberOfPolys() == len(mesh.faces)
    header, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert b"property float uncertainty_mm" in header
    records = np.frombuffer(body, dtype="<f4", count=4 * len(mesh.vertices)).reshape(-1, 4)
    np.testing.assert_allclose(records[:, 3], values["uncertainty_mm"], rtol=1e-6)
