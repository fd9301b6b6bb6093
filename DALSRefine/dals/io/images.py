"""Opening medical image files: checks that the header allows, and the geometry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.io import nifti
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.detached_voxels import voxel_file
from dals.io.regular_files import LARGEST_IMAGE, check_regular, gib
from dals.io.silence import quiet_itk

_READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".seg.nrrd": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
"""ITK's readers by suffix. Left to choose, it tries those of pictures, too."""
READABLE_SUFFIXES = tuple(_READERS)
MAXIMUM_VOXELS = 2_000_000_000
_MAXIMUM_COMPRESSION = 1_100
"""Deflate cannot compress further: a file that promises more voxels per byte is truncated or damaged."""
_VOXEL_SIZES_MM = (1e-4, 1e3)
_FARTHEST_MM = 1e6
"""From the origin of the coordinate system."""


@dataclass(frozen=True)
class OpenedImage:
    """An image whose header has been read.

    Attributes
    ----------
    path : Path
    reader : SimpleITK.ImageFileReader
    """

    path: Path
    reader: Any

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along K, J and I."""
        i, j, k = self.reader.GetSize()[:3]
        return k, j, i

    @property
    def components(self) -> int:
        """Values of each voxel."""
        return int(self.reader.GetNumberOfComponents())


def open_image(path: Path, *, kind: str = "label map", advice: str = "") -> OpenedImage:
    """Read the header of an image; `read_image` reads the voxels.

    Parameters
    ----------
    path : Path
    kind : str
        What the file should be, for messages.
    advice : str
        What to do about an image that is not three-dimensional, for messages.

    Raises
    ------
    InputError
        If the file is missing, no regular file, of another kind, too large, damaged or not three-dimensional, if its
        geometry is no patient's, or if its voxels are in a file outside its folder.
    """
    if not path.name.lower().endswith(READABLE_SUFFIXES):
        raise InputError(f"{path} is no {kind} that can be read; these are: {', '.join(READABLE_SUFFIXES)}.")
    check_regular(path, limit=LARGEST_IMAGE)
    voxels_at = voxel_file(path) or path
    header = nifti.read_header(path) if _is_nifti(path) else None
    if header is not None:
        nifti.check_header(path, header)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[max((s for s in _READERS if path.name.lower().endswith(s)), key=len)])
    with _readable(path) as name:
        reader.SetFileName(str(name))
        reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) < 3 or any(extent != 1 for extent in size[3:]) or min(size) < 1:
        raise InputError(f"{path} is not a three-dimensional image (its size is {' x '.join(map(str, size))}){advice}.")
    voxels = int(np.prod([int(extent) for extent in size], dtype=object))
    component = sitk.Image(1, 1, 1, reader.GetPixelID()).GetSizeOfPixelComponent()
    voxel_bytes = voxels * component * reader.GetNumberOfComponents()
    if voxels > MAXIMUM_VOXELS or voxel_bytes > LARGEST_IMAGE:
        raise InputError(
            f"{path} has {voxels:,} voxels, {gib(voxel_bytes)}; no more than {MAXIMUM_VOXELS:,} and "
            f"{gib(LARGEST_IMAGE)} are read."
        )
    if voxels > _MAXIMUM_COMPRESSION * voxels_at.stat().st_size:
        raise InputError(f"{path} is truncated or damaged: it is too short for {voxels:,} voxels.")
    _check_geometry(path, reader)
    if _is_nifti(path):
        nifti.check_voxels(path, header, voxel_bytes=voxel_bytes)
    return OpenedImage(path, reader)


def read_image(opened: OpenedImage) -> Any:
    """The SimpleITK image of what `open_image` opened.

    Raises
    ------
    InputError
        If the voxels cannot be read.
    """
    with _readable(opened.path) as name:
        opened.reader.SetFileName(str(name))
        return opened.reader.Execute()


def ijk_to_ras(image: Any) -> FloatArray:
    """From voxel indices to RAS millimetres, (4, 4), of a SimpleITK image or of the reader of an `OpenedImage`."""
    dimension = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (dimension, dimension))[:3, :3]
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.asarray(image.GetSpacing()[:3])
    matrix[:3, 3] = image.GetOrigin()[:3]
    return swap_lps_ras_matrix(matrix)


def _check_geometry(path: Path, reader: Any) -> None:
    """Raise if voxels are of no possible size or lie in no possible place."""
    sizes = np.array(reader.GetSpacing()[:3])
    least, largest = _VOXEL_SIZES_MM
    if not np.all((sizes >= least) & (sizes <= largest)):
        stated = " x ".join(f"{size:g}" for size in sizes)
        raise InputError(f"{path} states a voxel size of {stated} mm, which is none of a patient's image.")
    if not np.all(np.abs(reader.GetOrigin()[:3]) <= _FARTHEST_MM):
        raise InputError(f"{path} lies more than a kilometre from the origin, which is no position of a patient.")


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(nifti.SUFFIXES)


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """A name of the file for ITK; what goes wrong while it reads is an `InputError`."""
    try:
        with nifti.proper_name(path) if _is_nifti(path) else nullcontext(path) as name, quiet_itk():
            yield name
    except (RuntimeError, MemoryError, UnicodeError, OSError) as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"{path} has axes that are not at right angles, which this format's reader refuses."
            ) from error
        if "spacing" in str(error).lower():
            raise InputError(f"{path} states a voxel size that is not more than zero, or no number.") from error
        raise InputError(f"{path} cannot be read as an image: it is damaged, truncated or of another kind.") from error
