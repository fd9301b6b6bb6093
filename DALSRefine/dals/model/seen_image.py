"""What an image said of an organ, kept for the next fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray

_FIGURES = ("trust", "error_percent", "surface_error_percent")


@dataclass(frozen=True, eq=False, kw_only=True)
class SeenImage:
    """What an image said of an organ when it was looked at.

    Attributes
    ----------
    odds : LogOdds
        Of the image alone, without what was drawn.
    trust, error_percent, surface_error_percent : float
        As in `dals.appearance.image_use.ImageUse`.
    outlines : (N, 3)
        Points of the contours from which the organ's look was learnt, RAS mm.
    kinds : (N,) uint8
        1 on a closed curve, and 2 more on an incomplete plane.
    values : (N,)
        Of the image there.
    """

    odds: LogOdds
    trust: float
    error_percent: float
    surface_error_percent: float
    outlines: FloatArray
    kinds: NDArray[np.uint8]
    values: FloatArray

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Fields that JSON can hold and arrays, from which `from_arrays` makes the same."""
        arrays: dict[str, NDArray[Any]] = {
            "odds": self.odds.array,
            "ijk_to_ras": self.odds.ijk_to_ras,
            "outlines": self.outlines,
            "kinds": self.kinds,
            "values": self.values,
        }
        return {name: getattr(self, name) for name in _FIGURES}, arrays

    @classmethod
    def from_arrays(cls, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SeenImage:
        """What `to_arrays` was made of."""
        odds = LogOdds(np.asarray(arrays["odds"]), np.asarray(arrays["ijk_to_ras"]))
        return cls(
            odds=odds,
            outlines=arrays["outlines"],
            kinds=arrays["kinds"],
            values=arrays["values"],
            **{name: float(fields[name]) for name in _FIGURES},
        )
