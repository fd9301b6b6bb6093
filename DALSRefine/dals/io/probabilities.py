"""Reading probability maps, such as the softmax output of a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray
from dals.io.images import ijk_to_ras, open_image, read_image
from dals.observations.probability_checks import checked_probabilities

TOLERANCE_VOXELS = 1e-3
_OWN_CHANNEL = "hand over the organ's own channel as a three-dimensional image"


def read_probabilities(path: str | os.PathLike[str], grid: LabelMap) -> NDArray[np.float32]:
    """Read the probability that each voxel belongs to the organ.

    Warns (`DalsWarning`) if all values are 0 or 1, or if the segmentation is improbable on average.

    Parameters
    ----------
    path : path-like
        A three-dimensional image with values 0 to 1, in any format of label maps.
    grid : LabelMap
        The segmentation that was made from them.

    Returns
    -------
    (K, J, I) float32
        On the grid of the segmentation, clipped to 0 to 1.

    Raises
    ------
    InputError
        If the file is missing, unreadable, not three-dimensional or has several values per voxel, if a value is
        not finite or no probability, or if the grids differ.
    """
    path = Path(path)
    opened = open_image(path, kind="probability map", advice=f"; {_OWN_CHANNEL}")
    if opened.components != 1:
        raise InputError(f"{path} holds {opened.components} values for each voxel; {_OWN_CHANNEL}.")
    differences = _differences(opened.reader, grid)
    if differences:
        raise InputError(
            f"{path} is on another grid than the segmentation {grid.name}: {'; '.join(differences)}. Resample it to "
            "the segmentation's grid, or take the one of the same image."
        )
    image = read_image(opened)
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path} holds complex numbers and no probabilities.")
    # The image may have a fourth axis of length one.
    values: NDArray[Any] = sitk.GetArrayViewFromImage(image).reshape(grid.array.shape)
    return checked_probabilities(values, source=str(path))


def _differences(reader: Any, grid: LabelMap) -> list[str]:
    """Differences between two grids in words; empty if they agree."""
    found = []
    size, wanted_size = reader.GetSize()[:3], grid.array.shape[::-1]
    if size != wanted_size:
        found.append(f"it has {_times(size)} voxels instead of {_times(wanted_size)}")
    matrix, wanted = ijk_to_ras(reader)[:3], grid.ijk_to_ras[:3]
    spacing, wanted_spacing = (np.linalg.norm(m[:, :3], axis=0) for m in (matrix, wanted))
    if np.abs(spacing / wanted_spacing - 1).max() > TOLERANCE_VOXELS:
        found.append(f"its voxels measure {_times(spacing)} mm instead of {_times(wanted_spacing)} mm")
    axes, wanted_axes = matrix[:, :3] / spacing, wanted[:, :3] / wanted_spacing
    if np.abs(axes - wanted_axes).max() > TOLERANCE_VOXELS:
        found.append(f"its axes are turned by up to {_largest_angle(axes, wanted_axes):.2g} degrees")
    shift = matrix[:, 3] - wanted[:, 3]
    if np.abs(np.linalg.solve(wanted[:, :3], shift)).max() > TOLERANCE_VOXELS:
        found.append(f"its first voxel lies {np.linalg.norm(shift):.3g} mm away")
    return found


def _largest_angle(axes: FloatArray, others: FloatArray) -> float:
    """Largest angle between corresponding columns, degrees."""
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(axes - others, axis=0) / 2, 0, 1))).max())


def _times(numbers: Any) -> str:
    return " x ".join(f"{number:.6g}" for number in numbers)
