"""Gross self-crossings are refused by name; loops of a tremor and touching sides are not."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dals.demo.synthetic_liver import cut_contour, synthetic_liver
from dals.errors import InputError
from dals.geometry.splines import sample_closed_spline
from dals.observations.contours import Contour
from dals.observations.planar_contours import PlanarContours
from dals.observations.self_crossing import TOLERATED_SHARE, share_enclosed_wrongly


def _circle(count: int = 24, radius: float = 80.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)


def _share(clicked: np.ndarray) -> float:
    return share_enclosed_wrongly(Contour(sample_closed_spline(clicked), clicked))


def _eight() -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return 80 * np.stack([np.sin(angle), np.sin(2 * angle), 0 * angle], axis=1)


def _exchanged(first: int, second: int) -> np.ndarray:
    points = _circle()
    points[[first, second]] = points[[second, first]]
    return points


def _dumbbell(waist: float) -> np.ndarray:
    """Two lobes with a waist in millimetres; its sides overlap where that is negative."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    along = np.cos(angle)
    side = np.sign(np.sin(angle)) * (waist / 2 + 40 * along**2 * np.sqrt(np.clip(1 - along**2, 0, 1)))
    return np.stack([80 * along, side, 0 * angle], axis=1)


@pytest.mark.parametrize("turn", [0, 37, 90])
def test_an_eight_is_half_wrong_however_it_lies(turn: float) -> None:
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    assert _share(_eight() @ rotation.T + [3, -200, 50]) == pytest.approx(0.5, abs=0.02)


def test_twice_round_is_all_wrong() -> None:
    assert _share(np.concatenate([_circle(), _circle(radius=78.0)])) > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_clicks_in_no_order(seed: int) -> None:
    assert _share(np.random.default_rng(seed).permutation(_circle())) > TOLERATED_SHARE


def test_two_clicks_far_apart_that_were_exchanged() -> None:
    assert _share(_exchanged(5, 17)) > TOLERATED_SHARE


@pytest.mark.parametrize("reverse", [False, True])
def test_a_simple_curve_is_all_right_either_way_round(reverse: bool) -> None:
    assert _share(_circle()[::-1] if reverse else _circle()) == 0
    truth = synthetic_liver()
    middle = 0.5 * (truth.vertices.min(axis=0) + truth.vertices.max(axis=0))
    assert _share(cut_contour(truth, middle, np.array([0.0, 0.0, 1.0]), seed=0)) < 0.01


@pytest.mark.parametrize(("count", "tremor_mm"), [(100, 3.0), (400, 1.0), (400, 2.0), (1000, 1.0)])
def test_the_loops_of_a_tremor_are_tolerated(count: int, tremor_mm: float) -> None:
    shaking = np.random.default_rng(0).normal(0, tremor_mm, (count, 3)) * [1, 1, 0]
    assert 0 < _share(_circle(count) + shaking) < TOLERATED_SHARE


def test_neighbouring_clicks_that_were_exchanged_are_tolerated() -> None:
    assert _share(_exchanged(5, 6)) < TOLERATED_SHARE


@pytest.mark.parametrize("waist", [3.0, 0.0, -2.0])
def test_a_narrow_waist_is_tolerated(waist: float) -> None:
    assert _share(_dumbbell(waist)) < TOLERATED_SHARE


def test_the_sentence_names_the_contour() -> None:
    others = [np.roll(_circle(), shift, axis=1) for shift in (1, 2)]
    contours = [Contour(sample_closed_spline(points), points, f"c{k}") for k, points in enumerate([*others, _eight()])]
    with pytest.raises(InputError, match="'c2' crosses itself"):
        PlanarContours(tuple(contours))


def test_a_curve_of_very_many_points_takes_no_time() -> None:
    contour = Contour(_circle(60_000))
    began = time.process_time()
    assert share_enclosed_wrongly(contour) == 0
    assert time.process_time() - began < 0.5
