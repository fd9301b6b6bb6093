"""Spherical harmonics against their orthogonality and known values."""

from __future__ import annotations

import numpy as np

from dals.geometry.spherical_harmonics import spherical_harmonics


def test_they_are_orthonormal_over_the_sphere() -> None:
    cosines, weights = np.polynomial.legendre.leggauss(12)
    azimuths = 2 * np.pi * np.arange(24) / 24
    z, phi = np.repeat(cosines, 24), np.tile(azimuths, 12)
    ring = np.sqrt(1 - z**2)
    values, degrees = spherical_harmonics(np.stack([ring * np.cos(phi), ring * np.sin(phi), z], axis=1), 5)
    gram = values.T @ (values * np.repeat(weights / 48, 24)[:, None])
    np.testing.assert_allclose(gram, np.eye(36), atol=1e-9)
    assert np.bincount(degrees).tolist() == [1, 3, 5, 7, 9, 11]


def test_the_first_degree_is_the_coordinates() -> None:
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values, _ = spherical_harmonics(directions, 1)
    np.testing.assert_allclose(values[:, 0], 1.0)
    np.testing.assert_allclose(np.abs(values[:, 1:]), np.sqrt(3) * np.abs(directions[:, [1, 2, 0]]), atol=1e-12)
