"""Images that lead astray: of somebody else, displaced, or without what matters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.image_study.cases import Case
from dals.geometry.volume import Volume

_MOVED_MM = 15.0
_NOISE_MM = 2.0
_BIAS = 1.1
"""Logarithm of the largest and of the smallest factor of a bias field."""


def _somebody_elses(case: Case, other: Case) -> Volume:
    """Another patient's image, whose organ has the same centroid."""
    offset = _centroid(other) - _centroid(case)
    to_other = np.linalg.inv(other.image.ijk_to_ras) @ _moved(offset) @ case.image.ijk_to_ras
    forth = to_other[2::-1, 2::-1]  # of (k, j, i)
    array = ndimage.affine_transform(
        other.image.array.astype(np.float32), forth, to_other[2::-1, 3], case.image.array.shape, order=1, mode="nearest"
    )
    return Volume(array, case.image.ijk_to_ras, f"{other.name} for {case.name}")


def _displaced(case: Case, _: Case) -> Volume:
    """As after another breath: 15 mm lower than it was outlined."""
    return Volume(case.image.array, _moved(np.array([0.0, 0.0, -_MOVED_MM])) @ case.image.ijk_to_ras, case.image.name)


def _mirrored(case: Case, _: Case) -> Volume:
    """Left and right changed about the organ's centroid."""
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2 * _centroid(case)[0]
    return Volume(case.image.array, mirror @ case.image.ijk_to_ras, case.image.name)


def _noise(case: Case, _: Case) -> Volume:
    """Nothing but noise, smooth to 2 mm."""
    rng = np.random.default_rng(0)
    array = ndimage.gaussian_filter(rng.standard_normal(case.image.array.shape), _NOISE_MM / case.image.spacing[::-1])
    return Volume((100 * array / array.std()).astype(np.float32), case.image.ijk_to_ras, case.image.name)


def _half(case: Case, _: Case) -> Volume:
    """Without a signal to the right of the organ's centroid."""
    array, places = case.image.array.astype(np.float32), _places(case)
    array[places[0] > _centroid(case)[0]] = array.min()
    return Volume(array, case.image.ijk_to_ras, case.image.name)


def _biased(case: Case, _: Case) -> Volume:
    """Nine times as bright at one end of the image's extent as at the other."""
    array, across = case.image.array.astype(np.float32), _places(case)[0]
    along = 2 * (across - across.min()) / np.ptp(across) - 1
    darkest = array.min()
    return Volume(darkest + (array - darkest) * np.exp(_BIAS * along), case.image.ijk_to_ras, case.image.name)


def _blurred(case: Case, _: Case) -> Volume:
    """With a resolution of 10 mm."""
    array = ndimage.gaussian_filter(case.image.array.astype(np.float32), 10.0 / case.image.spacing[::-1])
    return Volume(array, case.image.ijk_to_ras, case.image.name)


MISLEADING: dict[str, Callable[[Case, Case], Volume]] = {
    "somebody else's": _somebody_elses,
    "displaced by 15 mm": _displaced,
    "mirrored": _mirrored,
    "noise alone": _noise,
    "dark on one side": _half,
    "bias field of 1 to 9": _biased,
    "blurred to 10 mm": _blurred,
}
"""What is made of a case's image; the second case is another patient."""


def _centroid(case: Case) -> NDArray[np.float64]:
    """Of the organ, RAS mm."""
    middle = np.argwhere(case.truth.array).mean(axis=0)[::-1]
    return np.asarray(case.truth.ijk_to_ras[:3, :3] @ middle + case.truth.ijk_to_ras[:3, 3])


def _moved(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def _places(case: Case) -> NDArray[np.float64]:
    """RAS mm of the voxels' centres, (3, K, J, I)."""
    index = np.indices(case.image.array.shape).reshape(3, -1)[::-1]
    places = case.image.ijk_to_ras[:3, :3] @ index + case.image.ijk_to_ras[:3, 3:]
    return np.asarray(places.reshape(3, *case.image.array.shape))
