"""Morphological contour interpolation (Zukić et al. 2016) between parallel planes, by ITK's remote module.

It fills in what lies between outlines on parallel planes and so needs at least two of these. Planes across an axis of
the grid only can be used; others, and planes without a parallel one, are drawn into the grid and change nothing.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.systems.base import Observation, Section, canonical_sections, in_patient
from benchmarks.systems.itk_interpolation import interpolate
from benchmarks.systems.outlines import inside
from benchmarks.systems.voxel_surface import zero_surface
from dals.errors import DalsError, InputError
from dals.geometry.mesh import TriangleMesh
from dals.model.pose import Pose
from dals.observations import PlanarContours

PARALLEL_DEG = 5.0
REACH = 1.1
"""The grid reaches so far from the origin in canonical units."""


@dataclass(frozen=True)
class InterpolationSystem:
    """Outlines drawn into a grid of labels, interpolated, and the smoothed grid's surface.

    Attributes
    ----------
    cells : int
        Of the grid along each axis.
    smoothing : float
        Standard deviation of the Gaussian filter on the result, cells.
    """

    cells: int = 112
    smoothing: float = 1.0
    name: str = "Contour interpolation"

    def fit(self, observation: Observation, *, pose: Pose) -> TriangleMesh:
        """Interpolate, RAS mm.

        Raises
        ------
        InputError
            If the observation is no set of planes of which two are parallel.
        """
        if not isinstance(observation, PlanarContours):
            raise InputError("Contours can be interpolated only where there are contours.")
        groups = parallel_groups(canonical_sections(observation, pose))
        if not groups:
            raise InputError("Contours can be interpolated only between parallel planes, and no two are.")
        origin, spacing = np.full(3, -REACH), 2 * REACH / (self.cells - 1)
        filled = np.zeros([self.cells] * 3, dtype=bool)
        for axis, sections in groups.items():
            filled |= self._interpolated(axis, sections, origin[0], spacing)
        field = ndimage.gaussian_filter(filled.astype(np.float64), self.smoothing) - 0.5
        return in_patient(zero_surface(field, origin, spacing), pose)

    def _interpolated(self, axis: int, sections: list[Section], start: float, spacing: float) -> NDArray[np.bool_]:
        """What lies between parallel sections across an axis, (X, Y, Z)."""
        if find_spec("itk") is None:
            raise DalsError("Contour interpolation needs ITK: pip install itk-morphologicalcontourinterpolation")
        labels = np.zeros([self.cells] * 3, dtype=np.uint8)
        for section in sections:
            index = round((float(section.origin[axis]) - start) / spacing)
            slab = _drawn(section, axis, index, self.cells, start, spacing)
            where = [slice(None)] * 3
            where[axis] = slice(index, index + 1)
            labels[tuple(where)] |= np.expand_dims(slab, axis).astype(np.uint8)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(interpolate, labels, axis).result()


def parallel_groups(sections: tuple[Section, ...]) -> dict[int, list[Section]]:
    """Sections across the same axis of the grid, by axis, where there are at least two."""
    groups: dict[int, list[Section]] = {}
    for section in sections:
        axis = int(np.abs(section.normal).argmax())
        if np.degrees(np.arccos(min(1.0, abs(float(section.normal[axis]))))) <= PARALLEL_DEG:
            groups.setdefault(axis, []).append(section)
    return {axis: group for axis, group in groups.items() if len(group) > 1}


def _drawn(section: Section, axis: int, index: int, cells: int, start: float, spacing: float) -> NDArray[np.bool_]:
    """The cells of one slice whose centres lie in the organ, as a two-dimensional mask."""
    ticks = start + spacing * np.arange(cells)
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.insert(grid, axis, section.origin[axis], axis=1)
    return inside(section, points).reshape(cells, cells)
