"""What a patient's image says of the places where a segmentation may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from dals.edits.candidates import Candidate
from dals.fitting.surface_regression import SurfaceFit
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import TriangleMesh
from dals.geometry.signed_lattice import Field, SignedLattice
from dals.geometry.transforms import apply_matrix

_RIM = 0.6
"""Share of a candidate's points, the outer ones, that are not asked: the boundary there is drawn imprecisely."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A segmentation with the prior's surface.

    Attributes
    ----------
    lattice : SignedLattice
        Of the segmentation.
    prior : (K, J, I) float32
        Signed distance of the prior's surface on it, mm.
    surface : TriangleMesh
        That surface, RAS mm.
    fit : SurfaceFit
        Which it comes from.
    candidates : sequence of Candidate
        Where the two are apart.
    """

    lattice: SignedLattice
    prior: Field
    surface: TriangleMesh
    fit: SurfaceFit
    candidates: Sequence[Candidate]


@dataclass(frozen=True, eq=False, kw_only=True)
class Testimony:
    """How much places look like the organ.

    Attributes
    ----------
    trust : float
        0 (it says nothing) to 1.
    error : float or None
        Share of places that were misjudged where nothing had been learnt.
    reason : str
        Why it says nothing; empty if it does.
    odds, known : LogOdds or None
        Log-odds of belonging to the organ, by the image alone, and 1 where the image has a number, 0 where not.
    seconds : float
    """

    trust: float = 0.0
    error: float | None = None
    reason: str = ""
    odds: LogOdds | None = None
    known: LogOdds | None = None
    seconds: float = 0.0

    def told(self, candidate: Candidate, lattice: SignedLattice) -> Candidate:
        """The candidate with what the image says of it."""
        if self.odds is None or self.known is None:
            return candidate
        padded = np.pad(candidate.region, 1)
        depth = ndimage.distance_transform_edt(padded, lattice.spacing[::-1])[1:-1, 1:-1, 1:-1][candidate.region]
        voxels = np.argwhere(candidate.region)[depth >= np.quantile(depth, _RIM)]
        indices = voxels + [part.start for part in candidate.box]
        points = apply_matrix(lattice.ijk_to_ras, indices[:, ::-1].astype(np.float64))
        known = float(self.known.at(points).mean())
        return replace(candidate, odds=float(self.odds.at(points).mean()), trust=self.trust * known)


Witness = Callable[[Scene], Testimony]
"""Looks at the image."""
