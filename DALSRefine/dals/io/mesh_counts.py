"""Mesh files that promise more points or faces than they can hold; VTK takes the memory first and looks afterwards."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from dals.errors import InputError

_STL_START, _STL_TRIANGLE = 84, 50
"""Bytes of a binary STL: header with count, and each triangle."""
_HEAD = 1 << 16
_LEAST_NUMBER = 2
"""Bytes of a number in text, with what separates it from the next one."""
_LARGEST_COMPRESSION = 1_100
"""Of the numbers in a .vtp; deflate cannot do better."""
_LEGACY = re.compile(rb"^\s*POINTS\s+([0-9]+)", re.IGNORECASE | re.MULTILINE)
_LEGACY_CELLS = re.compile(rb"^\s*(?:POLYGONS|TRIANGLE_STRIPS|LINES|VERTICES)\s+[0-9]+\s+([0-9]+)", re.I | re.M)
_XML = re.compile(rb"NumberOf(?:Points|Verts|Lines|Strips|Polys)\s*=\s*[\"']\s*([0-9]+)")
_LARGEST_COUNT = 200_000_000


def check_counts(path: Path) -> None:
    """Raise if a file is too short for the points or faces that it promises.

    Parameters
    ----------
    path : Path
        A regular file ending in .stl, .vtk or .vtp; others are not looked at.

    Raises
    ------
    InputError
    """
    check = {".stl": _check_stl, ".vtk": _check_legacy, ".vtp": _check_xml}.get(path.suffix.lower())
    if check is None:
        return
    try:
        with path.open("rb") as file:
            check(path, file.read(_HEAD), path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({(error.strerror or 'unknown reason').lower()}).") from error


def _check_stl(path: Path, head: bytes, size: int) -> None:
    if head[:_HEAD].lstrip()[:5].lower() == b"solid" and b"\0" not in head[_STL_START:]:  # text
        return
    if size < _STL_START:
        raise _too_short(path, "for the header of an STL file")
    promised = int(struct.unpack_from("<I", head, 80)[0])
    if promised > (size - _STL_START) // _STL_TRIANGLE:
        raise _too_short(path, f"for {promised:,} triangles")


def _check_legacy(path: Path, head: bytes, size: int) -> None:
    coordinates = [3 * int(found) for found in _LEGACY.findall(head)]
    promised = max([*coordinates, *map(int, _LEGACY_CELLS.findall(head))], default=0)
    if promised * _LEAST_NUMBER > size + _LEAST_NUMBER:
        raise _too_short(path, f"for {promised:,} numbers")


def _check_xml(path: Path, head: bytes, size: int) -> None:
    promised = max((int(found) for found in _XML.findall(head)), default=0)
    if promised > min(_LARGEST_COUNT, _LARGEST_COMPRESSION * size):
        raise _too_short(path, f"for {promised:,} points or faces")


def _too_short(path: Path, what: str) -> InputError:
    return InputError(f"{path} is truncated or damaged: it is too short {what}.")
