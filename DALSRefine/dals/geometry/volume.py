"""A grey-value image of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix

Box = tuple[slice, slice, slice]
_MARGIN = 0.5
"""Of the contours' diagonal: by how much an organ and its surroundings may reach beyond them."""


class ImageSource(Protocol):
    """An image of which a part can be had: a `Volume`, or a file that stays on disk (`dals.io.volumes`)."""

    @property
    def name(self) -> str:
        """Used in messages."""
        ...

    def part(self, low: FloatArray, high: FloatArray) -> Volume | None:
        """The voxels in and around a box with corners low and high, each (3,), RAS mm; None where there are none."""
        ...


@dataclass(frozen=True, eq=False)
class Volume:
    """A three-dimensional image of one value per voxel.

    Attributes
    ----------
    array : (K, J, I)
        Any unit. Values that are not finite are taken for unknown.
    ijk_to_ras : (4, 4) float64
        From voxel indices (i, j, k) to RAS millimetres; integer indices are voxel centres. Spacing, direction and
        handedness are arbitrary.
    name : str
        Used in messages.

    Raises
    ------
    InputError
        If the array is not three-dimensional or holds no real numbers, or the matrix is not finite and invertible.
    """

    array: NDArray[Any]
    ijk_to_ras: FloatArray
    name: str = "image"

    def __post_init__(self) -> None:
        array: NDArray[Any] = np.asarray(self.array)
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise InputError(
                f"The image {self.name} is not three-dimensional with one value per voxel; please choose a single "
                "grey-value volume."
            )
        if array.dtype.kind not in "biuf":
            raise InputError(f"The image {self.name} holds no grey values; please choose the patient's CT or MR.")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise InputError(f"The image {self.name} has a geometry with values that are not finite.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if lengths.min() <= 0 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
            raise InputError(f"The image {self.name} has a geometry whose axes do not span space.")
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "ijk_to_ras", matrix)

    @property
    def spacing(self) -> FloatArray:
        """Distance between voxel centres along I, J and K in millimetres, (3,)."""
        return np.asarray(np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))

    def part(self, low: FloatArray, high: FloatArray) -> Volume | None:
        """The voxels in and around a box with corners low and high, each (3,), RAS mm; None where there are none."""
        box = box_around(low, high, self.ijk_to_ras, self.array.shape)
        return None if box is None else Volume(self.array[box], shifted(self.ijk_to_ras, box), self.name)

    def around(self, low: FloatArray, high: FloatArray) -> Volume | None:
        """The part that a fit can need of which the contours lie in a box (RAS mm), as a copy that holds no more."""
        margin = _MARGIN * float(np.linalg.norm(high - low))
        part = self.part(low - margin, high + margin)
        return None if part is None else Volume(part.array.copy(), part.ijk_to_ras, part.name)


def box_around(low: FloatArray, high: FloatArray, ijk_to_ras: FloatArray, shape: tuple[int, ...]) -> Box | None:
    """Slices (K, J, I) of an image that hold a box with corners low and high, each (3,), RAS mm; None if outside."""
    corners = np.array(list(product(*zip(low, high, strict=True))))
    indices = apply_matrix(np.linalg.inv(ijk_to_ras), corners)
    first = np.maximum(np.floor(indices.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(indices.max(axis=0)).astype(int), np.array(shape[::-1]) - 1)
    if np.any(first > last):
        return None
    k, j, i = (slice(int(a), int(b) + 1) for a, b in zip(first[::-1], last[::-1], strict=True))
    return k, j, i


def shifted(ijk_to_ras: FloatArray, box: Box) -> FloatArray:
    """The matrix (4, 4) of a part of an image, given by slices (K, J, I)."""
    matrix = ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ [part.start for part in box[::-1]]
    return matrix
