"""A full segmentation for `dals refine`: read, checked, reduced to the part that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dals.geometry.components import ComponentChoice
    from dals.geometry.label_map import LabelMap
    from dals.observations.observations import Segmentation
    from dals.observations.segmentation_checks import FindingKind

_ADVICE: dict[FindingKind, str] = {
    "several": "Choose another one with --component N.",
    "sides": "Choose with --component left or --component right.",
}


def checked_segmentation(
    label_map: LabelMap, *, component: ComponentChoice | None = None, probabilities: Path | None = None
) -> Segmentation:
    """What a fit is made to, with warnings (`DalsWarning`) of what is odd about it.

    Raises
    ------
    InputError
        If nothing can be fitted to it, there is no such component, or the probabilities do not belong to it.
    """
    from dals.io.probabilities import read_probabilities
    from dals.observations import checked_segmentation as shared

    values = None if probabilities is None else read_probabilities(probabilities, label_map)
    return shared.checked_segmentation(label_map, component=component, probabilities=values, advice=_ADVICE)
