"""The map of log-odds of being inside, in a band around a surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from dals.appearance.features import ImageFeatures
from dals.appearance.learning import Appearance
from dals.appearance.nearness import Nearness
from dals.fitting.image_term import LogOdds
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map

_CERTAIN = 3.0
_DRAWN = 4.5
"""Largest log-odds of what the classifier says, and of what was drawn."""


def log_odds_map(
    appearance: Appearance,
    features: ImageFeatures,
    mesh: TriangleMesh,
    surface: Nearness,
    regions: Sequence[PlaneRegion],
    *,
    band_mm: float,
) -> LogOdds:
    """Classify the voxels around a surface (RAS mm); those on drawn planes are as drawn, unknown ones are 0."""
    patch = features.patch
    grid = LabelMap(np.zeros(patch.values.shape, dtype=np.bool_), patch.ijk_to_ras)
    inside = mesh_to_label_map(mesh, grid).array
    sizes = patch.spacing[::-1]
    nearly = ndimage.distance_transform_edt(inside, sizes) + ndimage.distance_transform_edt(~inside, sizes)
    voxels = np.argwhere(nearly < band_mm + sizes.max())
    points = patch.centres(voxels)
    distances, normals = surface(points)
    near = np.abs(distances) < band_mm
    voxels, points, normals = voxels[near], points[near], normals[near]
    found = appearance.log_odds(features.at(points, normals), distances[near])
    found = np.clip(found, -_CERTAIN, _CERTAIN)
    for region in regions:
        half = 0.5 * float(np.abs(patch.ijk_to_ras[:3, :3].T @ region.normal).max())
        drawn = np.abs((points - region.origin) @ region.normal) <= half * 1.001
        outside, known = region.signed_distances(points[drawn], normals[drawn])
        as_drawn = _DRAWN * np.clip(-outside / sizes.min(), -1.0, 1.0)
        found[drawn] = known * as_drawn + (1 - known) * found[drawn]
    array = np.where(inside, _CERTAIN, -_CERTAIN).astype(np.float32)
    array[tuple(voxels.T)] = found
    array[~patch.known] = 0.0
    return LogOdds(array, patch.ijk_to_ras)
