"""What the fitting process tells of a segmentation before it fits; no Slicer is needed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dals.errors import DalsWarning, InputError
from dals.geometry.label_map import LabelMap
from dals.observations.observations import PointCloud, Segmentation
from DALSRefineLib.process.fitting_job import warn_of_parts


def segmentation(*boxes: tuple[slice, slice, slice]) -> Segmentation:
    array = np.zeros((20, 20, 40), dtype=bool)
    for box in boxes:
        array[box] = True
    return Segmentation(LabelMap(array, np.eye(4), "kidneys"))


def test_left_and_right_in_one_segment_warn():
    middle = slice(5, 15)
    with pytest.warns(DalsWarning) as caught:
        warn_of_parts(segmentation((middle, middle, slice(2, 12)), (middle, middle, slice(28, 37))))
    (sentence,) = (str(warning.message) for warning in caught)
    assert "kidneys holds left and right in one label" in sentence
    assert sentence.endswith("Split them with the effect Islands of the Segment Editor to refine another one.")


def test_a_segment_that_fills_its_image_cannot_be_fitted():
    everything = slice(None), slice(None), slice(None)
    with pytest.raises(InputError, match="Every voxel"):
        warn_of_parts(segmentation(everything))


def test_one_organ_even_at_the_border_and_points_are_left_alone():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_parts(segmentation((slice(5, 15), slice(5, 15), slice(0, 12))))
        warn_of_parts(PointCloud(np.random.default_rng(0).random((10, 3))))
    assert caught == []
