"""From a label map to what a fit takes: one component, warnings with the front end's advice."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from known_shapes import grid

from dals.errors import DalsWarning, InputError
from dals.geometry.label_map import LabelMap
from dals.observations.checked_segmentation import checked_segmentation

ADVICE = {"several": "Choose another one.", "sides": "Choose a side."}


@pytest.fixture
def pair() -> LabelMap:
    """Two boxes of one voxel's margin, the larger one on the right (positive R)."""
    label_map = grid((40, 20, 20), (2.0, 2.0, 2.0))
    label_map.array[5:15, 5:15, 4:14] = True
    label_map.array[5:15, 5:15, 26:37] = True
    return label_map


def test_the_largest_is_taken_and_told_with_the_advice(pair: LabelMap) -> None:
    with pytest.warns(DalsWarning, match=r"left and right in one label.* Choose a side\.$"):
        observation = checked_segmentation(pair, advice=ADVICE)
    assert observation.label_map.array.sum() == 1100


def test_without_advice_the_sentence_ends_as_it_is(pair: LabelMap) -> None:
    with pytest.warns(DalsWarning, match=r"is used\.$"):
        checked_segmentation(pair)


def test_a_chosen_component_comes_alone_and_in_silence(pair: LabelMap) -> None:
    probabilities = np.where(pair.array, np.float32(0.9), np.float32(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observation = checked_segmentation(pair, component="left", probabilities=probabilities)
    np.testing.assert_array_equal(observation.probabilities > 0.5, observation.label_map.array)
    assert observation.label_map.array.sum() == 1000


def test_what_is_fatal_is_an_error() -> None:
    full = grid((5, 6, 7), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="Every voxel"):
        checked_segmentation(full.with_array(~full.array), advice=ADVICE)


@pytest.mark.parametrize("component", ["lft", "", "Right"])
def test_an_unknown_word_is_no_side(pair: LabelMap, component: str) -> None:
    with pytest.raises(InputError, match="'largest', 'left', 'right' or a rank"):
        checked_segmentation(pair, component=component)  # type: ignore[arg-type]
