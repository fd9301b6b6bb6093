"""Similarity transforms between patient millimetres and the prior's canonical frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Maps canonical points to millimetres: x_mm = scale R x + translation.

    Attributes
    ----------
    scale : float
        Millimetres in one canonical unit.
    translation : (3,)
        Position of the canonical origin, RAS millimetres.
    rotation : (3, 3)
        Identity unless the fit may rotate.
    """

    scale: float
    translation: Array
    rotation: Array = field(default_factory=lambda: np.eye(3))

    def to_patient(self, points: Array) -> Array:
        """Map canonical points (N, 3) to RAS millimetres."""
        return np.asarray(self.scale * points @ self.rotation.T + self.translation)

    def to_canonical(self, points: Array) -> Array:
        """Map RAS millimetre points (N, 3) to the canonical frame."""
        return np.asarray((points - self.translation) @ self.rotation / self.scale)

    def after(self, correction: Pose) -> Pose:
        """The pose that applies `correction`, within the canonical frame, before this one."""
        return Pose(
            self.scale * correction.scale,
            self.to_patient(np.asarray(correction.translation)[None])[0],
            self.rotation @ correction.rotation,
        )
