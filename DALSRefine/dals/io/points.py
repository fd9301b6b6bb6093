"""Reading points from meshes, Slicer point lists, text files and arrays."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.vtk_bridge import points_of
from dals.io.coordinates import DEFAULT_SPACE, Space, space_named_in, to_ras
from dals.io.markups import read_control_points
from dals.io.meshes import READABLE_SUFFIXES as MESH_SUFFIXES
from dals.io.meshes import read_polydata
from dals.io.regular_files import LARGEST_MESH, LARGEST_TEXT, check_regular

TEXT_SUFFIXES = (".csv", ".xyz", ".txt")
READABLE_SUFFIXES = (*MESH_SUFFIXES, ".json", *TEXT_SUFFIXES, ".npy")

_SEPARATOR = re.compile(r"[\s,;]+")
_COLUMNS: dict[tuple[str, str, str], Space | None] = {
    ("x", "y", "z"): None,
    ("l", "p", "s"): "LPS",
    ("r", "a", "s"): "RAS",
}


def read_points(path: str | os.PathLike[str], *, space: Space | None = None) -> FloatArray:
    """Read points on an organ's surface.

    Parameters
    ----------
    path : path-like
        Millimetres, in one of these forms: the vertices of a mesh, with or without faces; a Slicer markups
        file (.mrk.json); an array (N, 3) (.npy); text with three numbers a line (.csv, .xyz, .txt). Text may
        have a header that names the columns x,y,z or l,p,s or r,a,s; further columns are ignored.
    space : "LPS", "RAS" or None
        The coordinate system of a file that names none; None means LPS.

    Returns
    -------
    (N, 3) float64
        RAS millimetres, N >= 1.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty or of an unknown kind, or holds values that are not finite.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READABLE_SUFFIXES:
        raise InputError(f"{path} is no file of points that can be read; these are: {', '.join(READABLE_SUFFIXES)}.")
    check_regular(path, limit=LARGEST_TEXT if suffix in TEXT_SUFFIXES else LARGEST_MESH)
    named: Space | None
    if suffix == ".json":
        points, named = read_control_points(path), "RAS"
    elif suffix in MESH_SUFFIXES:
        polydata, named = read_polydata(path)
        points = points_of(polydata)
    elif suffix == ".npy":
        points, named = _read_array(path), None
    else:
        points, named = _read_text(path)
    if len(points) == 0:
        raise InputError(f"{path} holds no points.")
    if not np.isfinite(points).all():
        raise InputError(f"{path} holds coordinates that are not finite numbers.")
    return to_ras(points, named or space or DEFAULT_SPACE)


def _read_array(path: Path) -> FloatArray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, SyntaxError, TypeError) as error:
        raise InputError(f"{path} cannot be read as an array of numbers.") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise InputError(f"{path} does not hold an array of shape (N, 3) of numbers.")
    return array.astype(np.float64)


def _read_text(path: Path) -> tuple[FloatArray, Space | None]:
    """Points in the file's coordinates, and the coordinate system that it names."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text.") from error
    named: Space | None = None
    columns = (0, 1, 2)
    rows: list[list[float]] = []
    header_allowed = True
    for number, line in enumerate(text.splitlines(), start=1):
        content, _, comment = line.partition("#")
        named = named or space_named_in(comment)
        cells = _cells(content)
        if not cells:
            continue
        if header_allowed:
            header_allowed = False
            found = _columns_of(cells)
            if found is not None:
                columns, named = found[0], named or found[1]
                continue
            if len(cells) == 1 and cells[0].isdigit():  # .xyz files may start with the number of points
                continue
        try:
            rows.append([float(cells[column]) for column in columns])
        except (ValueError, IndexError) as error:
            raise InputError(f"Line {number} of {path} does not hold three numbers.") from error
    return np.array(rows, dtype=np.float64).reshape(-1, 3), named


def _cells(line: str) -> list[str]:
    line = line.strip()
    for separator in (";", ","):
        if separator in line:
            return [cell.strip().strip('"') for cell in line.split(separator)]
    return _SEPARATOR.split(line) if line else []


def _columns_of(cells: list[str]) -> tuple[tuple[int, int, int], Space | None] | None:
    """The columns that hold the coordinates, if this line is a header."""
    lowered = [cell.lower() for cell in cells]
    for names, space in _COLUMNS.items():
        if all(name in lowered for name in names):
            x, y, z = (lowered.index(name) for name in names)
            return (x, y, z), space
    return None
