"""Points on the surface of an organ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray
from dals.observations.contours import checked_points, distinct_up_to_three
from dals.observations.lonely_points import sociability
from dals.observations.observation import Arrays, Fields, Observation, bounds_of

RELATIVE_THICKNESS = 0.01
"""Points within a slab of this share of their extent lie on one plane."""


@dataclass(frozen=True, eq=False)
class PointCloud(Observation):
    """Points on the organ's surface.

    Attributes
    ----------
    points : (N, 3) float64
        RAS millimetres, N >= 3.

    Raises
    ------
    InputError
        If there are fewer than three distinct points, all lie on one plane, or a value is not finite.
    """

    points: FloatArray

    kind: ClassVar[str] = "points"
    defaults: ClassVar[FitSettings] = FitSettings(
        method="gauss-newton",
        lambda_dir=2.0,
        lambda_prior=1.0,
        lambda_scale=2.0,
        shared_steps=8,
        local_steps=7,
        robust_scale=0.15,
    )
    paper: ClassVar[FitSettings] = FitSettings.of_paper(lambda_reg=1e-3, lambda_dir=0.2)

    def __post_init__(self) -> None:
        points = checked_points(self.points, "The point cloud")
        object.__setattr__(self, "points", points)
        if len(points) < 3 or distinct_up_to_three(points) < 3:
            raise InputError("The point cloud has fewer than 3 different points.")
        _check_thickness(points)

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Minimum and maximum coordinates, each (3,), RAS mm."""
        return bounds_of(self.points)

    @cached_property
    def sociability(self) -> FloatArray:
        """Weights (N,) from 0 to 1, low for points far from all others."""
        return sociability(self.points)

    @property
    def named_points(self) -> list[tuple[str, FloatArray]]:
        """All points under one name."""
        return [("points", self.points)]

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The points."""
        return {}, {"points": self.points}

    @classmethod
    def from_arrays(cls, fields: Fields, arrays: Arrays) -> PointCloud:
        """Restore a point cloud from `to_arrays`."""
        return cls._unchecked(points=arrays["points"])


def _check_thickness(points: FloatArray) -> None:
    """Refuse points on one plane: they leave open how far the organ reaches across it, and on which side it lies."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    extents = np.ptp(centred @ axes.T, axis=0)
    if extents[2] <= RELATIVE_THICKNESS * extents[0]:
        raise InputError(
            "All points lie on one plane, which leaves open how far the organ reaches across it; please add points "
            "elsewhere on its surface."
        )
