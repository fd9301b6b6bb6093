"""ITK's morphological contour interpolation, for a process of its own: beside VTK and SimpleITK it corrupts memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolate(labels: NDArray[np.uint8], axis: int) -> NDArray[np.bool_]:
    """Fill in what lies between labelled slices (X, Y, Z) across an axis."""
    import itk  # type: ignore[import-untyped,import-not-found,unused-ignore]

    image = itk.image_from_array(np.ascontiguousarray(labels.transpose(2, 1, 0)))
    result = itk.morphological_contour_interpolator(image, axis=axis)
    return np.asarray(itk.array_from_image(result).transpose(2, 1, 0) > 0)
