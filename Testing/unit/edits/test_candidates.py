"""Places where a mask and a surface are apart, and how they are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dals.edits.candidates import Candidate, regrown
from dals.edits.judgement import PROPOSED, is_applied, probability_of_error


def candidate(first: int, size: int, *, surplus: bool = True, **changed) -> Candidate:
    made = Candidate(
        surplus,
        (slice(first, first + size),) * 3,
        np.ones((size, size, size), dtype=bool),
        depth_mm=20.0,
        deviations=8.0,
        roundness=0.6,
        volume_ml=size**3 / 1e3,
        centre_mm=np.full(3, first + size / 2),
    )
    return replace(made, **changed)


def test_far_and_round_places_are_wrong_and_flat_ones_are_not() -> None:
    for surplus in (True, False):
        far, near, flat = (
            probability_of_error(candidate(0, 5, surplus=surplus, **changed))
            for changed in ({}, {"deviations": 1.5}, {"roundness": 0.01})
        )
        assert far > 0.9
        assert near < 0.4
        assert flat < 0.4


@pytest.mark.parametrize(("edits", "expected"), [("applied", [True, False]), ("proposed", [False, False])])
def test_only_what_is_probable_is_applied(edits, expected) -> None:
    sure = candidate(0, 5)
    doubtful = candidate(0, 5, deviations=4.3, roundness=0.3)
    assert PROPOSED <= probability_of_error(doubtful) < 0.8
    assert [is_applied(one, edits, same_organ=True) for one in (sure, doubtful)] == expected
    assert is_applied(doubtful, "all", same_organ=True)
    assert not is_applied(sure, "all", same_organ=False)


def test_a_candidate_grows_and_stays_judged_as_it_was() -> None:
    old, new = candidate(2, 6, deviations=9.0), candidate(1, 7, deviations=3.0, roundness=0.1)
    (found,) = regrown([old], [new, candidate(20, 4)])
    assert (found.box, found.volume_ml) == (new.box, new.volume_ml)
    assert (found.deviations, found.roundness) == (9.0, old.roundness)


def test_one_that_would_grow_out_of_proportion_stays() -> None:
    old = candidate(2, 3)
    assert regrown([old], [candidate(0, 9)]) == [old]


def test_surplus_does_not_grow_into_lack() -> None:
    assert regrown([candidate(2, 6)], [candidate(2, 6, surplus=False)]) == []
