"""Validation of a network's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.geometry.label_map import LabelMap

_ROUNDING = 1e-3  # half precision and interpolation may exceed the range slightly
_DOUBTFUL = 0.5


def checked_probabilities(values: NDArray[Any], *, source: str) -> NDArray[np.float32]:
    """Validate values as probabilities.

    Parameters
    ----------
    values : (K, J, I) array
        Real numbers.
    source : str
        Origin of the values for messages: a file or a volume.

    Returns
    -------
    (K, J, I) float32
        Clipped to 0 to 1.

    Raises
    ------
    InputError
        If a value is not finite or lies outside 0 to 1.
    """
    _check_range(values, source)
    probabilities: NDArray[np.float32] = np.clip(values, 0, 1).astype(np.float32)
    return probabilities


def _check_range(values: NDArray[Any], source: str) -> None:
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN propagates to both
        raise InputError(f"{source} holds values that are not finite numbers.")
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return
    if low < -_ROUNDING:
        hint = "they look like a network's raw output, to which softmax or sigmoid has to be applied first"
    elif high <= 100:
        hint = "they look like percentages; divide them by 100"
    elif high <= 255:
        hint = "they look like grey values; divide them by 255"
    else:
        hint = "this is no probability map"
    raise InputError(f"{source} holds values from {low:g} to {high:g}, but probabilities lie between 0 and 1; {hint}.")


def doubts(probabilities: NDArray[np.float32], label_map: LabelMap) -> tuple[str, ...]:
    """Warnings about probabilities (K, J, I) that do not match their label map, one sentence each."""
    sentences = []
    if not ((probabilities > 0) & (probabilities < 1)).any():
        sentences.append(
            f"The probabilities of the segmentation {label_map.name} are nothing but 0 and 1: they look like a "
            "segmentation and do not say how sure it is."
        )
    inside = float(probabilities[label_map.array].mean())
    if inside < _DOUBTFUL:
        sentences.append(
            f"Within the segmentation {label_map.name} the probabilities are {inside:.2f} on average; perhaps they are "
            "another organ's."
        )
    return tuple(sentences)
