"""Values as probabilities: what is refused, and what is doubted."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from known_shapes import grid

from dals.errors import DalsWarning, InputError
from dals.geometry.label_map import LabelMap
from dals.observations.probability_checks import checked_probabilities


@pytest.fixture
def segment() -> LabelMap:
    label_map = grid((6, 5, 4), (1.0, 1.0, 1.0))
    label_map.array[1:3, 1:4, 1:5] = True
    return label_map


def test_rounding_beyond_the_range_is_clipped(segment: LabelMap) -> None:
    values = np.where(segment.array, 1.0005, -0.0005)
    values[0, 0, 0] = 0.25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checked_probabilities(values, segment, source="softmax.nii.gz")
    assert found.dtype == np.float32
    assert (found.min(), found.max(), found[0, 0, 0]) == (0, 1, 0.25)


@pytest.mark.parametrize(
    ("value", "hint"), [(-3.0, "softmax"), (40.0, "percentages"), (200.0, "grey values"), (1e4, "no probability map")]
)
def test_other_values_are_refused_with_a_hint(segment: LabelMap, value: float, hint: str) -> None:
    with pytest.raises(InputError, match=rf"^'CT' holds values .*{hint}"):
        checked_probabilities(np.where(segment.array, value, 0.5), segment, source="'CT'")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(segment: LabelMap, value: float) -> None:
    with pytest.raises(InputError, match="not finite"):
        checked_probabilities(np.where(segment.array, value, 0.5), segment, source="'CT'")


def test_a_segmentation_and_another_organ_are_doubted(segment: LabelMap) -> None:
    with pytest.warns(DalsWarning, match="'CT' holds nothing but 0 and 1"):
        checked_probabilities(segment.array * 1.0, segment, source="'CT'")
    with pytest.warns(DalsWarning, match=r"probabilities of 'CT' are 0\.20 on average"):
        checked_probabilities(segment.array * 0.2, segment, source="'CT'")
