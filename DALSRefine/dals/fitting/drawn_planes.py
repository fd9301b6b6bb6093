"""What a surface makes of the planes that were drawn on: what it misses, and where it is far from all contours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dals.fitting.plane_region import PlaneRegion
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.polylines import enclosed_area
from dals.observations import PlanarContours

_MOST_TESTED = 4_000


@dataclass(frozen=True, eq=False)
class DrawnPlane:
    """A plane of contours, and a surface's section with it.

    Attributes
    ----------
    region : PlaneRegion
    points : (N, 3)
        Of its contours, RAS mm.
    section : (M, 3)
        Where the surface meets the plane, RAS mm; none where a curve is open, which says little of places far from it.
    pocket_mm, stray_mm : float
        The largest distance of the section from the contours, within them and beside them, mm.
    """

    region: PlaneRegion
    points: FloatArray
    section: FloatArray
    pocket_mm: float
    stray_mm: float


def planes_of(
    mesh: TriangleMesh, contours: PlanarContours, regions: Sequence[PlaneRegion], *, undrawn: float
) -> list[DrawnPlane]:
    """The planes of contours with what a surface makes of them.

    Parameters
    ----------
    mesh : TriangleMesh
        RAS mm.
    contours : PlanarContours
    regions : sequence of PlaneRegion
        Of their planes, in their order.
    undrawn : float
        Area from which on a section beside all contours does not count, mm².
    """
    drawn = [np.concatenate([contour.points for contour in group]) for group in contours.by_plane]
    stride = 1 + sum(len(points) for points in drawn) // _MOST_TESTED
    planes = []
    for points, region in zip(drawn, regions, strict=True):
        loops = [] if region.stretches else section_loops(mesh, region.origin, region.normal)
        section = np.concatenate(loops) if loops else np.zeros((0, 3))
        distances = [np.zeros(1)]
        for loop in loops:
            outside, known = region.sides(loop, beyond_mm=1.0)
            if outside.min() < 0 or enclosed_area((loop - region.origin) @ region.axes) < undrawn:
                distances.append(outside[known > 0])
        outside = np.concatenate(distances)
        planes.append(DrawnPlane(region, points[::stride], section, -float(outside.min()), float(outside.max())))
    return planes
