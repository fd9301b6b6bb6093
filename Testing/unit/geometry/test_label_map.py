"""A mask on a grid, and the part of it that matters."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import marked_points

from dals.geometry.label_map import LabelMap


def oblique() -> LabelMap:
    """Two voxels on a left-handed oblique grid."""
    angle = np.deg2rad(20)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[np.cos(angle), 0, np.sin(angle)], [0, -1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    matrix[:3, :3] *= [0.7, 1.1, 3.0]
    matrix[:3, 3] = [10, -20, 30]
    array = np.zeros((6, 7, 8), dtype=bool)
    array[2, 3, 4] = array[4, 3, 6] = True
    return LabelMap(array, matrix, "two voxels")


def test_voxel_centres_in_ras() -> None:
    label_map = oblique()
    expected = [(label_map.ijk_to_ras @ [i, j, k, 1])[:3] for i, j, k in ((4, 3, 2), (6, 3, 4))]
    assert np.allclose(marked_points(label_map), expected)
    assert marked_points(label_map.empty_like()).shape == (0, 3)


def test_bounds_are_those_of_all_voxels_on_an_oblique_grid() -> None:
    rng = np.random.default_rng(0)
    for share in (0.003, 0.02, 0.5):
        label_map = LabelMap(rng.random((9, 10, 11)) < share, oblique().ijk_to_ras)
        points = marked_points(label_map)
        np.testing.assert_allclose(label_map.marked_bounds, [points.min(axis=0), points.max(axis=0)], atol=1e-9)


def test_a_cropped_map_is_the_same_in_space() -> None:
    label_map = oblique()
    part = label_map.cropped()
    assert label_map.marked_box == (slice(2, 5), slice(3, 4), slice(4, 7))
    assert part.array.shape == (3, 1, 3)
    assert part.name == "two voxels"
    assert part.volume == pytest.approx(label_map.volume)
    assert np.allclose(marked_points(part), marked_points(label_map))
    assert np.array_equal(label_map.array, oblique().array)


def test_a_cropped_part_finds_its_place() -> None:
    rng = np.random.default_rng(0)
    array = rng.random((5, 6, 7)) < 0.1
    array[0] = array[:, :, -1] = False
    whole = LabelMap(array, oblique().ijk_to_ras)
    assert whole.cropped().array.shape != array.shape
    assert np.array_equal(whole.empty_like().with_part(whole.cropped()).array, array)
