"""The image grid on which a result is written as a label map."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dals.errors import DalsWarning, InputError

if TYPE_CHECKING:
    from dals.geometry.label_map import LabelMap
    from dals.geometry.mesh import TriangleMesh
    from dals.observations import Observation
    from dals.refinement import Refinement

_MARGIN = 0.5
"""Voxels that a surface may reach beyond the centres of the outermost voxels."""


def check_meets(observation: Observation, grid: LabelMap, reference: Path | None) -> None:
    """Raise before the work begins if the reference image shows another place than what was observed.

    Raises
    ------
    InputError
    """
    if reference is None:
        return
    corners = np.array(list(product(*zip(*observation.bounds, strict=True))))
    low, high = _extent(corners, grid)
    if np.any(high < -_MARGIN) or np.any(low > _sizes(grid) - 1 + _MARGIN):
        raise _elsewhere(reference)


def voxels_of(result: Refinement, grid: LabelMap, reference: Path | None) -> LabelMap:
    """A result on the grid. On its own one a segmentation keeps every voxel that was not edited, unless it gave way.

    Errors and warnings are those of `filled`.
    """
    gave_way = result.report.get("gave_way_mm", 0.0) > 0
    if reference is None and result.label_map is not None and not gave_way:
        return result.label_map
    return filled(result.mesh, grid, reference)


def filled(mesh: TriangleMesh, grid: LabelMap, reference: Path | None) -> LabelMap:
    """The result on the grid; warns (`DalsWarning`) if it reaches beyond the reference image.

    Raises
    ------
    InputError
        If no voxel of the reference image lies in it.
    """
    from dals.geometry.winding import enclosed

    result = enclosed(mesh, grid)
    if reference is None:
        return result
    if result.is_empty:
        raise _elsewhere(reference)
    low, high = _extent(mesh.vertices, grid)
    if np.any(low < -_MARGIN) or np.any(high > _sizes(grid) - 1 + _MARGIN):
        warnings.warn(
            f"The result reaches beyond the image {reference}; what lies outside is missing in the label map.",
            DalsWarning,
            stacklevel=2,
        )
    return result


def _extent(points: np.ndarray, grid: LabelMap) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest voxel indices (i, j, k) of points in RAS mm."""
    from dals.geometry.transforms import apply_matrix

    indices = apply_matrix(grid.ras_to_ijk, points)
    return indices.min(axis=0), indices.max(axis=0)


def _sizes(grid: LabelMap) -> np.ndarray:
    return np.array(grid.array.shape[::-1])


def _elsewhere(reference: Path) -> InputError:
    return InputError(
        f"No voxel of the image {reference} lies in the result: it is of another patient, or in another coordinate "
        "system; please name the image that was outlined with --reference."
    )
