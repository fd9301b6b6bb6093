"""Values as probabilities: what is refused, and what is doubted."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import grid

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.observations.probability_checks import checked_probabilities, doubts


@pytest.fixture
def segment() -> LabelMap:
    label_map = grid((6, 5, 4), (1.0, 1.0, 1.0))
    label_map.array[1:3, 1:4, 1:5] = True
    return label_map


def test_rounding_beyond_the_range_is_clipped(segment: LabelMap) -> None:
    values = np.where(segment.array, 1.0005, -0.0005)
    values[0, 0, 0] = 0.25
    found = checked_probabilities(values, source="softmax.nii.gz")
    assert found.dtype == np.float32
    assert (found.min(), found.max(), found[0, 0, 0]) == (0, 1, 0.25)


@pytest.mark.parametrize(
    ("value", "hint"), [(-3.0, "softmax"), (40.0, "percentages"), (200.0, "grey values"), (1e4, "no probability map")]
)
def test_other_values_are_refused_with_a_hint(segment: LabelMap, value: float, hint: str) -> None:
    with pytest.raises(InputError, match=rf"^'CT' holds values .*{hint}"):
        checked_probabilities(np.where(segment.array, value, 0.5), source="'CT'")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(segment: LabelMap, value: float) -> None:
    with pytest.raises(InputError, match="not finite"):
        checked_probabilities(np.where(segment.array, value, 0.5), source="'CT'")


def test_a_segmentation_and_another_organ_are_doubted(segment: LabelMap) -> None:
    (sentence,) = doubts(segment.array.astype(np.float32), segment)
    assert "nothing but 0 and 1" in sentence
    (sentence,) = doubts(np.float32(0.2) * segment.array, segment)
    assert "0.20 on average" in sentence


def test_good_probabilities_are_not_doubted(segment: LabelMap) -> None:
    assert doubts(np.where(segment.array, np.float32(0.9), np.float32(0.1)), segment) == ()
