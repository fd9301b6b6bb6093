"""What the classifier sees of a place: the image at several scales, across the surface, and the distance from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.appearance.patch import ImagePatch
from dals.geometry.mesh import FloatArray

_SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the smoothing in voxels of the finest axis."""
_GRADIENTS = (1, 2)
"""Indices of the scales of which the gradient's magnitude counts."""
_ACROSS = (-0.1, -0.05, -0.025, 0.025, 0.05, 0.1)
"""Canonical steps along the surface's normal at which the image is looked up."""
_ACROSS_SCALE = 1


class ImageFeatures:
    """Features of places in an image.

    Parameters
    ----------
    patch : ImagePatch
    scale_mm : float
        Of the canonical unit.
    """

    def __init__(self, patch: ImagePatch, *, scale_mm: float) -> None:
        self.patch, self.scale_mm = patch, scale_mm
        sizes = patch.spacing[::-1]
        finest = sizes.min()
        smoothed = [
            ndimage.gaussian_filter(patch.values, scale * finest / sizes) if scale else patch.values
            for scale in _SCALES
        ]
        self._volumes = [*smoothed, *(_slope(smoothed[index], sizes / finest) for index in _GRADIENTS)]

    def at(self, points: FloatArray, normals: FloatArray) -> NDArray[np.float32]:
        """Features (N, C) of points (N, 3) with the normals (N, 3) of the surface nearest to them, RAS mm."""
        here = self.patch.indices(points)
        columns = [_interpolated(volume, here) for volume in self._volumes]
        for step in _ACROSS:
            across = self.patch.indices(points + step * self.scale_mm * normals)
            columns.append(_interpolated(self._volumes[_ACROSS_SCALE], across))
        return np.stack(columns, axis=1)


def _slope(values: NDArray[np.float32], sizes: FloatArray) -> NDArray[np.float32]:
    """Magnitude of the gradient (K, J, I) on voxels of sizes (3,) along K, J and I."""
    squared = np.zeros(values.shape, dtype=np.float32)
    for axis, size in enumerate(sizes):
        if values.shape[axis] > 1:
            squared += np.square(np.gradient(values, axis=axis) / np.float32(size))
    return np.sqrt(squared)


def _interpolated(volume: NDArray[np.float32], indices: FloatArray) -> NDArray[np.float32]:
    return np.asarray(ndimage.map_coordinates(volume, indices, order=1, mode="nearest", output=np.float32))
