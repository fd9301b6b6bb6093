"""The map of log-odds of being inside, in a band around a surface."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.appearance.features import ImageFeatures
from dals.appearance.learning import Appearance
from dals.appearance.nearness import Nearness
from dals.appearance.patch import ImagePatch
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, IntArray
from dals.geometry.signed_lattice import signed_distance
from dals.geometry.transforms import apply_matrix
from dals.geometry.winding import enclosed

_STEP = 0.03
"""Canonical distance, about, between the places for which the nearest place of the surface is looked for."""
_CERTAIN = 3.0
_DRAWN = 4.5
"""Largest log-odds of what the classifier says, and of what was drawn."""


def log_odds_map(
    appearance: Appearance,
    features: ImageFeatures,
    surface: Nearness,
    *,
    band_mm: float,
    pause: Callable[[], None] = lambda: None,
) -> LogOdds:
    """Classify the voxels around a surface; unknown ones are 0. `pause` is called in between."""
    patch = features.patch
    grid = LabelMap(np.zeros(patch.values.shape, dtype=np.bool_), patch.ijk_to_ras)
    inside = enclosed(surface.mesh, grid).array
    voxels, distances, normals = _band(surface, patch, inside, band_mm=band_mm, step_mm=_STEP * features.scale_mm)
    pause()
    found = appearance.log_odds(features.at(patch.centres(voxels), normals), distances)
    array = np.where(inside, _CERTAIN, -_CERTAIN).astype(np.float32)
    array[tuple(voxels.T)] = np.clip(found, -_CERTAIN, _CERTAIN)
    array[~patch.known] = 0.0
    return LogOdds(array, patch.ijk_to_ras)


def with_drawn(odds: LogOdds, regions: Sequence[PlaneRegion], surface: Nearness) -> LogOdds:
    """The map with the voxels on drawn planes as drawn; a surface near there tells which side of an open curve is."""
    array, matrix = odds.array.copy(), odds.ijk_to_ras
    thinnest = float(np.linalg.norm(matrix[:3, :3], axis=0).min())
    for region in regions:
        steps = region.normal @ matrix[:3, :3]
        k, j, i = (np.arange(size) * step for size, step in zip(array.shape, steps[::-1], strict=True))
        height = k[:, None, None] + j[:, None] + i + (matrix[:3, 3] - region.origin) @ region.normal
        voxels = np.argwhere(np.abs(height) <= 0.5 * np.abs(steps).max() * 1.001)
        points = apply_matrix(matrix, voxels[:, ::-1].astype(np.float64))
        facing = surface(points)[1] if region.stretches else np.zeros_like(points)
        outside, known = region.signed_distances(points, facing)
        there = tuple(voxels.T)
        as_drawn = _DRAWN * np.clip(-outside / thinnest, -1.0, 1.0)
        array[there] = known * as_drawn + (1 - known) * array[there]
    return LogOdds(array, matrix)


def _band(
    surface: Nearness, patch: ImagePatch, inside: BoolArray, *, band_mm: float, step_mm: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Voxels (N, 3) near a surface as (k, j, i), their distances (N,) from it, mm, and its normals there (N, 3).

    These vary slowly, so that they are looked for about every `step_mm` only, and interpolated.
    """
    stride = np.maximum(np.rint(step_mm / patch.spacing[::-1]), 1).astype(int)
    steps = stride * patch.spacing[::-1]
    reach = band_mm + float(np.linalg.norm(steps))
    coarse = inside[tuple(slice(None, None, step) for step in stride.tolist())]
    nearly = np.abs(signed_distance(coarse, steps[::-1])) < reach + steps.max()
    places = np.argwhere(nearly)
    distances, normals = surface(patch.centres(places * stride), within_mm=1.2 * reach)
    found = np.zeros((4, *coarse.shape), dtype=np.float32)
    found[0] = np.where(coarse, -reach, reach)
    there = np.isfinite(distances)
    found[(slice(None), *places[there].T)] = np.concatenate([distances[None, there], normals[there].T])
    part = tuple(slice(0, size) for size in inside.shape)
    voxels = np.argwhere(nearly.repeat(stride[0], 0).repeat(stride[1], 1).repeat(stride[2], 2)[part])
    at = (voxels / stride).T
    far = _interpolated(found[0], at)
    near = np.abs(far) < band_mm
    directions = np.stack([_interpolated(component, at[:, near]) for component in found[1:]], axis=1)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
    return voxels[near], far[near], directions


def _interpolated(field: NDArray[np.float32], at: FloatArray) -> FloatArray:
    """Values (N,) of a field (K, J, I) at indices (3, N)."""
    return np.asarray(ndimage.map_coordinates(field, at, order=1, mode="nearest", output=np.float64))
