"""Places on the drawn planes, where inside and outside are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dals.appearance.features import ImageFeatures
from dals.appearance.nearness import Nearness
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray

_MOST_PER_PLANE = 20_000
_STEPS_MM = (0.5, 2.0)
_WAVES = 40
_WAVE_LENGTH = 0.4
"""Canonical distance over which the error of a surface is alike."""


@dataclass(frozen=True, eq=False)
class DrawnSamples:
    """Places near the contours of one plane.

    Attributes
    ----------
    points : (N, 3)
        RAS mm.
    distances : (N,)
        From the surface, mm.
    features : (N, C) float32
        Of the image.
    inside : (N,) bool
        Within the contours.
    """

    points: FloatArray
    distances: FloatArray
    features: NDArray[np.float32]
    inside: BoolArray


def drawn_samples(region: PlaneRegion, features: ImageFeatures, surface: Nearness, *, band_mm: float) -> DrawnSamples:
    """Places on a regular grid in a plane, as far as they lie in the image and within a band around the surface.

    What is outlined on a plane is all of the organ there, but only near the surface is it asked for.
    """
    step = float(np.clip(features.patch.spacing.min(), *_STEPS_MM))
    flat = np.concatenate([*region.loops, *region.stretches])
    low, high = flat.min(axis=0) - band_mm, flat.max(axis=0) + band_mm
    step = max(step, float(np.sqrt(np.prod(high - low) / _MOST_PER_PLANE)))
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    points = grid @ region.axes.T + region.origin
    points = points[features.patch.covers(points)]
    distances, normals = surface(points, within_mm=1.2 * band_mm)
    near = np.abs(distances) < band_mm
    points, distances, normals = points[near], distances[near], normals[near]
    outside, known = region.signed_distances(points, normals)
    used = known > 0.5
    points = points[used]
    return DrawnSamples(points, distances[used], features.at(points, normals[used]), outside[used] < 0)


def disturbed(
    samples: DrawnSamples, deviation_mm: float, rng: np.random.Generator, *, scale_mm: float, copies: int
) -> list[FloatArray]:
    """Distances (N,) from surfaces that err smoothly by a standard deviation, an even number of copies.

    On the drawn planes the surface is nearly right, and between them it is not: a classifier that saw only the former
    would believe the surface. Two copies each err in opposite ways, so that none is larger than the organ on average.
    """
    found = []
    for _ in range(copies // 2):
        waves = rng.normal(size=(_WAVES, 3)) / (_WAVE_LENGTH * scale_mm)
        phases, heights = rng.uniform(0, 2 * np.pi, _WAVES), rng.normal(size=_WAVES)
        error = deviation_mm * np.sqrt(2 / _WAVES) * (np.cos(samples.points @ waves.T + phases) @ heights)
        found += [samples.distances + error, samples.distances - error]
    return found


def table(
    planes: Sequence[DrawnSamples],
    rng: np.random.Generator,
    *,
    deviation_mm: float,
    scale_mm: float,
    band_mm: float,
    copies: int,
    most: int,
) -> tuple[NDArray[np.float32], BoolArray]:
    """What a classifier learns from: features with the distance as the last column, (N, C + 1), and classes (N,)."""
    parts, classes = [], []
    for samples in planes:
        for distances in disturbed(samples, deviation_mm, rng, scale_mm=scale_mm, copies=copies):
            near = np.abs(distances) < band_mm
            parts.append(with_distance(samples.features[near], distances[near]))
            classes.append(samples.inside[near])
    rows, labels = np.concatenate(parts), np.concatenate(classes)
    if len(rows) > most:
        chosen = rng.permutation(len(rows))[:most]
        rows, labels = rows[chosen], labels[chosen]
    return rows, labels


def with_distance(features: NDArray[np.float32], distances: FloatArray) -> NDArray[np.float32]:
    """Features (N, C) and distances (N,) as one table, (N, C + 1)."""
    return np.concatenate([features, distances[:, None].astype(np.float32)], axis=1)
