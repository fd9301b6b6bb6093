"""The smooth field of displacements that moves a surface onto what was observed."""

from __future__ import annotations

import numpy as np

from dals.fitting.displacement_kernel import field_of, likeness


def test_the_covariance_is_a_gaussian_of_the_distance() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    found = likeness(a, b, spread=0.4, length=0.7)
    for i in range(len(a)):
        for j in range(len(b)):
            expected = 0.4**2 * np.exp(-np.sum((a[i] - b[j]) ** 2) / (2 * 0.7**2))
            np.testing.assert_allclose(found[i, j], expected, rtol=1e-12)


def test_a_place_is_as_like_itself_as_can_be() -> None:
    places = 100.0 + np.random.default_rng(1).normal(size=(300, 3))
    found = likeness(places, places, spread=2.0, length=0.01)
    assert found.max() <= 4.0
    np.testing.assert_allclose(np.diag(found), 4.0, rtol=1e-6)


def test_a_field_is_made_in_parts_as_if_in_one() -> None:
    rng = np.random.default_rng(2)
    at, places, forces = rng.normal(size=(1_300, 3)), rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    found = field_of(forces, places, at, spread=0.3, length=0.5)
    # What is left out is further than six lengths away.
    np.testing.assert_allclose(found, likeness(at, places, spread=0.3, length=0.5) @ forces, atol=1e-8)


def test_a_field_is_zero_far_from_all_forces() -> None:
    found = field_of(np.ones((2, 3)), np.zeros((2, 3)), np.full((5, 3), 8.0), spread=0.3, length=0.5)
    assert found.shape == (5, 3)
    assert not found.any()
