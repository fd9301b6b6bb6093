"""PLY files of other programs, and files that end early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dals.errors import InputError
from dals.io.ply import read_ply

TEXT = b"""ply
format ascii 1.0
comment SPACE=RAS
element vertex 4
property float x
property float y
property float z
element face 2
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
0 1 0
0 0 1
3 0 1 2
4 0 1 2 3
"""
CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def binary(order: str) -> bytes:
    name = {"<": b"binary_little_endian", ">": b"binary_big_endian"}[order]
    header = TEXT[: TEXT.index(b"0 0 0")].replace(b"ascii", name)
    vertices = np.array(CORNERS, dtype=f"{order}f4").tobytes()
    faces = [bytes([len(face)]) + np.array(face, dtype=f"{order}i4").tobytes() for face in ([0, 1, 2], [0, 1, 2, 3])]
    return header + vertices + b"".join(faces)


@pytest.mark.parametrize("content", [TEXT, binary("<"), binary(">")], ids=["text", "little", "big"])
def test_polygons_of_different_sizes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mixed.ply"
    path.write_bytes(content)
    found = read_ply(path)
    assert found.vertices.tolist() == CORNERS
    assert found.sizes.tolist() == [3, 4]
    assert found.connectivity.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert "SPACE=RAS" in found.comments


@pytest.mark.parametrize("content", [TEXT.rstrip(), binary("<"), binary(">")], ids=["text", "little", "big"])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.ply"
    for length in range(len(content) - 1, 0, -1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged, truncated"):
            read_ply(path)
