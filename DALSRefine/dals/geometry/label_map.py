"""A binary label map on an image grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix

BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A binary mask on an image grid.

    Attributes
    ----------
    array : (K, J, I) bool
        True inside the organ. I runs fastest, as in arrays from SimpleITK.
    ijk_to_ras : (4, 4) float64
        From voxel indices (i, j, k) to RAS millimetres; integer indices are voxel centres. Spacing,
        direction and handedness are arbitrary.
    name : str
        Used in messages, for example the file name.

    Raises
    ------
    InputError
        If the array is not three-dimensional or the matrix is not finite and invertible.
    """

    array: BoolArray
    ijk_to_ras: FloatArray
    name: str = "label map"

    def __post_init__(self) -> None:
        array: NDArray[Any] = np.asarray(self.array)
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise InputError(f"{self.name} is not a three-dimensional image.")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise InputError(f"{self.name} has a geometry with values that are not finite.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if lengths.min() <= 0 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
            raise InputError(f"{self.name} has a geometry whose axes do not span space.")
        object.__setattr__(self, "array", array.astype(np.bool_, copy=False))
        object.__setattr__(self, "ijk_to_ras", matrix)

    @property
    def spacing(self) -> FloatArray:
        """Distance between voxel centres along I, J and K in millimetres, (3,)."""
        return np.asarray(np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))

    @property
    def ras_to_ijk(self) -> FloatArray:
        """From RAS millimetres to fractional voxel indices, (4, 4)."""
        return np.asarray(np.linalg.inv(self.ijk_to_ras))

    @property
    def volume(self) -> float:
        """Volume of the marked voxels in cubic millimetres."""
        return float(np.count_nonzero(self.array) * abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    @property
    def is_empty(self) -> bool:
        """Whether no voxel is marked."""
        return not self.array.any()

    @property
    def touches_border(self) -> bool:
        """Whether a marked voxel lies on one of the six faces of the image."""
        return any(
            bool(face.any()) for axis in range(3) for face in (self.array.take(0, axis), self.array.take(-1, axis))
        )

    @property
    def marked_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of the marked voxel centres, two (3,), RAS millimetres; the mask must not be empty."""
        part = self.cropped()
        centres = apply_matrix(part.ijk_to_ras, row_ends(part.array))
        return centres.min(axis=0), centres.max(axis=0)

    @property
    def marked_box(self) -> tuple[slice, slice, slice]:
        """Bounding box of the marked voxels, slices of (K, J, I); the mask must not be empty."""
        box = marked_box(self.array)
        assert box is not None
        return box

    def cropped(self) -> LabelMap:
        """The part within `marked_box`: an organ fills little of a body scan."""
        return self.within(self.marked_box)

    def within(self, box: tuple[slice, slice, slice]) -> LabelMap:
        """The part within a box, slices of (K, J, I)."""
        matrix = self.ijk_to_ras.copy()
        matrix[:3, 3] += matrix[:3, :3] @ [part.start for part in box[::-1]]
        return LabelMap(self.array[box], matrix, self.name)

    def with_part(self, part: LabelMap) -> LabelMap:
        """The mask of a label map that was cropped from this grid, on the whole grid."""
        array = np.zeros(self.array.shape, dtype=np.bool_)
        first = np.rint(apply_matrix(self.ras_to_ijk, part.ijk_to_ras[:3, 3])).astype(int)
        box = tuple(slice(low, low + count) for low, count in zip(first[::-1], part.array.shape, strict=True))
        array[box] = part.array
        return self.with_array(array)

    def with_array(self, array: NDArray[Any], *, name: str | None = None) -> LabelMap:
        """Another mask, (K, J, I), on the same grid."""
        if array.shape != self.array.shape:
            raise ValueError(f"the mask must have the grid's shape {self.array.shape}, not {array.shape}")
        return LabelMap(array, self.ijk_to_ras, self.name if name is None else name)

    def empty_like(self) -> LabelMap:
        """The same grid with no voxel marked."""
        return self.with_array(np.zeros(self.array.shape, dtype=np.bool_))


def marked_box(mask: BoolArray) -> tuple[slice, slice, slice] | None:
    """Bounding box of a mask (K, J, I) as slices; None if the mask is empty."""
    k = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(k):
        return None
    flat: BoolArray = np.asarray(mask[k[0] : k[-1] + 1].any(axis=0))
    j, i = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return slice(k[0], k[-1] + 1), slice(j[0], j[-1] + 1), slice(i[0], i[-1] + 1)


def voxels_around(ijk: FloatArray, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """First and last voxel (i, j, k) of those of a grid (K, J, I) around points (N, 3); None if all lie outside."""
    size = np.array(shape[::-1])
    first = np.clip(np.floor(ijk.min(axis=0)), 0, size).astype(np.int64)
    last = np.clip(np.ceil(ijk.max(axis=0)), -1, size - 1).astype(np.int64)
    return None if np.any(first > last) else (first, last)


def row_ends(mask: BoolArray) -> NDArray[np.intp]:
    """Indices (i, j, k) of the first and last marked voxel of each row of a mask (K, J, I), (N, 3).

    A linear function of the index, such as a coordinate on an oblique grid, has its extremes among them.
    """
    kj = np.argwhere(mask.any(axis=2))
    rows = mask[kj[:, 0], kj[:, 1]]
    first, last = rows.argmax(axis=1), mask.shape[2] - 1 - rows[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([i, kj[:, ::-1]]) for i in (first, last)])
