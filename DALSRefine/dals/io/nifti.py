"""Completeness of NIfTI files: ITK reads a truncated one and fills the gap with arbitrary memory."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from dals.errors import InputError

SUFFIXES = (".nii", ".nii.gz")
_HEADER_BYTES = 348
_CHUNK = 1 << 22


def check_complete(path: Path, *, voxel_bytes: int) -> None:
    """Raise if a file is shorter than its header and voxels.

    Parameters
    ----------
    path : Path
        A NIfTI file, compressed or not.
    voxel_bytes : int
        Size of the voxels, uncompressed.

    Raises
    ------
    InputError
        If the file ends early.
    """
    try:
        found = _uncompressed_size(path) if path.name.lower().endswith(".gz") else path.stat().st_size
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or damaged: its compressed data end early.") from error
    if found < _HEADER_BYTES + voxel_bytes:
        raise InputError(f"{path} is truncated or damaged: it is too short for its voxels.")


def _uncompressed_size(path: Path) -> int:
    with gzip.open(path, "rb") as file:
        return sum(len(chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))
