"""Sections of an organ that the prior expects on a plane where nobody has outlined them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from dals.evaluation.contour_residuals import Deviation
from dals.fitting import FitResult
from dals.fitting.probable_fit import ProbableFit
from dals.fitting.residuals import residual_term
from dals.geometry.cross_sections import section_loops
from dals.geometry.polylines import loop_length
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

_LEVEL, _LOCAL_STEPS = 3, 4
_APART_MM = 20.0
"""So far on average from all contours of its plane a section is another one."""
_SHORTEST_MM = 60.0
"""Of the outline of a section; a smaller one may as well miss the plane."""


def expected_sections(contours: PlanarContours, result: FitResult, prior: ShapePrior) -> list[Deviation]:
    """Sections that nobody outlined, but that the prior expects.

    A fit takes what is outlined on a plane for all of the organ there, and gives up a lobe rather than let it cross the
    plane elsewhere. A short fit with all planes open shows where the lobe would be.

    Parameters
    ----------
    contours : PlanarContours
        That were fitted.
    result : FitResult
    prior : ShapePrior

    Returns
    -------
    list of Deviation
        With the name of the plane's first contour, and the point of the section that is furthest from the contours.
    """
    if all(contour.open_plane for contour in contours.contours):
        return []
    opened = contours.with_open_planes(contour.name for contour in contours.contours)
    settings = result.settings
    settings = replace(settings, level=min(_LEVEL, settings.level), local_steps=min(_LOCAL_STEPS, settings.local_steps))
    term = residual_term(opened, settings)
    if term is None or settings.method != "gauss-newton":
        return []
    mesh = ProbableFit(prior, opened, term, settings, known=None, on_step=None).sketch()
    found = []
    for group in contours.by_plane:
        if any(contour.open_plane for contour in group):
            continue
        drawn = cKDTree(np.concatenate([contour.points for contour in group]))
        for section in section_loops(mesh, *group[0].plane):
            distances = drawn.query(section)[0]
            if distances.mean() > _APART_MM and loop_length(section) > _SHORTEST_MM:
                worst = int(distances.argmax())
                found.append(Deviation(group[0].name, float(distances[worst]), section[worst]))
    return found
