"""What the classifier sees of a place: the image at several scales, across the surface, and the distance from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.appearance.patch import ImagePatch, image_patch
from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.volume import ImageSource, Volume

_SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the smoothing in voxels of the finest axis."""
_GRADIENTS = (1, 2)
"""Indices of the scales of which the gradient's magnitude counts."""
_ACROSS = (-0.1, -0.05, -0.025, 0.025, 0.05, 0.1)
"""Canonical steps along the surface's normal at which the image is looked up."""
_ACROSS_SCALE = 1
_FINEST = 0.02
"""Canonical size of the finest voxels."""


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


def part_around(image: ImageSource, low: FloatArray, high: FloatArray, *, margin_mm: float, what: str) -> Volume:
    """The part of an image around an organ.

    Parameters
    ----------
    image : ImageSource
        A file is read once.
    low, high : (3,)
        Corners of the organ's box, RAS mm.
    margin_mm : float
        Around the box.
    what : str
        What the user did there, for the message: "outlined" or "segmented".

    Raises
    ------
    InputError
        If the image shows another place.
    """
    part = image.part(low - margin_mm, high + margin_mm)
    if part is None or part.part(low, high) is None:
        raise InputError(
            f"The image {image.name} does not show the place that was {what}: it is of another patient, or in "
            f"another coordinate system or unit; please choose the image that was {what}."
        )
    return part


def features_in(image: Volume, low: FloatArray, high: FloatArray, *, scale_mm: float) -> ImageFeatures | None:
    """Features of an image in a box with corners low and high, each (3,), RAS mm; None if it shows nothing there.

    `scale_mm` is that of the canonical unit.
    """
    patch = image_patch(image, low, high, spacing_mm=_FINEST * scale_mm)
    return None if patch is None else ImageFeatures(patch, scale_mm=scale_mm)


def _slope(values: NDArray[np.float32], sizes: FloatArray) -> NDArray[np.float32]:
    """Magnitude of the gradient (K, J, I) on voxels of sizes (3,) along K, J and I."""
    squared = np.zeros(values.shape, dtype=np.float32)
    for axis, size in enumerate(sizes):
        if values.shape[axis] > 1:
            squared += np.square(np.gradient(values, axis=axis) / np.float32(size))
    return np.sqrt(squared)


def _interpolated(volume: NDArray[np.float32], indices: FloatArray) -> NDArray[np.float32]:
    return np.asarray(ndimage.map_coordinates(volume, indices, order=1, mode="nearest", output=np.float32))
