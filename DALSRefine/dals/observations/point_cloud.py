"""Points on the surface of an organ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray
from dals.observations.contours import checked_points
from dals.observations.observation import Arrays, Fields, Observation, bounds_of


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
        If there are fewer than three distinct points or a value is not finite.
    """

    points: FloatArray

    kind: ClassVar[str] = "points"
    defaults: ClassVar[FitSettings] = FitSettings(
        lambda_reg=1e-3, lambda_dir=1e-3, lambda_prior=1e-4, evidence_power=1.0, shared_steps=60
    )
    paper: ClassVar[FitSettings] = FitSettings.of_paper(lambda_reg=1e-3, lambda_dir=0.2)

    def __post_init__(self) -> None:
        points = checked_points(self.points, "The point cloud")
        object.__setattr__(self, "points", points)
        if len(np.unique(points, axis=0)) < 3:
            raise InputError("The point cloud has fewer than 3 different points.")

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Minimum and maximum coordinates, each (3,), RAS mm."""
        return bounds_of(self.points)

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
