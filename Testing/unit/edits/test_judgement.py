"""What shape and image together say of a candidate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dals.edits.candidates import Candidate
from dals.edits.judgement import is_applied, probability_of_error

_BOX = (slice(0, 1),) * 3


def candidate(*, surplus: bool, deviations: float, odds: float = 0.0, trust: float = 0.0) -> Candidate:
    region = np.ones((1, 1, 1), dtype=bool)
    return Candidate(surplus, _BOX, region, 8.0, deviations, 0.3, 5.0, np.zeros(3), odds, trust)


@pytest.mark.parametrize("surplus", [True, False])
def test_without_trust_the_image_says_nothing(surplus: bool) -> None:
    shape = candidate(surplus=surplus, deviations=4.0)
    assert probability_of_error(replace(shape, odds=3.5)) == probability_of_error(shape)
    barely = probability_of_error(replace(shape, odds=3.5, trust=1e-6))
    assert barely == pytest.approx(probability_of_error(shape), abs=1e-5)


@pytest.mark.parametrize("surplus", [True, False])
def test_the_more_it_looks_like_the_organ_the_more_of_it_stays_or_comes_back(surplus: bool) -> None:
    found = [
        probability_of_error(candidate(surplus=surplus, deviations=4.0, odds=odds, trust=1.0))
        for odds in np.linspace(-3.9, 3.9, 40)
    ]
    steps = np.diff(found)
    assert (steps <= 1e-12).all() if surplus else (steps >= -1e-12).all()
    assert abs(found[0] - found[-1]) > 0.3


def test_a_leak_that_only_looks_unlike_the_organ_a_little_is_left_to_the_shape() -> None:
    shape = candidate(surplus=True, deviations=5.0)
    assert probability_of_error(replace(shape, odds=-1.0, trust=1.0)) == pytest.approx(probability_of_error(shape))


def test_a_part_that_the_shape_only_proposes_is_restored_if_it_looks_like_the_organ() -> None:
    doubtful = candidate(surplus=False, deviations=4.0)
    assert 0.45 < probability_of_error(doubtful) < 0.65
    assert not is_applied(doubtful, "applied", same_organ=True)
    assert is_applied(replace(doubtful, odds=3.5, trust=1.0), "applied", same_organ=True)
    assert not is_applied(replace(doubtful, odds=3.5, trust=1.0), "applied", same_organ=False)
    assert not is_applied(replace(doubtful, odds=3.5, trust=1.0), "proposed", same_organ=True)


def test_a_clear_leak_that_looks_like_the_organ_is_kept() -> None:
    leak = candidate(surplus=True, deviations=9.0)
    assert probability_of_error(leak) > 0.95
    assert is_applied(leak, "applied", same_organ=True)
    assert not is_applied(replace(leak, odds=3.9, trust=1.0), "applied", same_organ=True)
