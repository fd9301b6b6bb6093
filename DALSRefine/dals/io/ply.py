"""Reading PLY files with NumPy.

VTK's reader crashes the process on a truncated file. trimesh 5.2 accepts truncated text files, refuses binary files
that mix polygons, drops the comments that name the coordinate system and takes 0.3 s to import. meshio 5.3 never
returns from some truncated headers. plyfile is under the GPL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.geometry.mesh import FloatArray, IntArray

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_FACE_LISTS = ("vertex_indices", "vertex_index")
_MAXIMUM_HEADER_LINES = 10_000


class PlyContent(NamedTuple):
    """Content of a PLY file."""

    vertices: FloatArray
    """(V, 3), in the file's coordinates."""
    connectivity: IntArray
    """Vertex indices of all polygons in sequence."""
    sizes: IntArray
    """Number of corners of each polygon, (F,)."""
    comments: str


class _Property(NamedTuple):
    name: str
    kind: str
    count_kind: str | None
    """Type of a list's length; None for a single value."""


class _Element(NamedTuple):
    name: str
    length: int
    properties: list[_Property]


def read_ply(path: Path) -> PlyContent:
    """Read vertices and polygons of a text or binary PLY file, which may have no faces.

    Raises
    ------
    InputError
        If the file is damaged, truncated or no PLY file.
    """
    try:
        with path.open("rb") as file:
            form, elements, comments = _read_header(file)
            columns = _read_text(file, elements) if form == "ascii" else _read_binary(file, elements, _ORDERS[form])
        vertex = columns["vertex"]
        vertices = np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"], axis=1)
        lists = [columns.get("face", {}).get(name) for name in _FACE_LISTS]
        faces: Any = next((found for found in lists if found is not None), [])
        sizes = np.array([len(face) for face in faces], dtype=np.int64)
        connectivity = np.concatenate([np.ravel(faces)] if isinstance(faces, np.ndarray) else faces or [[]])
    except OSError as error:
        raise InputError(f"{path} cannot be read ({(error.strerror or 'unknown reason').lower()}).") from error
    except (ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path} cannot be read as a .ply mesh: it is damaged, truncated or of another kind."
        ) from error
    return PlyContent(vertices, connectivity.astype(np.int64), sizes, comments)


def _read_header(file: BinaryIO) -> tuple[str, list[_Element], str]:
    if file.readline(16).strip() != b"ply":
        raise ValueError("no PLY file")
    form = ""
    comments: list[str] = []
    elements: list[_Element] = []
    for _ in range(_MAXIMUM_HEADER_LINES):
        line = file.readline(65_536).decode("latin-1").strip()
        words = line.split()
        match words:
            case ["end_header"]:
                if form not in _ORDERS:
                    raise ValueError("unknown format")
                return form, elements, "\n".join(comments)
            case ["format", name, _]:
                form = name
            case ["comment" | "obj_info", *_]:
                comments.append(line)
            case ["element", name, count]:
                if int(count) < 0:
                    raise ValueError("negative count")
                elements.append(_Element(name, int(count), []))
            case ["property", "list", count_kind, kind, name]:
                elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[count_kind]))
            case ["property", kind, name]:
                elements[-1].properties.append(_Property(name, _TYPES[kind], None))
            case _:
                raise ValueError("unknown line")
    raise ValueError("no end of the header")


def _read_text(file: BinaryIO, elements: list[_Element]) -> dict[str, dict[str, Any]]:
    rows = (line.split() for line in file if line.strip())
    result: dict[str, dict[str, Any]] = {}
    for element in elements:
        columns: dict[str, list[Any]] = {prop.name: [] for prop in element.properties}
        for _ in range(element.length):
            words = next(rows, None)
            if words is None:
                raise ValueError("truncated")
            position = 0
            for prop in element.properties:
                length = 1
                if prop.count_kind is not None:
                    length = int(words[position])
                    position += 1
                values = [float(word) for word in words[position : position + length]]
                if len(values) != length:
                    raise ValueError("truncated")
                position += length
                columns[prop.name].append(values[0] if prop.count_kind is None else values)
        result[element.name] = dict(columns)
    return result


def _read_binary(file: BinaryIO, elements: list[_Element], order: str) -> dict[str, dict[str, Any]]:
    data = file.read()
    offset = 0
    result: dict[str, dict[str, Any]] = {}
    for element in elements:
        columns, offset = _read_records(data, offset, element, order)
        result[element.name] = columns
    return result


def _read_records(data: bytes, offset: int, element: _Element, order: str) -> tuple[dict[str, Any], int]:
    """The columns of an element, and the offset of the next one."""
    if element.length == 0 or not element.properties:
        return {prop.name: np.empty(0) for prop in element.properties}, offset
    table = _equal_records(data, offset, element, order)
    if table is not None:
        return {prop.name: table[prop.name] for prop in element.properties}, offset + table.nbytes
    columns: dict[str, list[Any]] = {prop.name: [] for prop in element.properties}
    for _ in range(element.length):
        for prop in element.properties:
            length = 1
            if prop.count_kind is not None:
                length = int(np.frombuffer(data, order + prop.count_kind, 1, offset)[0])
                offset += np.dtype(prop.count_kind).itemsize
            values = np.frombuffer(data, order + prop.kind, length, offset) if length > 0 else np.empty(0)
            offset += values.nbytes
            columns[prop.name].append(values[0] if prop.count_kind is None else values)
    return dict(columns), offset


def _equal_records(data: bytes, offset: int, element: _Element, order: str) -> NDArray[Any] | None:
    """All records at once, if all lists have the length of the first, as in a mesh of triangles."""
    fields: list[tuple[Any, ...]] = []
    lengths: dict[str, int] = {}
    place = offset
    for prop in element.properties:
        if prop.count_kind is None:
            fields.append((prop.name, order + prop.kind))
            place += np.dtype(prop.kind).itemsize
            continue
        length = int(np.frombuffer(data, order + prop.count_kind, 1, place)[0])
        if not 0 <= length <= 1_000:
            return None
        lengths[f"length of {prop.name}"] = length
        fields += [(f"length of {prop.name}", order + prop.count_kind), (prop.name, order + prop.kind, (length,))]
        place += np.dtype(prop.count_kind).itemsize + length * np.dtype(prop.kind).itemsize
    kind = np.dtype(fields)
    if kind.itemsize * element.length > len(data) - offset:
        if not lengths:
            raise ValueError("truncated")
        return None
    table = np.frombuffer(data, kind, element.length, offset)
    return table if all(np.all(table[name] == length) for name, length in lengths.items()) else None
