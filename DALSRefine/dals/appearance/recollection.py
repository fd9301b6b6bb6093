"""Whether what an image said before still counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.appearance.image_use import ImageUse
from dals.geometry.label_map import BoolArray
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import Volume
from dals.model.seen_image import SeenImage
from dals.observations import PlanarContours

_MOVED, _MOST_MOVED = 0.02, 0.03
"""Canonical distance between outlines, and the share of their points beyond it, from which they are others."""
_ALIKE = 0.9
"""Share of the outlines' points at which an image has the values that it had."""
_Outlines = tuple[FloatArray, NDArray[np.uint8]]
"""Points (N, 3) of contours, RAS mm, and kinds (N,): 1 on a closed curve, and 2 more on an incomplete plane."""


def kept(use: ImageUse, odds: LogOdds, image: Volume, contours: PlanarContours) -> SeenImage:
    """What is kept of a look at an image that is trusted, and of the contours that it was learnt from."""
    assert use.error_percent is not None
    assert use.surface_error_percent is not None
    outlines, kinds = _outlines_of(contours)
    return SeenImage(
        odds=odds,
        trust=use.trust,
        error_percent=use.error_percent,
        surface_error_percent=use.surface_error_percent,
        outlines=outlines,
        kinds=kinds,
        values=_values_at(image, outlines),
    )


def is_recalled(seen: SeenImage, image: Volume, contours: PlanarContours, *, scale_mm: float) -> bool:
    """Whether the image and, but for a few points, the outlines are those of an earlier look.

    `scale_mm` is that of the canonical unit.
    """
    now = _values_at(image, seen.outlines)
    # Half-way between two voxels, rounding chooses.
    if np.mean((now == seen.values) | (np.isnan(now) & np.isnan(seen.values))) < _ALIKE:
        return False
    before, after, far_mm = (seen.outlines, seen.kinds), _outlines_of(contours), _MOVED * scale_mm
    others = np.concatenate([_others(before, after, far_mm), _others(after, before, far_mm)])
    return float(np.mean(others)) <= _MOST_MOVED


def _outlines_of(contours: PlanarContours) -> _Outlines:
    kinds = [one.closed + 2 * one.open_plane for one in contours.contours]
    counts = [len(one.points) for one in contours.contours]
    return contours.points, np.repeat(kinds, counts).astype(np.uint8)


def _others(outlines: _Outlines, among: _Outlines, far_mm: float) -> BoolArray:
    """Which points (N,) of outlines have none of the same kind near them among others."""
    distances, nearest = cKDTree(among[0]).query(outlines[0])
    return np.asarray((distances > far_mm) | (outlines[1] != among[1][nearest]))


def _values_at(image: Volume, points: FloatArray) -> FloatArray:
    """Values (N,) of the voxels in which points (N, 3), RAS mm, lie; not-a-number outside."""
    nearest = np.rint(apply_matrix(np.linalg.inv(image.ijk_to_ras), points)).astype(int)[:, ::-1]
    inside = ((nearest >= 0) & (nearest < image.array.shape)).all(axis=1)
    values = np.full(len(points), np.nan)
    values[inside] = image.array[tuple(nearest[inside].T)]
    return values
