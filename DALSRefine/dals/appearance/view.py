"""An image around an organ with its drawn planes: how the organ looks there, and what lies around a surface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dals.appearance.drawn_edges import ON_EDGES, share_on_edges
from dals.appearance.drawn_samples import drawn_samples
from dals.appearance.features import ImageFeatures, features_in, part_around
from dals.appearance.image_use import ImageUse
from dals.appearance.learning import learn
from dals.appearance.log_odds_map import log_odds_map, with_drawn
from dals.appearance.nearness import Nearness
from dals.appearance.recollection import is_recalled, kept
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.volume import ImageSource, Volume
from dals.model.seen_image import SeenImage
from dals.observations import PlanarContours

_BAND = 0.15
"""Canonical distance from the surface within which the image counts: few surfaces from three planes err by more."""
_MARGIN = 1.5
"""Of the band: how much of the image is looked at around the surface."""
_REGION_SPACING_MM = 4.0
_LEAST_TRUST = 0.05


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
        on_edges = share_on_edges(self.contours, self.part, scale_mm=self.scale_mm)
        if on_edges is not None:
            use = replace(use, on_edges_percent=round(100 * on_edges, 1))
            if on_edges < ON_EDGES:
                return replace(use, trust=0.0, reason=_of_another(on_edges)), None
        pause()
        odds = log_odds_map(appearance, self.features, surface, band_mm=self.band_mm, pause=pause)
        return use, kept(use, odds, self.part, self.contours)

    def recalled(self, seen: SeenImage) -> ImageUse | None:
        """The use of what was seen before; None if this is another image, or the outlines are others."""
        if not is_recalled(seen, self.part, self.contours, scale_mm=self.scale_mm):
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


def _of_another(on_edges: float) -> str:
    return (
        f"Only {100 * on_edges:.0f}% of what was drawn lies on edges of the image. Please check that it is the image "
        "that was drawn on, and that neither has moved since."
    )
