"""An image around an organ with its drawn planes: how the organ looks there, and what lies around a surface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dals.appearance.drawn_samples import drawn_samples
from dals.appearance.features import ImageFeatures, features_in, part_around
from dals.appearance.image_use import ImageUse
from dals.appearance.learning import learn
from dals.appearance.log_odds_map import log_odds_map
from dals.appearance.nearness import Nearness
from dals.fitting.image_term import LogOdds
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import ImageSource
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
    features : ImageFeatures or None
        None where it shows nothing.
    regions : sequence of PlaneRegion
        That were drawn.
    scale_mm : float
        Of the canonical unit.
    """

    name: str
    features: ImageFeatures | None
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
        features = features_in(part, low - margin, high + margin, scale_mm=scale_mm)
        middle = 0.5 * (contours.bounds[0] + contours.bounds[1])
        regions = [
            PlaneRegion.of_contours(group, spacing_mm=_REGION_SPACING_MM, middle=middle) for group in contours.by_plane
        ]
        return cls(image.name, features, regions, scale_mm)

    def seen_from(
        self, mesh: TriangleMesh, *, error: float, seed: int, pause: Callable[[], None] = lambda: None
    ) -> tuple[ImageUse, LogOdds | None]:
        """Learn how the organ looks where it was drawn, and classify what lies around a surface.

        There is no map where the image cannot be trusted.

        Parameters
        ----------
        mesh : TriangleMesh
            RAS mm.
        error : float
            As in `dals.appearance.learning.learn`.
        seed : int
        pause : callable, optional
            Called now and then.
        """
        if self.features is None:
            return ImageUse(name=self.name, trust=0.0, reason="The image shows nothing there."), None
        band = _BAND * self.scale_mm
        surface, planes = Nearness(mesh), []
        for region in self.regions:
            pause()
            planes.append(drawn_samples(region, self.features, surface, band_mm=band))
        pause()
        appearance = learn(planes, scale_mm=self.scale_mm, band_mm=band, error=error, seed=seed)
        if appearance is None:
            return ImageUse(name=self.name, trust=0.0, reason="The image shows too little of the drawn planes."), None
        use = ImageUse(
            name=self.name,
            trust=round(appearance.trust, 3),
            error_percent=round(100 * appearance.error, 2),
            surface_error_percent=round(100 * appearance.surface_error, 2),
        )
        if appearance.trust < _LEAST_TRUST:
            reason = "The organ does not stand out from its neighbours in the image."
            return replace(use, trust=0.0, reason=reason), None
        pause()
        return use, log_odds_map(appearance, self.features, mesh, surface, self.regions, band_mm=band, pause=pause)
