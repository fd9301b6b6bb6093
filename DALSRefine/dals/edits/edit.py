"""One difference between a segmentation and the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

EditKind = Literal["island removed", "hole filled", "leak cut", "missing part restored", "slice steps smoothed"]


@dataclass(frozen=True)
class Edit:
    """One difference between a segmentation and the result, or one that is proposed.

    Attributes
    ----------
    kind : str
    centre_mm : (3,) tuple of float
        Its centre of mass, RAS mm; of several islands or holes, that of the largest one.
    volume_ml : float
    depth_mm : float
        Largest distance of a removed or added place from the surface that it is measured from: the prior's for
        leaks, the input's otherwise.
    input_deviations, result_deviations : float or None
        Mean distance of the input's and the result's boundary there from the prior's surface, in posterior standard
        deviations of that surface; None where it does not matter.
    probability : float
        How probably the input is wrong there.
    applied : bool
        Whether the result has it; if not, it is only proposed.
    parts : int
        Islands or holes; tiny ones make one edit.
    """

    kind: EditKind
    centre_mm: tuple[float, float, float]
    volume_ml: float
    depth_mm: float
    input_deviations: float | None
    result_deviations: float | None
    probability: float
    applied: bool
    parts: int = 1

    @property
    def removes(self) -> bool:
        """Whether it takes something off the segmentation."""
        return self.kind in ("island removed", "leak cut")

    def with_state(self, *, applied: bool) -> Edit:
        """The same edit, carried out or only proposed."""
        after = 0.0 if applied and self.input_deviations is not None else self.input_deviations
        return replace(self, applied=applied, result_deviations=after)

    def as_fields(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return {**asdict(self), "centre_mm": list(self.centre_mm)}
