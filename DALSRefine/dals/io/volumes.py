"""Reading the patient's image, as little of it as is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.volume import Volume, box_around, shifted
from dals.io.images import OpenedImage, ijk_to_ras, open_image, read_image

_ADVICE = "; please choose a single grey-value volume"


@dataclass(frozen=True, eq=False)
class VolumeFile:
    """An image file whose voxels are read when a part of them is asked for.

    Attributes
    ----------
    path : Path
    """

    path: Path
    _opened: OpenedImage

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    def part(self, low: FloatArray, high: FloatArray) -> Volume | None:
        """The voxels in and around a box with corners low and high, each (3,), RAS mm; None where there are none.

        Raises
        ------
        InputError
            If the voxels cannot be read.
        """
        reader = self._opened.reader
        matrix = ijk_to_ras(reader)
        box = box_around(low, high, matrix, self._opened.shape)
        if box is None:
            return None
        more = [0] * (len(reader.GetSize()) - 3)
        reader.SetExtractIndex([*(part.start for part in box[::-1]), *more])
        reader.SetExtractSize([*(part.stop - part.start for part in box[::-1]), *(1 for _ in more)])
        values = sitk.GetArrayFromImage(read_image(self._opened))
        return Volume(values.reshape([part.stop - part.start for part in box]), shifted(matrix, box), self.name)


def read_volume(path: str | os.PathLike[str]) -> VolumeFile:
    """Open the patient's CT or MR for `dals.refine(..., image=...)`; only the header is read.

    Parameters
    ----------
    path : path-like
        A three-dimensional .nii, .nii.gz, .nrrd, .mha or .mhd image with one value per voxel, in any unit.

    Raises
    ------
    InputError
        If the file is missing, unreadable, not three-dimensional, or has several values per voxel.
    """
    path = Path(path)
    opened = open_image(path, kind="image", advice=_ADVICE)
    if opened.components != 1:
        raise InputError(f"{path} holds {opened.components} values for each voxel, as colours do{_ADVICE}.")
    if "complex" in sitk.GetPixelIDValueAsString(opened.reader.GetPixelID()):
        raise InputError(f"{path} holds complex numbers and no grey values{_ADVICE}.")
    assert np.isfinite(ijk_to_ras(opened.reader)).all()
    return VolumeFile(path, opened)
