"""Extremely randomised trees (Geurts et al. 2006) in numpy, for two classes.

Random splits need no sorting, so that all trees grow together, a level at a time, by sums over nodes. A library would
bring the same trees with tens of megabytes into Slicer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dals.geometry.mesh import FloatArray, IntArray

TREES = 40
_DEEPEST = 30
_LEAF = 5
"""Fewest samples of a leaf."""
_CHUNK = 16_384
"""Samples that are classified together: what they need stays in the processor's cache."""
_TRIES = 4
"""Random splits of a node of which the best is taken."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that vote.

    Attributes
    ----------
    feature : (M,) int64
        That a node compares; -1 in leaves.
    threshold : (M,) float32
    child : (M,) int64
        Node for values up to the threshold; the one for larger values follows it.
    share : (M,) float64
        Of class 1 among the training samples of a node.
    trees : int
        The first nodes are their roots.
    """

    feature: IntArray
    threshold: NDArray[np.float32]
    child: IntArray
    share: FloatArray
    trees: int

    def __call__(self, samples: NDArray[np.float32]) -> FloatArray:
        """Probability of class 1 for samples (N, C), (N,)."""
        chunks = [self._votes(samples[first : first + _CHUNK]) for first in range(0, len(samples), _CHUNK)]
        return np.concatenate(chunks) / self.trees if chunks else np.zeros(0)

    def _votes(self, samples: NDArray[np.float32]) -> FloatArray:
        """Sum of the trees' probabilities."""
        votes = np.zeros(len(samples))
        flat, width = np.ascontiguousarray(samples, dtype=np.float32).ravel(), samples.shape[1]
        for tree in range(self.trees):
            going, node = np.arange(len(samples)), np.full(len(samples), tree)
            while len(going):
                feature = self.feature[node]
                inner = feature >= 0
                votes[going[~inner]] += self.share[node[~inner]]
                going, node, feature = going[inner], node[inner], feature[inner]
                node = self.child[node] + (flat[going * width + feature] > self.threshold[node])
        return votes


def grow(samples: NDArray[np.float32], classes: NDArray[np.bool_], *, trees: int = TREES, seed: int = 0) -> Forest:
    """Learn to tell two classes apart.

    Parameters
    ----------
    samples : (N, C) float32
    classes : (N,) bool
    trees : int
    seed : int
        The same seed gives the same forest.
    """
    rng = np.random.default_rng(seed)
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    # The samples of all nodes of a level, node by node.
    member = np.tile(np.arange(len(samples)), trees)
    sizes = np.full(trees, len(samples))
    features, thresholds, children, shares = [], [], [], []
    first = 0
    for depth in range(_DEEPEST + 1):
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        positive = np.add.reduceat(classes[member].astype(np.int64), starts)
        shares.append(positive / sizes)
        feature, threshold = np.full(len(sizes), -1), np.zeros(len(sizes), dtype=np.float32)
        if depth < _DEEPEST:
            feature, threshold = _best_splits(samples, classes, member, starts, sizes, positive, rng)
        split = feature >= 0
        child = np.full(len(sizes), -1)
        child[split] = first + len(sizes) + 2 * np.arange(np.count_nonzero(split))
        features.append(feature)
        thresholds.append(threshold)
        children.append(child)
        if not split.any():
            break
        first += len(sizes)
        member, sizes = _divided(samples, member, sizes, feature, threshold)
    return Forest(
        np.concatenate(features), np.concatenate(thresholds), np.concatenate(children), np.concatenate(shares), trees
    )


def _best_splits(
    samples: NDArray[np.float32],
    classes: NDArray[np.bool_],
    member: IntArray,
    starts: IntArray,
    sizes: IntArray,
    positive: IntArray,
    rng: np.random.Generator,
) -> tuple[IntArray, NDArray[np.float32]]:
    """The purest of a few random splits of each node: feature (-1 for none) and threshold."""
    best_feature, best_threshold = np.full(len(sizes), -1), np.zeros(len(sizes), dtype=np.float32)
    least = np.full(len(sizes), np.inf)
    node = np.repeat(np.arange(len(sizes)), sizes)
    signs = classes[member]
    mixed = (positive > 0) & (positive < sizes) & (sizes >= 2 * _LEAF)
    for _ in range(_TRIES):
        feature = rng.integers(samples.shape[1], size=len(sizes))
        values = samples[member, feature[node]]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        threshold = low + (high - low) * rng.random(len(sizes), dtype=np.float32)
        above = values > threshold[node]
        right = np.add.reduceat(above.astype(np.int64), starts)
        right_positive = np.add.reduceat((above & signs).astype(np.int64), starts)
        left, left_positive = sizes - right, positive - right_positive
        impurity = _impurity(left, left_positive) + _impurity(right, right_positive)
        better = mixed & (left >= _LEAF) & (right >= _LEAF) & (impurity < least)
        least[better] = impurity[better]
        best_feature[better], best_threshold[better] = feature[better], threshold[better]
    return best_feature, best_threshold


def _impurity(count: IntArray, positive: IntArray) -> FloatArray:
    """Gini's, times the number of samples."""
    return np.asarray(positive * (1 - positive / np.maximum(count, 1)))


def _divided(
    samples: NDArray[np.float32],
    member: IntArray,
    sizes: IntArray,
    feature: IntArray,
    threshold: NDArray[np.float32],
) -> tuple[IntArray, IntArray]:
    """Samples and sizes of the next level's nodes."""
    split = feature >= 0
    node = np.repeat(np.arange(len(sizes)), sizes)
    inner = split[node]
    member, node = member[inner], node[inner]
    following = 2 * (np.cumsum(split) - 1)[node] + (samples[member, feature[node]] > threshold[node])
    order = np.argsort(following, kind="stable")
    return member[order], np.bincount(following, minlength=2 * np.count_nonzero(split))
