"""An image around an organ with its drawn planes: how the organ looks there, and what lies around a surface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dals.appearance.drawn_samples import drawn_samples
from dals.appearance.features import ImageFeatures, features_in, part_around
from dals.appearance.image_use import ImageUse
from dals.appearance.learning import learn
from dals.appearance.log_odds_map import log_odds_map, with_drawn
from dals.appearance.nearness import Nearness
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import BoolArray
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import ImageSource, Volume
from dals.model.seen_image import SeenImage, outlines_of
from dals.observations import PlanarContours

_BAND = 0.15
"""Canonical distance from the surface within which the image counts: few surfaces from three planes err by more."""
_MARGIN = 1.5
"""Of the band: how much of the image is looked at around the surface."""
_REGION_SPACING_MM = 4.0
_LEAST_TRUST = 0.05
_MOVED, _MOST_MOVED = 0.02, 0.03
"""Canonical distance between outlines, and the share of their points beyond it, from which they are others."""
_ALIKE = 0.9
"""Share of the outlines' points at which an image has the values that it had."""

_Outlines = tuple[FloatArray, NDArray[np.uint8]]
"""Points and kinds."""


@dataclass(frozen=True, eq=False)
class View:
    """What an image shows around an organ.

    Attributes
    ----------
    name : str
        Of the image.
    part : Volume
        Of it, around a box with corners `low` and `high`, each (3,), RAS mm.
    contours : PlanarContours
    regions : sequence of PlaneRegion
        Of these.
    scale_mm : float
        Of the canonical unit.
    """

    name: str
    part: Volume
    low: FloatArray
    high: FloatArray
    contours: PlanarContours
    regions: Sequence[PlaneRegion]
    scale_mm: float

    @classmethod
    def around(cls, contours: PlanarContours, image: ImageSource, mesh: TriangleMesh, *, scale_mm: float) -> View:
        """The view of an organ near a surface, RAS mm.

        Raises
        ------
        InputError
            If the image shows another place.
        """
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        margin = _MARGIN * _BAND * scale_mm
        part = part_around(image, low, high, margin_mm=margin, what="outlined")
        middle = 0.5 * (contours.bounds[0] + contours.bounds[1])
        regions = [
            PlaneRegion.of_contours(group, spacing_mm=_REGION_SPACING_MM, middle=middle) for group in contours.by_plane
        ]
        return cls(image.name, part, low - margin, high + margin, contours, regions, scale_mm)

    @cached_property
    def features(self) -> ImageFeatures | None:
        """None where the image shows nothing."""
        return features_in(self.part, self.low, self.high, scale_mm=self.scale_mm)

    @property
    def band_mm(self) -> float:
        """Distance from the surface within which the image counts."""
        return _BAND * self.scale_mm

    def seen_from(
        self, surface: Nearness, *, error: float, seed: int, pause: Callable[[], None] = lambda: None
    ) -> tuple[ImageUse, SeenImage | None]:
        """Learn how the organ looks where it was drawn, and classify what lies around a surface.

        There is no map where the image cannot be trusted.

        Parameters
        ----------
        surface : Nearness
        error : float
            As in `dals.appearance.learning.learn`.
        seed : int
        pause : callable, optional
            Called now and then.
        """
        unused = ImageUse(name=self.name, trust=0.0)
        if self.features is None:
            return replace(unused, reason="The image shows nothing there."), None
        planes = []
        for region in self.regions:
            pause()
            planes.append(drawn_samples(region, self.features, surface, band_mm=self.band_mm))
        pause()
        appearance = learn(planes, scale_mm=self.scale_mm, band_mm=self.band_mm, error=error, seed=seed)
        if appearance is None:
            return replace(unused, reason="The image shows too little of the drawn planes."), None
        use = replace(
            unused,
            trust=round(appearance.trust, 3),
            error_percent=round(100 * appearance.error, 2),
            surface_error_percent=round(100 * appearance.surface_error, 2),
        )
        if appearance.trust < _LEAST_TRUST:
            reason = "The organ does not stand out from its neighbours in the image."
            return replace(use, trust=0.0, reason=reason), None
        pause()
        odds = log_odds_map(appearance, self.features, surface, band_mm=self.band_mm, pause=pause)
        return use, self._kept(use, odds)

    def recalled(self, seen: SeenImage) -> ImageUse | None:
        """The use of what was seen before; None if this is another image, or the outlines are others."""
        if not self._is_like(seen):
            return None
        return ImageUse(
            name=self.name,
            trust=seen.trust,
            error_percent=seen.error_percent,
            surface_error_percent=seen.surface_error_percent,
            recalled=True,
        )

    def with_drawn(self, seen: SeenImage, surface: Nearness) -> LogOdds:
        """What was seen, and what was drawn; the surface is near."""
        return with_drawn(seen.odds, self.regions, surface)

    def _kept(self, use: ImageUse, odds: LogOdds) -> SeenImage:
        assert use.error_percent is not None
        assert use.surface_error_percent is not None
        outlines, kinds = outlines_of(self.contours)
        return SeenImage(
            odds=odds,
            trust=use.trust,
            error_percent=use.error_percent,
            surface_error_percent=use.surface_error_percent,
            outlines=outlines,
            kinds=kinds,
            values=_values_at(self.part, outlines),
        )

    def _is_like(self, seen: SeenImage) -> bool:
        """Whether the image and, but for a few points, the outlines are those of an earlier look."""
        now = _values_at(self.part, seen.outlines)
        # Half-way between two voxels, rounding chooses.
        if np.mean((now == seen.values) | (np.isnan(now) & np.isnan(seen.values))) < _ALIKE:
            return False
        before, after = (seen.outlines, seen.kinds), outlines_of(self.contours)
        others = np.concatenate([self._others(before, after), self._others(after, before)])
        return float(np.mean(others)) <= _MOST_MOVED

    def _others(self, outlines: _Outlines, among: _Outlines) -> BoolArray:
        """Which points (N,) of outlines have none of the same kind near them among others."""
        distances, nearest = cKDTree(among[0]).query(outlines[0])
        return np.asarray((distances > _MOVED * self.scale_mm) | (outlines[1] != among[1][nearest]))


def _values_at(image: Volume, points: FloatArray) -> FloatArray:
    """Values (N,) of the voxels in which points (N, 3), RAS mm, lie; not-a-number outside."""
    nearest = np.rint(apply_matrix(np.linalg.inv(image.ijk_to_ras), points)).astype(int)[:, ::-1]
    inside = ((nearest >= 0) & (nearest < image.array.shape)).all(axis=1)
    values = np.full(len(points), np.nan)
    values[inside] = image.array[tuple(nearest[inside].T)]
    return values
