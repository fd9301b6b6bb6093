"""Opening medical image files: checks that the header allows, and the geometry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.io import nifti
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.regular_files import LARGEST_IMAGE, check_regular

READABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".mhd")
MAXIMUM_VOXELS = 2_000_000_000
_MAXIMUM_COMPRESSION = 1_100
"""Deflate cannot compress further: a file that promises more voxels per byte is truncated or damaged."""


def open_image(path: Path, *, kind: str = "label map", advice: str = "") -> Any:
    """A reader that has read the header; `read_image` reads the voxels.

    Parameters
    ----------
    path : Path
    kind : str
        What the file should be, for messages.
    advice : str
        What to do about an image that is not three-dimensional, for messages.

    Returns
    -------
    SimpleITK.ImageFileReader

    Raises
    ------
    InputError
        If the file is missing, of another kind, damaged or not three-dimensional.
    """
    if not path.name.lower().endswith(READABLE_SUFFIXES):
        raise InputError(f"{path} is no {kind} that can be read; these are: {', '.join(READABLE_SUFFIXES)}.")
    check_regular(path, limit=LARGEST_IMAGE)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _as_input_error(path):
        reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) < 3 or any(extent != 1 for extent in size[3:]) or min(size) < 1:
        raise InputError(f"{path} is not a three-dimensional image (its size is {' x '.join(map(str, size))}){advice}.")
    voxels = int(np.prod([int(extent) for extent in size], dtype=object))
    if voxels > MAXIMUM_VOXELS:
        raise InputError(f"{path} has {voxels:,} voxels, more than can be read.")
    detached = path.suffix.lower() == ".mhd" or _is_detached_nrrd(path)
    if not detached and voxels > _MAXIMUM_COMPRESSION * path.stat().st_size:
        raise InputError(f"{path} is truncated or damaged: it is too short for {voxels:,} voxels.")
    if path.name.lower().endswith(nifti.SUFFIXES):
        component = sitk.Image(1, 1, 1, reader.GetPixelID()).GetSizeOfPixelComponent()
        nifti.check_complete(path, voxel_bytes=voxels * component * reader.GetNumberOfComponents())
    return reader


def read_image(reader: Any) -> Any:
    """The SimpleITK image of a reader from `open_image`.

    Raises
    ------
    InputError
        If the voxels cannot be read.
    """
    with _as_input_error(Path(reader.GetFileName())):
        return reader.Execute()


def ijk_to_ras(image: Any) -> FloatArray:
    """From voxel indices to RAS millimetres, (4, 4), of a SimpleITK image or of a reader from `open_image`."""
    dimension = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (dimension, dimension))[:3, :3]
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.asarray(image.GetSpacing()[:3])
    matrix[:3, 3] = image.GetOrigin()[:3]
    return swap_lps_ras_matrix(matrix)


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings off the terminal."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _is_detached_nrrd(path: Path) -> bool:
    if path.suffix.lower() != ".nrrd":
        return False
    with path.open("rb") as file:
        header = file.read(65_536).partition(b"\n\n")[0].lower()
    return b"data file:" in header or b"datafile:" in header


@contextmanager
def _as_input_error(path: Path) -> Iterator[None]:
    try:
        with quiet_itk():
            yield
    except (RuntimeError, MemoryError, UnicodeError) as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"{path} has axes that are not at right angles, which this format's reader refuses."
            ) from error
        raise InputError(f"{path} cannot be read as an image: it is damaged, truncated or of another kind.") from error
