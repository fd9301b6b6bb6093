"""What a patient's image says of a segmentation, learnt from the segmentation itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.appearance.features import ImageFeatures, features_in, part_around
from dals.appearance.forest import Forest, grow
from dals.appearance.image_use import ImageUse
from dals.appearance.learning import log_odds_of
from dals.appearance.nearness import Nearness
from dals.edits import EditedFit
from dals.edits.testimony import Scene, Testimony, Witness
from dals.geometry.label_map import BoolArray
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, IntArray
from dals.geometry.signed_lattice import SignedLattice, signed_distance
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import ImageSource, Volume
from dals.observations import Segmentation

# Lengths in canonical units.
_BAND, _RIM = 0.15, 0.015
"""Places between these distances from the boundary are learnt from."""
_LEFT_OUT = 0.03
"""Distance around candidates that is not learnt from."""
_ASKED = 0.25
"""Distance from segmentation or prior within which places are classified."""
_STEP = 0.03
"""Between the places that are classified."""
_MARGIN = 0.1
"""Beyond that, how much of the image is looked at."""

_NEEDED = 0.3
"""Of the segmentation's diagonal: how much of the image is read around it, which is more."""

_SAMPLES = 8_000
"""Of each class."""
_FEWEST = 500
_SECTORS, _FOLDS = 12, 4
_TREES, _FOLD_TREES = 40, 10
_NO_TRUST, _FULL_TRUST = 0.35, 0.2
"""Shares of misjudged places, half of which are organ, in sectors left out."""
_LEAST_TRUST = 0.05


def witness_of(image: ImageSource, segmentation: Segmentation, *, seed: int = 0) -> Witness:
    """A witness of a segmentation's edits, who learns how the organ looks where segmentation and prior agree.

    Parameters
    ----------
    image : ImageSource
        Any unit, grid and orientation; a file is read once.
    segmentation : Segmentation
    seed : int

    Raises
    ------
    InputError
        If the image shows another place.
    """
    low, high = segmentation.bounds
    part = part_around(image, low, high, margin_mm=_NEEDED * float(np.linalg.norm(high - low)), what="segmented")
    return partial(_look, part, seed=seed)


def use_of(fit: EditedFit, image: ImageSource) -> ImageUse:
    """How an image was used in a fit."""
    if fit.testimony is None:
        return ImageUse(name=image.name, trust=0.0, reason="The segmentation does not look like the organ.")
    error = fit.testimony.error
    return ImageUse(
        name=image.name,
        trust=round(fit.testimony.trust, 3),
        error_percent=None if error is None else round(100 * error, 2),
        edits_changed=fit.changed_by_image,
        reason=fit.testimony.reason,
        seconds=fit.testimony.seconds,
    )


def _look(image: Volume, scene: Scene, *, seed: int) -> Testimony:
    began = time.monotonic()
    return replace(_testimony(image, scene, seed=seed), seconds=time.monotonic() - began)


def _testimony(image: Volume, scene: Scene, *, seed: int) -> Testimony:
    unit = scene.fit.pose.scale
    margin = (_ASKED + _MARGIN) * unit
    low, high = scene.surface.vertices.min(axis=0) - margin, scene.surface.vertices.max(axis=0) + margin
    features = features_in(image, low, high, scale_mm=unit)
    if features is None:
        return Testimony(reason="The image shows nothing there.")
    view = _View(features, Nearness(scene.surface))
    learnt = _samples(scene, view, np.random.default_rng(seed))
    if learnt is None:
        return Testimony(reason="The image shows too little of the organ and of what is around it.")
    error = learnt.error_left_out(seed=seed)
    trust = float(np.clip((_NO_TRUST - error) / (_NO_TRUST - _FULL_TRUST), 0.0, 1.0))
    if trust < _LEAST_TRUST:
        return Testimony(error=error, reason="The organ does not stand out from its neighbours in the image.")
    forest = grow(learnt.features, learnt.inside, trees=_TREES, seed=seed)
    odds, known = _odds(scene, view, forest)
    return Testimony(trust=trust, error=error, odds=odds, known=known)


