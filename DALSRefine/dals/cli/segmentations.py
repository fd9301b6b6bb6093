"""A full segmentation for `dals refine`: read, checked, reduced to the part that was asked for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from dals.errors import DalsWarning, InputError

if TYPE_CHECKING:
    from dals.geometry.components import ComponentChoice
    from dals.geometry.label_map import LabelMap
    from dals.observations.observations import Segmentation

_ADVICE = {
    "several": " Choose another one with --component N.",
    "sides": " Choose with --component left or --component right.",
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
    from dals.geometry.components import Components, probabilities_of_component
    from dals.io.probabilities import read_probabilities
    from dals.observations.observations import Segmentation
    from dals.observations.segmentation_checks import check_segmentation

    components = Components(label_map)
    for finding in check_segmentation(label_map, component=component, components=components):
        if finding.is_fatal:
            raise InputError(finding.message)
        warnings.warn(finding.message + _ADVICE.get(finding.kind, ""), DalsWarning, stacklevel=2)
    chosen = components.chosen(component)
    if probabilities is None:
        return Segmentation(chosen)
    values = read_probabilities(probabilities, label_map)
    return Segmentation(chosen, probabilities_of_component(values, label_map, chosen))
