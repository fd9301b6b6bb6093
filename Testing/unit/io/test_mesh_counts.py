"""Meshes that promise more than they hold."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from dals.errors import InputError
from dals.geometry.mesh import TriangleMesh
from dals.io.meshes import read_mesh, write_mesh
from dals.io.points import read_points
from dals.model.template import icosphere


@pytest.fixture
def sphere() -> TriangleMesh:
    return icosphere(2)


def _promising(path: Path, count: int) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[:80] + struct.pack("<I", count) + content[84:])
    return path


@pytest.mark.parametrize("count", [321, 4_000_000_000])
def test_an_stl_that_promises_more_triangles(count: int, sphere: TriangleMesh, tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.stl", sphere)
    path = _promising(tmp_path / "a.stl", count)
    for read in (read_mesh, read_points):
        with pytest.raises(InputError, match=f"too short for {count:,} triangles"):
            read(path)


def test_an_stl_whose_count_was_not_filled_in(sphere: TriangleMesh, tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.stl", sphere)
    assert len(read_mesh(_promising(tmp_path / "a.stl", 0)).faces) == len(sphere.faces)


def test_a_binary_stl_whose_header_starts_like_text(sphere: TriangleMesh, tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.stl", sphere)
    content = (tmp_path / "a.stl").read_bytes()
    (tmp_path / "a.stl").write_bytes(b"solid " + content[6:])
    with pytest.raises(InputError, match="too short"):
        read_mesh(_promising(tmp_path / "a.stl", 4_000_000_000))


def test_an_stl_in_text(tmp_path: Path) -> None:
    corners = "\n".join(f"vertex {k} {k % 2} 0" for k in range(3))
    text = f"solid organ\nfacet normal 0 0 1\nouter loop\n{corners}\nendloop\nendfacet\nendsolid organ\n"
    (tmp_path / "a.stl").write_text(text)
    assert len(read_mesh(tmp_path / "a.stl").faces) == 1


LEGACY = "# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\n"
POINTS = f"{LEGACY}POINTS 4000000000 float\n0 0 0\n"
POLYGONS = f"{LEGACY}POINTS 3 float\n0 0 0 1 0 0 0 1 0\nPOLYGONS 1000000000 4000000000\n3 0 1 2\n"
XML = """<?xml version="1.0"?>
<VTKFile type="PolyData"><PolyData><Piece NumberOfPoints="4000000000">
<Points><DataArray type="Float32" NumberOfComponents="3" format="ascii">0 0 0</DataArray></Points>
</Piece></PolyData></VTKFile>"""


@pytest.mark.parametrize(
    ("name", "content"), [("a.vtk", POINTS), ("a.vtk", POLYGONS), ("a.vtp", XML), ("a.stl", "no mesh")]
)
def test_other_promises(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="too short"):
        read_points(tmp_path / name)
