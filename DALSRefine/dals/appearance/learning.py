"""The classifier of one patient's image, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dals.appearance.drawn_samples import DrawnSamples, disturbed, table, with_distance
from dals.appearance.forest import TREES, Forest, grow
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray
from dals.ops.threads import in_threads

_LEARNT_DEVIATION = 0.02
"""Standard deviation (canonical) of the surfaces' errors with which the classifier learns."""
USUAL_ERROR = 0.03
"""Standard deviation (canonical) of the errors between three planes of livers and hippocampi."""
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


def learn(
    planes: Sequence[DrawnSamples], *, scale_mm: float, band_mm: float, error: float, seed: int = 0
) -> Appearance | None:
    """Learn from the drawn planes, each being left out in turn to test the rest; None if there is too little to see.

    Parameters
    ----------
    planes : sequence of DrawnSamples
    scale_mm : float
        Of the canonical unit.
    band_mm : float
        Within which distances count.
    error : float
        Standard deviation (canonical) of the errors that contours alone leave between the planes: what the image has to
        know better.
    seed : int
    """
    planes = [
        samples for samples in planes if _FEWEST <= np.count_nonzero(samples.inside) <= len(samples.points) - _FEWEST
    ]
    if len(planes) < 2:
        return None
    study = _Study(planes, scale_mm, band_mm, error, seed)
    whole, *trials = in_threads(study.trial, [None, *range(min(len(planes), _MOST_FOLDS))])
    found, bounded, drawn = (
        np.concatenate([getattr(trial, name) for trial in trials]) for name in ("found", "bounded", "drawn")
    )
    error, surface_error = float(((found > 0) != drawn).mean()), float((bounded != drawn).mean())
    shift = float(np.clip(np.quantile(found, 1 - drawn.mean()), -_LARGEST_SHIFT, _LARGEST_SHIFT))
    mended = 1 - error / max(surface_error, 1e-9)
    trust = float(np.clip(mended / _FULL_TRUST, 0.0, 1.0))
    return Appearance(whole.forest, trust, error, surface_error, shift)


class _Trial(NamedTuple):
    """A forest, and what it and the surface make of N places on planes that it has not seen.

    Attributes
    ----------
    forest : Forest
    found : (N,)
        Log-odds of being inside.
    bounded, drawn : (N,) bool
        Whether they are inside of the surface, and of what was drawn.
    """

    forest: Forest
    found: FloatArray
    bounded: BoolArray
    drawn: BoolArray


@dataclass(frozen=True, eq=False)
class _Study:
    """What `learn` is given."""

    planes: Sequence[DrawnSamples]
    scale_mm: float
    band_mm: float
    error: float
    seed: int

    def trial(self, fold: int | None) -> _Trial:
        """Learn from all planes, or from all but every `_MOST_FOLDS`-th from `fold` on, to be tested on these."""
        out = [] if fold is None else list(self.planes[fold::_MOST_FOLDS])
        rng = np.random.default_rng(self.seed if fold is None else [self.seed, fold])
        forest = self._forest([samples for samples in self.planes if samples not in out], rng, tested=bool(out))
        found, bounded, drawn = [np.zeros(0)], [np.zeros(0, dtype=np.bool_)], [np.zeros(0, dtype=np.bool_)]
        deviation = self.error * self.scale_mm
        for samples in out:
            for distances in disturbed(samples, deviation, rng, scale_mm=self.scale_mm, copies=_TESTED_COPIES):
                near = np.flatnonzero(np.abs(distances) < self.band_mm)
                near = near[:: 1 + len(near) // _MOST_TESTED]
                rows = with_distance(samples.features[near], distances[near])
                found.append(log_odds_of(forest(rows)))
                bounded.append(distances[near] < 0)
                drawn.append(samples.inside[near])
        return _Trial(forest, np.concatenate(found), np.concatenate(bounded), np.concatenate(drawn))

    def _forest(self, planes: Sequence[DrawnSamples], rng: np.random.Generator, *, tested: bool) -> Forest:
        rows, classes = table(
            planes,
            rng,
            deviation_mm=_LEARNT_DEVIATION * self.scale_mm,
            scale_mm=self.scale_mm,
            band_mm=self.band_mm,
            copies=_COPIES,
            most=_MOST_SAMPLES,
        )
        return grow(rows, classes, trees=_FOLD_TREES if tested else TREES, seed=self.seed)


def log_odds_of(probability: FloatArray) -> FloatArray:
    """Log-odds (N,) of a forest's probabilities (N,); nothing is certain."""
    return np.asarray(np.log((probability + 0.02) / (1.02 - probability)))
