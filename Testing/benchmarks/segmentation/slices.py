"""Sparse annotations: three slices of an image carry labels, all other voxels none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import AXES, rng_of
from dals.geometry.label_map import LabelMap

BACKGROUND, ORGAN, UNLABELLED = 0, 1, 2
"""Values of an annotation; nnU-Net wants the one to ignore to be the highest."""


def sparse_annotation(truth: LabelMap, name: str) -> NDArray[np.uint8]:
    """Label one random sagittal, coronal and axial slice that cross the organ.

    Parameters
    ----------
    truth : LabelMap
        On a grid along the body's axes.
    name : str
        Of the case; the same name gives the same slices.

    Returns
    -------
    (K, J, I) uint8
        BACKGROUND and ORGAN on the three slices, UNLABELLED elsewhere.
    """
    rng = rng_of(f"{name}: slices")
    annotation = np.full(truth.array.shape, UNLABELLED, dtype=np.uint8)
    for axis in range(len(AXES)):
        crossing = np.flatnonzero(truth.array.any(axis=tuple({0, 1, 2} - {axis})))
        chosen: list[slice | int] = [slice(None)] * 3
        chosen[axis] = int(rng.choice(crossing))
        annotation[tuple(chosen)] = truth.array[tuple(chosen)]
    return annotation
