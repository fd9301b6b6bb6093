"""A full segmentation as a fit takes it: checked, and reduced to the component that was asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dals.errors import DalsWarning, InputError
from dals.geometry.components import ComponentChoice, Components, probabilities_of_component
from dals.geometry.label_map import LabelMap
from dals.observations.observations import Segmentation
from dals.observations.segmentation_checks import Finding, FindingKind, check_segmentation

_NO_ADVICE: Mapping[FindingKind, str] = MappingProxyType({})


def checked_segmentation(
    label_map: LabelMap,
    *,
    component: ComponentChoice | None = None,
    probabilities: NDArray[np.float32] | None = None,
    advice: Mapping[FindingKind, str] = _NO_ADVICE,
) -> Segmentation:
    """Make the observation that a fit takes, with a warning (`DalsWarning`) for each finding.

    Parameters
    ----------
    label_map : LabelMap
        Not empty.
    component : "largest", "left", "right", int or None
        The part to fit; None takes the largest, with its islands.
    probabilities : (K, J, I) float32, optional
        On the grid of the label map.
    advice : mapping
        A sentence for each kind of finding: how the user chooses another component here.

    Raises
    ------
    InputError
        If every voxel is marked, there is no such component, or the probabilities are on another grid.
    """
    components = Components(label_map)
    tell(check_segmentation(label_map, component=component, components=components), advice=advice)
    chosen = components.chosen(component)
    if probabilities is None:
        return Segmentation(chosen)
    return Segmentation(chosen, probabilities_of_component(probabilities, label_map, chosen))


def tell(findings: Iterable[Finding], *, advice: Mapping[FindingKind, str] = _NO_ADVICE) -> None:
    """Warn (`DalsWarning`) of findings; a fatal one raises `InputError`."""
    for finding in findings:
        if finding.is_fatal:
            raise InputError(finding.message)
        sentences = [finding.message, advice.get(finding.kind, "")]
        warnings.warn(" ".join(filter(None, sentences)), DalsWarning, stacklevel=3)
