"""Sections of an organ that the prior expects on a plane where nobody has outlined them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dals.evaluation.contour_residuals import Deviation
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import TriangleMesh
from dals.geometry.polylines import loop_length
from dals.observations import PlanarContours

_APART_MM = 20.0
"""So far on average from all contours of its plane a section is another one."""
_SHORTEST_MM = 60.0
"""Of the outline of a section; a smaller one may as well miss the plane."""


def expected_sections(contours: PlanarContours, plain: TriangleMesh) -> list[Deviation]:
    """Sections that nobody outlined, but that the prior expects.

    A fit takes what is outlined on a plane for all of the organ there, and gives up a lobe rather than let it cross the
    plane elsewhere. A single latent for all vertices cannot give up a lobe alone, and shows where it would be.

    Parameters
    ----------
    contours : PlanarContours
        That were fitted.
    plain : TriangleMesh
        What a single latent makes of them, RAS mm (`dals.evaluation.plain_shape.with_plain`).

    Returns
    -------
    list of Deviation
        With the name of the plane's first contour, and the point of the section that is furthest from the contours.
    """
    found = []
    for group in contours.by_plane:
        if any(contour.open_plane for contour in group):
            continue
        drawn = cKDTree(np.concatenate([contour.points for contour in group]))
        for section in section_loops(plain, *group[0].plane):
            distances = drawn.query(section)[0]
            if distances.mean() > _APART_MM and loop_length(section) > _SHORTEST_MM:
                worst = int(distances.argmax())
                found.append(Deviation(group[0].name, float(distances[worst]), section[worst]))
    return found
