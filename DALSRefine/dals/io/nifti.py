"""What ITK overlooks in NIfTI files: voxel sizes that are none, missing voxels, and voxels that are no numbers.

ITK reads a voxel size of zero as 1 mm and not-a-number as zero, and fills the gap of a truncated file with arbitrary
memory.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from dals.errors import InputError

SUFFIXES = (".nii", ".nii.gz")
_HEADER_BYTES, _HEADER_BYTES_2 = 348, 540
"""Of NIfTI-1 and NIfTI-2."""
_LARGEST_NUMBER = 1e6
"""In a patient's position and voxel sizes, millimetres."""
_CHUNK = 1 << 22
_FLOATS = {16: "f4", 64: "f8"}
"""Codes of the types of voxels that may be no numbers."""


class NiftiHeader(NamedTuple):
    """What of a NIfTI header has to be checked."""

    order: str
    """Of bytes: "<" or ">"."""
    kind: int
    """Code of the voxels' type."""
    offset: int
    """Of the first voxel, in bytes."""
    voxel_size: tuple[float, float, float]
    affine: tuple[float, ...]
    """The numbers of the qform and the sform that are in force, in millimetres, in no particular order."""


@contextmanager
def proper_name(path: Path) -> Iterator[Path]:
    """A name under which the NIfTI library reads a file: the ending says whether it is compressed."""
    suffix = SUFFIXES[_is_compressed(path)]
    if path.name.endswith((suffix, suffix.upper())):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dals-") as folder:
        name = Path(folder) / f"image{suffix}"
        try:
            name.symlink_to(path.resolve())
        except OSError:  # links need rights on Windows
            shutil.copyfile(path, name)
        yield name


def read_header(path: Path) -> NiftiHeader | None:
    """The header of a NIfTI-1 file; None for NIfTI-2.

    Raises
    ------
    InputError
        If the file is damaged or no NIfTI file.
    """
    with _opened(path) as file:
        header = file.read(_HEADER_BYTES)
    sizes = {struct.unpack_from(order + "i", header)[0]: order for order in "<>"} if len(header) >= 4 else {}
    if _HEADER_BYTES_2 in sizes:
        return None
    if _HEADER_BYTES not in sizes or len(header) < _HEADER_BYTES:
        raise InputError(f"{path} cannot be read as an image: it is damaged, truncated or of another kind.")
    order = sizes[_HEADER_BYTES]
    kind, offset = struct.unpack_from(order + "h", header, 70)[0], struct.unpack_from(order + "f", header, 108)[0]
    qform, sform = struct.unpack_from(order + "2h", header, 252)
    affine = struct.unpack_from(order + "6f", header, 256) if qform > 0 else ()
    affine += struct.unpack_from(order + "12f", header, 280) if sform > 0 else ()
    voxel_size = struct.unpack_from(order + "3f", header, 80)
    start = int(offset) if np.isfinite(offset) and 0 <= offset < 2**31 else 0
    return NiftiHeader(order, kind, max(start, _HEADER_BYTES), voxel_size, affine)


def check_header(path: Path, header: NiftiHeader) -> None:
    """Raise if the header states no position in space.

    Raises
    ------
    InputError
        For voxel sizes that are not positive, or numbers that are not finite.
    """
    if not all(np.isfinite(size) and size > 0 for size in header.voxel_size):
        stated = " x ".join(f"{size:g}" for size in header.voxel_size)
        raise InputError(f"{path} states a voxel size of {stated} mm; every side must be more than zero.")
    if not all(abs(number) <= _LARGEST_NUMBER for number in header.affine):  # nor is not-a-number
        raise InputError(f"{path} states a position or a voxel size that no patient's image has.")


def check_voxels(path: Path, header: NiftiHeader | None, *, voxel_bytes: int) -> None:
    """Raise if voxels are missing or no numbers.

    Parameters
    ----------
    path : Path
        A NIfTI file, compressed or not.
    header : NiftiHeader or None
        None checks the length only.
    voxel_bytes : int
        Size of the voxels, uncompressed.

    Raises
    ------
    InputError
        If the file ends early, or floating-point voxels are not finite.
    """
    start = _HEADER_BYTES if header is None else header.offset
    number = None if header is None or header.kind not in _FLOATS else np.dtype(header.order + _FLOATS[header.kind])
    if number is None and not _is_compressed(path):  # its length says it all
        if path.stat().st_size < start + voxel_bytes:
            raise InputError(f"{path} is truncated or damaged: it is too short for its voxels.")
        return
    with _opened(path) as file:
        missing = start - len(file.read(start))
        left = voxel_bytes
        while left > 0 and not missing:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                break
            left -= len(chunk)
            if number is not None and not _are_finite(chunk, number):
                raise InputError(f"{path} holds values that are not finite numbers.")
        while file.read(_CHUNK):  # to the end, where the checksum of compressed data is
            pass
    if left > 0:
        raise InputError(f"{path} is truncated or damaged: it is too short for its voxels.")


def _are_finite(chunk: bytes, number: np.dtype[Any]) -> bool:
    return bool(np.isfinite(np.frombuffer(chunk, number, len(chunk) // number.itemsize)).all())


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The uncompressed content; whatever goes wrong is an `InputError`."""
    try:
        with cast("BinaryIO", gzip.open(path, "rb")) if _is_compressed(path) else path.open("rb") as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or damaged: its compressed data end early.") from error
