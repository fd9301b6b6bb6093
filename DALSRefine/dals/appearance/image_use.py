"""How an image was used, for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dals.appearance.mending import Mending
from dals.geometry.mesh import TriangleMesh
from dals.geometry.places import place_text


@dataclass(frozen=True, kw_only=True)
class ImageUse:
    """How an image was used.

    Attributes
    ----------
    name : str
        Of the image.
    trust : float
        0 (the result is that without the image) to 1.
    error_percent : float or None
        Places near the surface that the image's classifier misjudges where it has not learnt: on planes left out, or
        around another part of a segmentation's boundary.
    surface_error_percent : float or None
        Of contours, places there that a surface misjudges which errs as it does between planes.
    on_edges_percent : float or None
        Of contours, how much of them lies on edges of the image.
    edits_changed : int or None
        Of a segmentation, leaks and missing parts that are carried out, or not, because of the image.
    recalled : bool
        Whether what an earlier look at the same outlines said was used again.
    mending : Mending or None
        Of contours, where the image refuted the surface of the fit.
    reason : str
        Why the image was not used; empty if it was.
    seconds : float
    """

    name: str
    trust: float
    error_percent: float | None = None
    surface_error_percent: float | None = None
    on_edges_percent: float | None = None
    edits_changed: int | None = None
    recalled: bool = False
    mending: Mending | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def misjudged(self) -> float:
        """The classifier's error as a share of the surface's; 1 where that is unknown or the image was not used."""
        if not self.trust or self.error_percent is None or not self.surface_error_percent:
            return 1.0
        return self.error_percent / self.surface_error_percent

    def surface(self, fitted: TriangleMesh) -> TriangleMesh:
        """The surface of a fit, or what the image made of it."""
        return fitted if self.mending is None else self.mending.mesh

    @property
    def note(self) -> str | None:
        """What a person should look at."""
        if self.mending is None:
            return None
        found = self.mending
        where = "In 1 place" if found.pieces == 1 else f"In {found.pieces} places"
        return (
            f"{where} the image clearly contradicts what the prior made of the contours, by up to "
            f"{found.depth_mm:.0f} mm at {place_text(found.place)}; the surface follows the image there."
        )

    def entry(self) -> dict[str, Any]:
        """JSON-compatible values for the report."""
        figures = {
            "name": self.name,
            "trust": self.trust,
            "error_percent": self.error_percent,
            "surface_error_percent": self.surface_error_percent,
            "on_edges_percent": self.on_edges_percent,
            "edits_changed": self.edits_changed,
            "recalled": self.recalled or None,
            "mended": None if self.mending is None else self.mending.entry(),
            "reason": self.reason,
        }
        return {name: value for name, value in figures.items() if value not in (None, "")}
