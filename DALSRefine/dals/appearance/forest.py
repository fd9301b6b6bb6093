"""Extremely randomised trees (Geurts et al. 2006) in numpy, for two classes.

Random splits need no sorting, so that all trees grow together, a level at a time, by sums over nodes. A library would
bring the same trees with tens of megabytes into Slicer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray, IntArray
from dals.ops.threads import in_threads

TREES = 40
_LEVELS = 14
_LEAF = 5
"""Fewest samples of a leaf."""
_TRIES = 4
"""Random splits of a node of which the best is taken."""
_MOST_OF_A_TREE = 10_000
"""Samples from which a tree learns, drawn anew for each."""
_CHUNK = 16_384
"""Samples that are classified together: what they need stays in the processor's cache."""
_FIRST, _CLEAR = 0.25, 0.01
"""Share of the trees that vote on every sample; where they agree up to a probability, the others are not asked."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that vote, each complete with L levels: a branch that ends early goes on to the left.

    A tree's nodes are numbered from 1; node n has the children 2 n and 2 n + 1.

    Attributes
    ----------
    feature : (T, 2^L) int64
        That a node compares.
    threshold : (T, 2^L) float32
        Values above it go to the right.
    share : (T, 2^L) float32
        Of class 1 among the training samples of a leaf, from left to right.
    """

    feature: IntArray
    threshold: NDArray[np.float32]
    share: NDArray[np.float32]

    def __call__(self, samples: NDArray[np.float32]) -> FloatArray:
        """Probability of class 1 for samples (N, C), (N,)."""
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        chunks = [samples[first : first + _CHUNK] for first in range(0, len(samples), _CHUNK)]
        found = in_threads(self._probability, chunks)
        return np.concatenate(found).astype(np.float64) if found else np.zeros(0)

    def _probability(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        trees = len(self.feature)
        first = max(1, round(_FIRST * trees))
        votes = self._votes(samples, range(first))
        found = votes / np.float32(first)
        unclear = np.flatnonzero(np.abs(found - 0.5) < 0.5 - _CLEAR)
        found[unclear] = (votes[unclear] + self._votes(samples[unclear], range(first, trees))) / np.float32(trees)
        return found

    def _votes(self, samples: NDArray[np.float32], trees: range) -> NDArray[np.float32]:
        """Sum of the probabilities of some trees."""
        count, width = samples.shape
        values, rows = samples.ravel(), width * np.arange(count)
        votes = np.zeros(count, dtype=np.float32)
        for tree in trees:
            feature, threshold = self.feature[tree], self.threshold[tree]
            node = np.ones(count, dtype=np.int64)
            for _ in range(_LEVELS):
                above = values.take(feature.take(node) + rows) > threshold.take(node)
                node = 2 * node + above
            votes += self.share[tree].take(node - (1 << _LEVELS))
        return votes


def grow(samples: NDArray[np.float32], classes: BoolArray, *, trees: int = TREES, seed: int = 0) -> Forest:
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
    values, width = np.ascontiguousarray(samples, dtype=np.float32).ravel(), samples.shape[1]
    each = min(len(samples), _MOST_OF_A_TREE)
    # The samples of all nodes of a level, node by node.
    member = np.concatenate([rng.permutation(len(samples))[:each] for _ in range(trees)])
    sizes = np.full(trees, each)
    tree, number = np.arange(trees), np.ones(trees, dtype=np.int64)
    ends = 1 << _LEVELS
    feature = np.zeros((trees, ends), dtype=np.int64)
    threshold = np.full((trees, ends), np.inf, dtype=np.float32)
    share = np.zeros((trees, ends), dtype=np.float32)
    for depth in range(_LEVELS + 1):
        starts = np.cumsum(sizes) - sizes
        positive = np.add.reduceat(classes[member], starts, dtype=np.int64)
        split = (positive > 0) & (positive < sizes) & (sizes >= 2 * _LEAF) & (depth < _LEVELS)
        if split.any():
            level = _Level(values, width, classes, member, starts, sizes, positive)
            compared, limit = level.best_splits(split, _chances(seed, tree, number))
            split = compared >= 0
        leaf = (number[~split] << (_LEVELS - depth)) - ends
        share[tree[~split], leaf] = positive[~split] / sizes[~split]
        if not split.any():
            break
        feature[tree[split], number[split]], threshold[tree[split], number[split]] = compared[split], limit[split]
        member, sizes = level.divided(compared, limit)
        tree = np.repeat(tree[split], 2)
        number = np.stack([2 * number[split], 2 * number[split] + 1], axis=1).ravel()
    return Forest(feature, threshold, share)


@dataclass(frozen=True, eq=False)
class _Level:
    """The nodes of all trees at a depth.

    Attributes
    ----------
    values : (N * C,) float32
        Features of the samples, one sample after the other.
    width : int
        Number of features C.
    classes : (N,) bool
    member : (M,) int64
        The samples of the nodes, node by node.
    starts, sizes, positive : (K,) int64
        Where a node's samples start, how many there are, and how many are of class 1.
    """

    values: NDArray[np.float32]
    width: int
    classes: BoolArray
    member: IntArray
    starts: IntArray
    sizes: IntArray
    positive: IntArray

    def best_splits(self, wanted: BoolArray, chances: FloatArray) -> tuple[IntArray, NDArray[np.float32]]:
        """The purest of a few random splits of each node (K,): feature (-1 for none) and threshold.

        `chances` (tries, 2, K) decide on features and on thresholds, each from 0 to below 1.
        """
        count = len(self.sizes)
        best_feature, best_threshold = np.full(count, -1), np.zeros(count, dtype=np.float32)
        least = np.full(count, np.inf)
        # Sums of both at once: samples in the lower half of a number, those of class 1 in the upper half.
        counted = 1 + (self.classes[self.member].astype(np.int64) << 32)
        for for_feature, for_threshold in chances:
            feature = (self.width * for_feature).astype(np.int64)
            seen = self._values(feature)
            low, high = np.minimum.reduceat(seen, self.starts), np.maximum.reduceat(seen, self.starts)
            threshold = low + (high - low) * for_threshold.astype(np.float32)
            sums = np.add.reduceat(counted * (seen > np.repeat(threshold, self.sizes)), self.starts)
            right, right_positive = sums & 0xFFFFFFFF, sums >> 32
            left, left_positive = self.sizes - right, self.positive - right_positive
            impurity = _impurity(left, left_positive) + _impurity(right, right_positive)
            better = wanted & (left >= _LEAF) & (right >= _LEAF) & (impurity < least)
            least[better] = impurity[better]
            best_feature[better], best_threshold[better] = feature[better], threshold[better]
        return best_feature, best_threshold

    def divided(self, feature: IntArray, threshold: NDArray[np.float32]) -> tuple[IntArray, IntArray]:
        """Samples and sizes of the next level's nodes; feature -1 is not split."""
        split = feature >= 0
        inner = np.repeat(split, self.sizes)
        above = (self._values(np.maximum(feature, 0)) > np.repeat(threshold, self.sizes))[inner]
        member, sizes = self.member[inner], self.sizes[split]
        right = np.add.reduceat(above, np.cumsum(sizes) - sizes, dtype=np.int64)
        sizes = np.stack([sizes - right, right], axis=1).ravel()
        on_right = np.repeat(np.arange(len(sizes)) % 2 == 1, sizes)
        following = np.empty_like(member)
        following[~on_right], following[on_right] = member[~above], member[above]
        return following, sizes

    def _values(self, feature: IntArray) -> NDArray[np.float32]:
        """Of one feature of each node, for its samples, (M,)."""
        return np.take(self.values, self.width * self.member + np.repeat(feature, self.sizes))


def _chances(seed: int, tree: IntArray, number: IntArray) -> FloatArray:
    """Random numbers (tries, 2, K) from 0 to below 1 of nodes (K,), the same whatever other nodes there are.

    Numbers drawn one after the other would all change with one split more: where rounding decides that split, it would
    decide on the whole forest. These are of SplitMix64 (Steele et al. 2014), its place in the sequence being the node.
    """
    draws = np.arange(2 * _TRIES, dtype=np.uint64).reshape(_TRIES, 2, 1)
    node = (tree.astype(np.uint64) << np.uint64(_LEVELS + 1)) + number.astype(np.uint64)
    place = np.uint64(seed % (1 << 64)) + _mixed(node * np.uint64(2 * _TRIES) + draws)
    return (_mixed(place) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(place: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What SplitMix64 returns at places of its sequence."""
    bits = place * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _impurity(count: IntArray, positive: IntArray) -> FloatArray:
    """Gini's, times the number of samples."""
    return np.asarray(positive * (1 - positive / np.maximum(count, 1)))
