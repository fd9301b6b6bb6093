"""Extremely randomised trees."""

from __future__ import annotations

import numpy as np

from dals.appearance.forest import Forest, grow


def cases(seed: int, count: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """Points of which those inside a circle are of class 1: no linear rule tells them apart."""
    samples = np.random.default_rng(seed).uniform(-1, 1, (count, 3)).astype(np.float32)
    return samples, (samples[:, :2] ** 2).sum(axis=1) < 0.5


def test_a_circle_is_learnt() -> None:
    forest = grow(*cases(0))
    samples, classes = cases(1)
    assert ((forest(samples) > 0.5) == classes).mean() > 0.95


def test_the_same_seed_gives_the_same_forest() -> None:
    samples, _ = cases(1)
    assert np.array_equal(grow(*cases(0), seed=3)(samples), grow(*cases(0), seed=3)(samples))
    assert not np.array_equal(grow(*cases(0), seed=3)(samples), grow(*cases(0), seed=4)(samples))


def test_each_leaf_holds_the_share_of_its_samples() -> None:
    samples, classes = cases(0, 300)
    forest = grow(samples, classes, trees=1)
    leaves = forest.share.shape[1]
    node = np.ones(len(samples), dtype=int)
    while node[0] < leaves:
        above = samples[np.arange(len(samples)), forest.feature[0, node]] > forest.threshold[0, node]
        node = 2 * node + above
    for leaf in np.unique(node):
        assert forest.share[0, leaf - leaves] == np.float32(classes[node == leaf].mean())
        assert np.count_nonzero(node == leaf) >= 5
    assert np.array_equal(forest(samples), forest.share[0, node - leaves])


def test_trees_that_are_not_asked_would_hardly_change_the_probability() -> None:
    samples, _ = cases(1)
    changes = []
    for seed in range(5):
        forest = grow(*cases(0), seed=seed)
        every = np.mean([Forest(*(part[k : k + 1] for part in parts(forest)))(samples) for k in range(40)], axis=0)
        changes.append(np.abs(forest(samples) - every))
    assert np.mean([change.max() for change in changes]) < 0.15
    assert np.mean(changes) < 0.01


def test_a_sample_that_falls_to_the_other_side_changes_its_own_branch_only() -> None:
    samples, classes = cases(0)
    forest = grow(samples, classes)
    middle = np.argsort(np.abs(samples[:, 0]))[0]
    changed = samples.copy()
    changed[middle] *= -1
    other = grow(changed, classes)
    same = (forest.feature == other.feature) & np.isclose(forest.threshold, other.threshold, atol=1e-6)
    split = np.isfinite(forest.threshold)
    assert not same.all()
    assert same[split].mean() > 0.95


def parts(forest: Forest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return forest.feature, forest.threshold, forest.share


def test_classes_that_chance_made_are_not_told_apart() -> None:
    samples, classes = cases(0)
    forest = grow(samples, np.random.default_rng(9).permutation(classes))
    unseen, truth = cases(1)
    assert ((forest(unseen) > 0.5) == truth).mean() < 0.65
