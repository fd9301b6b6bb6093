"""Where a fit ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dals.model.pose import Pose
from dals.model.prior_files import Side
from dals.model.seen_image import SeenImage

_PLAIN, _SEEN = "plain_", "seen_"
"""Of the names of their arrays."""


@dataclass(frozen=True, eq=False)
class FitState:
    """Pose and latents at the end of a fit; another fit with the same prior can start from them.

    Attributes
    ----------
    pose : Pose
        Canonical frame to RAS mm.
    shared : (d,) float32
        Latent that all vertices share.
    local : (V, d) float32 or None
        What each vertex adds to it.
    level : int
        Subdivision level of `local`.
    side : "left", "right" or None
        Of the prior, where it is of one side of the body.
    plain : FitState or None
        The shape of one latent for all vertices with which the fit began; None for the paper's method.
    departure : float or None
        Where an image moved the surface: how far from `plain` it was before, canonical
        (`dals.evaluation.plain_shape.departure`).
    error : float or None
        The standard deviation of the errors between planes that it had before, canonical
        (`dals.evaluation.uncertainty.error_between_planes`).
    seen : SeenImage or None
        What that image said.
    """

    pose: Pose
    shared: NDArray[np.float32]
    local: NDArray[np.float32] | None
    level: int
    side: Side | None = None
    plain: FitState | None = None
    departure: float | None = None
    error: float | None = None
    seen: SeenImage | None = None

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Fields that JSON can hold and arrays, from which `from_arrays` makes the same state."""
        arrays: dict[str, NDArray[Any]] = {
            "translation": np.asarray(self.pose.translation),
            "rotation": self.pose.rotation,
            "shared": self.shared,
        }
        if self.local is not None:
            arrays["local"] = self.local
        fields: dict[str, Any] = {
            "scale": self.pose.scale,
            "level": self.level,
            "side": self.side,
            "departure": self.departure,
            "error": self.error,
        }
        if self.plain is not None:
            fields["plain"], of_plain = self.plain.to_arrays()
            arrays |= {_PLAIN + name: array for name, array in of_plain.items()}
        if self.seen is not None:
            fields["seen"], of_seen = self.seen.to_arrays()
            arrays |= {_SEEN + name: array for name, array in of_seen.items()}
        return fields, arrays

    @classmethod
    def from_arrays(cls, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FitState:
        """The state of `to_arrays`."""
        pose = Pose(fields["scale"], arrays["translation"], arrays["rotation"])
        plain = cls.from_arrays(fields["plain"], _of(_PLAIN, arrays)) if "plain" in fields else None
        seen = SeenImage.from_arrays(fields["seen"], _of(_SEEN, arrays)) if "seen" in fields else None
        return cls(
            pose,
            arrays["shared"],
            arrays.get("local"),
            fields["level"],
            fields.get("side"),
            plain,
            fields.get("departure"),
            fields.get("error"),
            seen,
        )


def _of(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
