"""Choosing one of the separate parts of a label map."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import marked_points

from dals.errors import InputError
from dals.geometry.components import Components, probabilities_of_component
from dals.geometry.label_map import LabelMap


def boxes(*corners: tuple[int, int, int, int], ras_axis: int = 0) -> LabelMap:
    """Cubes (k, j, i, edge) on a grid whose first image axis runs to the patient's left, 2 mm."""
    array = np.zeros((30, 30, 60), dtype=bool)
    for k, j, i, edge in corners:
        array[k : k + edge, j : j + edge, i : i + edge] = True
    return LabelMap(array, np.diag([-2.0, 2.0, 2.0, 1.0]), "boxes")


PAIR = boxes((10, 10, 5, 9), (10, 10, 40, 10), (1, 1, 25, 2))


def test_measures() -> None:
    components = Components(PAIR)
    assert components.count == 3
    first, second = components.large
    assert (first.volume, second.volume) == pytest.approx((8 * 1000, 8 * 729))
    np.testing.assert_allclose(first.centre, [-89, 29, 29])
    np.testing.assert_allclose(second.low, [-26, 20, 20])
    np.testing.assert_allclose(second.high, [-10, 36, 36])


@pytest.mark.parametrize(
    ("choice", "volume", "side"),
    [("largest", 1000, 40), (1, 1000, 40), (2, 729, 5), (3, 8, 25), ("left", 1000, 40), ("right", 729, 5)],
)
def test_choosing(choice: int | str, volume: int, side: int) -> None:
    chosen = Components(PAIR).chosen(choice)  # type: ignore[arg-type]
    assert chosen.array.sum() == volume
    assert np.flatnonzero(chosen.array.any(axis=(0, 1)))[0] == side
    assert not (chosen.array & ~PAIR.array).any()


def test_without_a_choice_the_others_go_and_islands_alone_stay() -> None:
    assert Components(PAIR).chosen(None).array.sum() == 1000
    damaged = boxes((10, 10, 5, 9), (1, 1, 25, 2))
    assert Components(damaged).chosen(None) is damaged
    assert Components(damaged).chosen("largest").array.sum() == 729


@pytest.mark.parametrize("side", ["left", "right"])
def test_there_is_no_side(side: str) -> None:
    with pytest.raises(InputError, match=f"no component on the {side}.*only one large"):
        Components(boxes((10, 10, 5, 9))).chosen(side)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"no component on the {side}.*above each other"):
        Components(boxes((2, 10, 5, 9), (20, 10, 6, 9))).chosen(side)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["lft", "", "Right"])
def test_an_unknown_word_is_no_side(word: str) -> None:
    with pytest.raises(InputError, match="'largest', 'left', 'right' or a rank"):
        Components(PAIR).rank_of(word)  # type: ignore[arg-type]


@pytest.mark.parametrize("rank", [0, 4, -1])
def test_there_is_no_such_rank(rank: int) -> None:
    with pytest.raises(InputError, match="3 components"):
        Components(PAIR).chosen(rank)


def test_the_box_of_what_is_marked() -> None:
    assert PAIR.marked_box == (slice(1, 20), slice(1, 20), slice(5, 50))


def test_probabilities_of_the_others_go() -> None:
    pair = boxes((10, 10, 5, 10), (10, 10, 21, 10))
    chosen = Components(pair).chosen("right")
    probabilities = np.full(pair.array.shape, 0.3, dtype=np.float32)
    probabilities[pair.array] = 0.9
    kept = probabilities_of_component(probabilities, pair, chosen)
    np.testing.assert_array_equal(kept[:, :, :18], probabilities[:, :, :18])  # half-way between the two
    assert not kept[:, :, 18:].any()
    assert probabilities.min() > 0.2  # the given array stays as it was
    assert probabilities_of_component(probabilities, pair, pair) is probabilities


def test_measures_on_an_oblique_grid_are_those_of_all_voxels() -> None:
    rng = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * [0.7, 1.1, 3.0]
    array = np.zeros((12, 13, 14), dtype=bool)
    array[2:9, 3:11, 4:12] = rng.random((7, 8, 8)) < 0.9
    largest = Components(LabelMap(array, matrix)).chosen(1)
    part = Components(largest).large[0]
    points = marked_points(largest)
    np.testing.assert_allclose([part.low, part.high], [points.min(axis=0), points.max(axis=0)], atol=1e-9)
    np.testing.assert_allclose(part.centre, points.mean(axis=0), atol=1e-9)
    assert part.volume == pytest.approx(largest.volume)
