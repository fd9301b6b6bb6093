"""Similarity transforms between patient millimetres and the prior's canonical frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Takes canonical points to millimetres: x_mm = scale R x + translation.

    Attributes
    ----------
    scale : float
        Millimetres in one canonical unit.
    translation : (3,)
        Where the canonical origin lies, RAS mm.
    rotation : (3, 3)
        Identity unless the patient lies askew.
    """

    scale: float
    translation: Array
    rotation: Array = field(default_factory=lambda: np.eye(3))

    def to_patient(self, points: Array) -> Array:
        """Canonical points (N, 3) in RAS mm."""
        return np.asarray(self.scale * points @ self.rotation.T + self.translation)

    def to_canonical(self, points: Array) -> Array:
        """RAS mm points (N, 3) in the canonical frame."""
        return np.asarray((points - self.translation) @ self.rotation / self.scale)

    def after(self, correction: Pose) -> Pose:
        """The pose that applies `correction`, a pose within the canonical frame, and then this one."""
        return Pose(
            self.scale * correction.scale,
            self.to_patient(np.asarray(correction.translation)[None])[0],
            self.rotation @ correction.rotation,
        )
