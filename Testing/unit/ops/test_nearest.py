"""Nearest neighbours against brute force."""

from __future__ import annotations

import pytest
import torch
from shapes import random_points
from torch import Tensor

from dals.ops import nearest as nearest_module
from dals.ops.nearest import PointIndex, nearest


def _naive(queries: Tensor, references: Tensor) -> Tensor:
    return torch.stack([(references - query).square().sum(dim=1).argmin() for query in queries])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_a_loop(dtype: torch.dtype) -> None:
    queries, references = random_points(50, seed=1, dtype=dtype), random_points(80, seed=2, dtype=dtype)
    found = nearest(queries, references)
    assert found.dtype == torch.int64
    assert torch.equal(found, _naive(queries, references))
    assert torch.equal(PointIndex(references).nearest(queries), found)


def test_every_batch_element_is_searched_in_its_own_set() -> None:
    queries, references = random_points(2, 3, 20, seed=1), random_points(2, 3, 30, seed=2)
    found, indexed = nearest(queries, references), PointIndex(references).nearest(queries)
    assert found.shape == indexed.shape == (2, 3, 20)
    for a in range(2):
        for b in range(3):
            assert torch.equal(found[a, b], _naive(queries[a, b], references[a, b]))
    assert torch.equal(indexed, found)


def test_batches_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        PointIndex(random_points(5)).nearest(random_points(2, 4))


def test_a_point_finds_itself_among_far_away_points() -> None:
    points = random_points(100, dtype=torch.float32) + 1000  # where a matrix-product shortcut loses digits
    assert torch.equal(nearest(points, points), torch.arange(100))


def test_ties_give_one_of_the_nearest() -> None:
    references = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 5, 0]])
    assert int(nearest(torch.zeros(1, 3), references)[0]) in (0, 1, 2)


def test_a_single_reference() -> None:
    assert nearest(random_points(4), random_points(1)).tolist() == [0, 0, 0, 0]


def test_points_that_carry_gradients_can_be_searched() -> None:
    points = random_points(10).requires_grad_()
    assert not nearest(points, points).requires_grad
    assert not PointIndex(points).points.requires_grad


@pytest.mark.parametrize("pairs", [1, 40, 1 << 20])
def test_the_accelerators_search_agrees_for_any_chunk(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_module, "_PAIRS_AT_ONCE", pairs)
    queries, references = random_points(2, 17, seed=1), random_points(2, 9, seed=2)
    found = nearest_module._nearest_brute_force(queries, references)
    assert torch.equal(found, nearest(queries, references))