@dataclass(frozen=True, eq=False)
class _View:
    """Image and surface, as the classifier sees them."""

    image: ImageFeatures
    surface: Nearness

    def at(self, points: FloatArray) -> NDArray[np.float32]:
        """Features (N, C) of points (N, 3), RAS mm."""
        return self.image.at(points, self.surface(points)[1])


@dataclass(frozen=True, eq=False)
class _Samples:
    """Places where segmentation and prior agree: features (N, C), classes (N,) and the sector (N,) of the organ."""

    features: NDArray[np.float32]
    inside: BoolArray
    sector: IntArray

    def error_left_out(self, *, seed: int) -> float:
        """Share of places that are misjudged by what was learnt in other sectors, the mean of both classes."""
        wrong = np.zeros(len(self.inside), dtype=np.bool_)
        for fold in range(_FOLDS):
            tested = self.sector % _FOLDS == fold
            seen = self.inside[~tested]
            if not tested.any() or seen.all() or not seen.any():
                continue
            forest = grow(self.features[~tested], seen, trees=_FOLD_TREES, seed=seed)
            wrong[tested] = (forest(self.features[tested]) > 0.5) != self.inside[tested]
        return float(0.5 * (wrong[self.inside].mean() + wrong[~self.inside].mean()))


def _samples(scene: Scene, view: _View, rng: np.random.Generator) -> _Samples | None:
    """Places near the boundary, away from the candidates; None if the image shows too few of them."""
    lattice, unit = scene.lattice, scene.fit.pose.scale
    own = lattice.values
    deep = np.minimum(np.abs(own), np.abs(scene.prior))
    used = ((own < 0) == (scene.prior < 0)) & (deep > _RIM * unit) & (deep < _BAND * unit) & (lattice.beyond <= 0)
    if scene.candidates:
        doubtful = np.zeros(own.shape, dtype=np.bool_)
        for one in scene.candidates:
            doubtful[one.box] |= one.region
        used &= signed_distance(doubtful, lattice.spacing) > _LEFT_OUT * unit
    points, classes = [], []
    for inside in (True, False):
        chosen = np.flatnonzero(used & ((own < 0) == inside))
        chosen = rng.permutation(chosen)[: 2 * _SAMPLES]
        places = _points(lattice, np.stack(np.unravel_index(chosen, own.shape), axis=1))
        places = places[view.image.patch.covers(places)][:_SAMPLES]
        if len(places) < _FEWEST:
            return None
        points.append(places)
        classes.append(np.full(len(places), inside))
    every = np.concatenate(points)
    # The first vertices of the template are spread evenly over the organ.
    _, sector = cKDTree(scene.fit.skeleton[:_SECTORS]).query(every)
    return _Samples(view.at(every), np.concatenate(classes), sector)


def _odds(scene: Scene, view: _View, forest: Forest) -> tuple[LogOdds, LogOdds]:
    """Log-odds at every few points of the lattice around the boundary, and where they are known."""
    lattice, unit = scene.lattice, scene.fit.pose.scale
    stride = np.maximum(np.rint(_STEP * unit / lattice.spacing[::-1]).astype(int), 1)
    part = tuple(slice(None, None, int(step)) for step in stride)
    near = np.minimum(np.abs(lattice.values[part]), np.abs(scene.prior[part])) < _ASKED * unit
    voxels = np.argwhere(near)
    points = _points(lattice, voxels * stride)
    covered = view.image.patch.covers(points)
    known, values = np.zeros(near.shape, dtype=np.float32), np.zeros(near.shape, dtype=np.float32)
    there = tuple(voxels[covered].T)
    known[there] = 1.0
    values[there] = log_odds_of(forest(view.at(points[covered])))
    matrix = lattice.ijk_to_ras @ np.diag([*stride[::-1], 1.0])
    return LogOdds(values, matrix), LogOdds(known, matrix)


def _points(lattice: SignedLattice, voxels: IntArray) -> FloatArray:
    """Places (N, 3), RAS mm, of the lattice's points (N, 3) with indices (k, j, i)."""
    return apply_matrix(lattice.ijk_to_ras, voxels[:, ::-1].astype(np.float64))
