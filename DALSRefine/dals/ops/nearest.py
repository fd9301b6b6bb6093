"""Nearest neighbours: k-d trees on the CPU, chunked brute force on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dals.ops.threads import in_threads

_Item = TypeVar("_Item")

_PAIRS_AT_ONCE = 1 << 27  # 512 MB of float32 distances
_WORTH_THREADS = 50_000  # queries; for fewer, threads cost more than they save


class PointIndex:
    """A search structure for point sets (..., M, 3) that are queried many times."""

    def __init__(self, points: Tensor) -> None:
        self.points = points.detach()
        flat = self.points.reshape(-1, *self.points.shape[-2:])
        self._trees = [cKDTree(part.numpy()) for part in flat] if points.device.type == "cpu" else None

    def nearest(self, queries: Tensor) -> Tensor:
        """Index of the nearest point of each query (..., N, 3), int64 (..., N), without gradient."""
        if self._trees is None:
            return nearest(queries, self.points)
        flat = queries.detach().reshape(-1, *queries.shape[-2:])
        found = _each(lambda pair: _query(*pair), list(zip(self._trees, flat, strict=True)), queries=flat)
        return torch.stack(found).reshape(queries.shape[:-1])


def nearest(queries: Tensor, references: Tensor) -> Tensor:
    """Index of the nearest reference of each query, without gradient.

    Parameters
    ----------
    queries : (..., N, 3)
    references : (..., M, 3)

    Returns
    -------
    (..., N) int64
    """
    shape = queries.shape[:-1]
    flat_queries = queries.detach().reshape(-1, *queries.shape[-2:])
    flat_references = references.detach().reshape(-1, *references.shape[-2:])
    if queries.device.type != "cpu":
        return _nearest_brute_force(flat_queries, flat_references).reshape(shape)

    def search(pair: tuple[Tensor, Tensor]) -> Tensor:
        # Balancing does not pay for a tree that is used once.
        return _query(cKDTree(pair[1].numpy(), balanced_tree=False, compact_nodes=False), pair[0])

    found = _each(search, list(zip(flat_queries, flat_references, strict=True)), queries=flat_queries)
    return torch.stack(found).reshape(shape)


def _query(tree: cKDTree, queries: Tensor) -> Tensor:
    return torch.as_tensor(tree.query(queries.numpy())[1], dtype=torch.int64)


def _each(function: Callable[[_Item], Tensor], items: list[_Item], *, queries: Tensor) -> list[Tensor]:
    """Apply a function to each item, in threads if there are many queries."""
    if len(items) == 1 or queries.shape[:-1].numel() < _WORTH_THREADS:
        return [function(item) for item in items]
    return in_threads(function, items)


def _nearest_brute_force(queries: Tensor, references: Tensor) -> Tensor:
    """Index of the nearest reference (B, M, 3) of each query (B, N, 3), int64 (B, N), from all pairs.

    `torch.cdist` has a block of threads for each pair on a GPU, which made training fifty times slower, or takes a
    matrix product of reduced precision.
    """
    batch = len(queries)
    centre = references.mean(dim=1, keepdim=True)  # near zero, rounding costs the squares least
    queries, references = queries - centre, references - centre
    lengths = references.square().sum(dim=2)[:, None]
    rows = max(1, _PAIRS_AT_ONCE // (batch * references.shape[1]))
    return torch.cat([_least(chunk, references, lengths).argmin(dim=2) for chunk in queries.split(rows, dim=1)], dim=1)


def _least(queries: Tensor, references: Tensor, lengths: Tensor) -> Tensor:
    """Squared distances (B, N, M), less the queries' own squared lengths."""
    squared = torch.addcmul(lengths, queries[..., :1], references[:, None, :, 0], value=-2)
    for axis in (1, 2):
        squared.addcmul_(queries[..., axis, None], references[:, None, :, axis], value=-2)
    return squared
