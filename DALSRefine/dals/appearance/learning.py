"""The classifier of one patient's image, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dals.appearance.drawn_samples import DrawnSamples, disturbed, table, with_distance
from dals.appearance.forest import Forest, grow
from dals.geometry.mesh import FloatArray

_LEARNT_DEVIATION = 0.02
_TESTED_DEVIATION = 0.03
"""Standard deviations (canonical) of the surfaces' errors with which the classifier learns and is tested.

Between three planes, surfaces from contours err by about the latter, on livers and hippocampi.
"""
_COPIES, _MOST_SAMPLES = 4, 20_000
_TESTED_COPIES, _MOST_TESTED = 4, 2_000
"""Disturbed surfaces on each plane that is left out, and places of each."""
_MOST_FOLDS, _FOLD_TREES = 5, 20
_FULL_TRUST = 0.15
"""Share of the surface's errors that the image has to mend on planes left out for full trust."""
_FEWEST = 50
_LARGEST_SHIFT = 1.0


@dataclass(frozen=True, eq=False)
class Appearance:
    """What was learnt of an organ's look.

    Attributes
    ----------
    forest : Forest
    trust : float
        0 to 1.
    error, surface_error : float
        Share of places on planes left out that classifier and surface misjudge; the surface is wrong there as it is
        between planes.
    shift : float
        Log-odds at which as many places lie inside as were drawn inside.
    """

    forest: Forest
    trust: float
    error: float
    surface_error: float
    shift: float

    def log_odds(self, features: NDArray[np.float32], distances: FloatArray) -> FloatArray:
        """Log-odds (N,) of being inside for features (N, C) and distances (N,) from the surface, mm."""
        return log_odds_of(self.forest(with_distance(features, distances))) - self.shift


def learn(planes: Sequence[DrawnSamples], *, scale_mm: float, band_mm: float, seed: int = 0) -> Appearance | None:
    """Learn from the drawn planes, each being left out in turn to test the rest; None if there is too little to see.

    Parameters
    ----------
    planes : sequence of DrawnSamples
    scale_mm : float
        Of the canonical unit.
    band_mm : float
        Within which distances count.
    seed : int
    """
    planes = [
        samples for samples in planes if _FEWEST <= np.count_nonzero(samples.inside) <= len(samples.points) - _FEWEST
    ]
    if len(planes) < 2:
        return None
    error, surface_error, shift = _left_out(planes, scale_mm=scale_mm, band_mm=band_mm, seed=seed)
    mended = 1 - error / max(surface_error, 1e-9)
    trust = float(np.clip(mended / _FULL_TRUST, 0.0, 1.0))
    forest = _forest(planes, np.random.default_rng(seed), scale_mm=scale_mm, band_mm=band_mm, seed=seed)
    return Appearance(forest, trust, error, surface_error, shift)


def _left_out(
    planes: Sequence[DrawnSamples], *, scale_mm: float, band_mm: float, seed: int
) -> tuple[float, float, float]:
    """Errors of classifiers and of the surface on planes that the former have not seen, and the shift of log-odds."""
    odds, surface, truth = [], [], []
    folds = np.arange(len(planes)) % _MOST_FOLDS
    for fold in np.unique(folds):
        rng = np.random.default_rng([seed, int(fold)])
        seen = [samples for samples, number in zip(planes, folds, strict=True) if number != fold]
        forest = _forest(seen, rng, scale_mm=scale_mm, band_mm=band_mm, seed=seed, trees=_FOLD_TREES)
        for samples, number in zip(planes, folds, strict=True):
            if number != fold:
                continue
            deviation = _TESTED_DEVIATION * scale_mm
            for distances in disturbed(samples, deviation, rng, scale_mm=scale_mm, copies=_TESTED_COPIES):
                near = np.flatnonzero(np.abs(distances) < band_mm)
                near = near[:: 1 + len(near) // _MOST_TESTED]
                rows = with_distance(samples.features[near], distances[near])
                odds.append(log_odds_of(forest(rows)))
                surface.append(distances[near] < 0)
                truth.append(samples.inside[near])
    found, drawn, bounded = np.concatenate(odds), np.concatenate(truth), np.concatenate(surface)
    shift = float(np.clip(np.quantile(found, 1 - drawn.mean()), -_LARGEST_SHIFT, _LARGEST_SHIFT))
    return float(((found > 0) != drawn).mean()), float((bounded != drawn).mean()), shift


def _forest(
    planes: Sequence[DrawnSamples],
    rng: np.random.Generator,
    *,
    scale_mm: float,
    band_mm: float,
    seed: int,
    trees: int = 40,
) -> Forest:
    rows, classes = table(
        planes,
        rng,
        deviation_mm=_LEARNT_DEVIATION * scale_mm,
        scale_mm=scale_mm,
        band_mm=band_mm,
        copies=_COPIES,
        most=_MOST_SAMPLES,
    )
    return grow(rows, classes, trees=trees, seed=seed)


def log_odds_of(probability: FloatArray) -> FloatArray:
    """Log-odds (N,) of a forest's probabilities (N,); nothing is certain."""
    return np.asarray(np.log((probability + 0.02) / (1.02 - probability)))
