"""A map of how probably a place is inside of an organ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix


@dataclass(frozen=True, eq=False)
class LogOdds:
    """Log-odds of being inside the organ.

    Attributes
    ----------
    array : (K, J, I) float32
        0 where nothing is known.
    ijk_to_ras : (4, 4)
        From voxel indices to RAS mm.
    """

    array: NDArray[np.float32]
    ijk_to_ras: FloatArray

    @cached_property
    def _ras_to_ijk(self) -> FloatArray:
        return np.asarray(np.linalg.inv(self.ijk_to_ras))

    def at(self, points: FloatArray) -> FloatArray:
        """Values (N,) at points (N, 3), RAS mm; 0 outside."""
        indices = apply_matrix(self._ras_to_ijk, points)[:, ::-1].T
        return np.asarray(ndimage.map_coordinates(self.array, indices, order=1, cval=0.0, output=np.float64))
