"""The part of an image around an organ, no finer than the organ's shape needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import ImageSource, Volume

_PERCENTILES = (1.0, 99.0)
_RANGE = (-0.5, 1.5)
"""Of the values between these percentiles; metal and air beyond it are cut off."""


@dataclass(frozen=True, eq=False)
class ImagePatch:
    """Grey values around an organ, scaled to about 0 to 1.

    Attributes
    ----------
    values : (K, J, I) float32
    known : (K, J, I) bool
        Where the image has a number.
    ijk_to_ras : (4, 4)
        From voxel indices to RAS mm.
    """

    values: NDArray[np.float32]
    known: BoolArray
    ijk_to_ras: FloatArray

    @property
    def spacing(self) -> FloatArray:
        """Distance between voxel centres along I, J and K, mm, (3,)."""
        return np.asarray(np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))

    @cached_property
    def ras_to_ijk(self) -> FloatArray:
        """From RAS mm to fractional voxel indices, (4, 4)."""
        return np.asarray(np.linalg.inv(self.ijk_to_ras))

    def indices(self, points: FloatArray) -> FloatArray:
        """Fractional indices (k, j, i) of points (N, 3), RAS mm, as (3, N)."""
        return apply_matrix(self.ras_to_ijk, points)[:, ::-1].T

    def centres(self, voxels: NDArray[np.intp]) -> FloatArray:
        """Centres (N, 3), RAS mm, of voxels (N, 3) with indices (k, j, i)."""
        return apply_matrix(self.ijk_to_ras, voxels[:, ::-1].astype(np.float64))

    def covers(self, points: FloatArray) -> BoolArray:
        """Which points (N, 3), RAS mm, lie in a voxel with a number."""
        nearest = np.rint(self.indices(points)).astype(int)
        sizes = np.array(self.values.shape)[:, None]
        inside: BoolArray = np.asarray(((nearest >= 0) & (nearest < sizes)).all(axis=0))
        inside[inside] = self.known[tuple(nearest[:, inside])]
        return inside


def image_patch(image: ImageSource, low: FloatArray, high: FloatArray, *, spacing_mm: float) -> ImagePatch | None:
    """The image in a box with corners low and high, each (3,), RAS mm; None where it does not show anything.

    Voxels that are finer than `spacing_mm` are averaged in blocks up to it, slab by slab, so that a large image is
    never in memory as floating-point numbers.
    """
    part = image.part(low, high)
    if part is None:
        return None
    block = np.maximum(1, np.floor(spacing_mm / part.spacing + 1e-6).astype(int))
    block = np.minimum(block, part.array.shape[::-1])
    values = _averaged(part, block)
    known = np.isfinite(values)
    if not known.any():
        return None
    lowest, highest = np.percentile(values[known], _PERCENTILES)
    if not highest - lowest > 1e-6 * max(abs(lowest), abs(highest)):
        return None
    scaled = np.where(known, np.clip((values - lowest) / (highest - lowest), *_RANGE), 0.5).astype(np.float32)
    matrix = part.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ ((block - 1) / 2)
    matrix[:3, :3] *= block
    return ImagePatch(scaled, known, matrix)


def _averaged(part: Volume, block: NDArray[np.intp]) -> FloatArray:
    """Means over blocks of (I, J, K) voxels, without what is not finite; not-a-number where nothing is."""
    i, j, k = block.tolist()
    shape = np.array(part.array.shape) // (k, j, i)
    means = np.empty(shape, dtype=np.float64)
    for slab in range(shape[0]):
        values = part.array[slab * k : (slab + 1) * k, : shape[1] * j, : shape[2] * i]
        finite = np.isfinite(values)
        if finite.all():
            means[slab] = _block_sums(values, i, j) / (i * j * k)
        else:
            count = _block_sums(finite, i, j)
            total = _block_sums(np.where(finite, values, 0.0), i, j)
            means[slab] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def _block_sums(slab: NDArray[Any], i: int, j: int) -> FloatArray:
    """Sums over all slices and over blocks of i by j pixels of each."""
    over_slices = slab.sum(axis=0, dtype=np.float64)
    rows = sum(over_slices[first::j] for first in range(j))
    return np.asarray(sum(rows[:, first::i] for first in range(i)))
