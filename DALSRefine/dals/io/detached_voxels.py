"""Image headers whose voxels are in another file."""

from __future__ import annotations

import re
from pathlib import Path

from dals.errors import InputError
from dals.io.regular_files import LARGEST_IMAGE, check_regular

_CHUNK = 1 << 16
_LARGEST_HEADER = 1 << 23
"""Bytes; the segments of a .seg.nrrd may be described at length."""
_NRRD_FIELD = re.compile(rb"^data ?file:(?!=)[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_NRRD_END = re.compile(rb"\r?\n\r?\n")
_META_FIELD = re.compile(rb"^ElementDataFile[ \t]*=[ \t]*(.*)$", re.MULTILINE)
_SEVERAL = re.compile(r"LIST\b|.*%[0-9]*[du]")


def voxel_file(path: Path) -> Path | None:
    """The file that holds the voxels of an image, if it is not the image itself.

    Parameters
    ----------
    path : Path
        A regular file ending in .nrrd, .mha or .mhd; others have no such file.

    Raises
    ------
    InputError
        If the voxels are in several files, outside the header's folder, or in no regular file.
    """
    named = _named_file(path)
    if named is None:
        return None
    if _SEVERAL.match(named):
        raise InputError(f"The voxels of {path} are in several files; please save the image as one file.")
    try:
        target = (path.parent / named).resolve()
        inside = target.is_relative_to(path.parent.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is damaged: it names {named[:80]!r} as the file of its voxels.") from error
    if not inside:
        raise InputError(
            f"The voxels of {path} are in {named}, outside its folder, where nothing is read; please put both into one "
            "folder, or save the image as one file."
        )
    check_regular(target, limit=LARGEST_IMAGE)
    return target


def _named_file(path: Path) -> str | None:
    name = path.name.lower()
    if not name.endswith((".nrrd", ".mha", ".mhd")):
        return None
    is_nrrd = name.endswith(".nrrd")
    header = _header(path, _NRRD_END if is_nrrd else _META_FIELD)
    found = (_NRRD_FIELD if is_nrrd else _META_FIELD).search(header)
    text = found[1].decode("utf-8", "replace").strip() if found else ""
    return None if text in ("", "LOCAL") else text


def _header(path: Path, end: re.Pattern[bytes]) -> bytes:
    """The header of a file: what precedes a blank line (NRRD) or ends with the field that comes last (MetaImage)."""
    content = b""
    try:
        with path.open("rb") as file:
            while len(content) < _LARGEST_HEADER:
                chunk = file.read(_CHUNK)
                content += chunk
                if len(chunk) < _CHUNK or end.search(content, max(0, len(content) - len(chunk) - 200)):
                    break
    except OSError as error:
        raise InputError(f"{path} cannot be read ({(error.strerror or 'unknown reason').lower()}).") from error
    found = end.search(content)
    return content if found is None else content[: found.end()]
