"""Writing PLY files with numbers for each vertex, which VTK's writer leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dals.geometry.mesh import FloatArray, TriangleMesh


def write_ply(
    path: Path, mesh: TriangleMesh, *, comments: Sequence[str] = (), values: Mapping[str, FloatArray] | None = None
) -> None:
    """Write a binary PLY file.

    Parameters
    ----------
    path : Path
    mesh : TriangleMesh
        In the file's coordinates.
    comments : sequence of str
        One line each.
    values : mapping of str to (V,), optional
        Further properties of the vertices, as float.
    """
    extra = dict(values or {})
    vertices = np.zeros(len(mesh.vertices), dtype=[(name, "<f4") for name in ("x", "y", "z", *extra)])
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    for name, numbers in extra.items():
        vertices[name] = numbers
    faces = np.zeros(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, mesh.faces
    lines = [
        *("ply", "format binary_little_endian 1.0"),
        *(f"comment {text}" for text in comments),
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", *extra)),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with path.open("wb") as file:
        file.write(("\n".join(lines) + "\n").encode("ascii"))
        file.write(vertices.tobytes())
        file.write(faces.tobytes())
