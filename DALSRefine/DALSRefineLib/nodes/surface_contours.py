"""Contours that are drawn in advance, from a surface: to be accepted, or bent first."""

from __future__ import annotations

from typing import Any

import numpy as np

from dals.errors import InputError
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.observations.contours import Plane
from DALSRefineLib.nodes.curve_points import set_points
from DALSRefineLib.nodes.strokes import control_points_of

PROPOSED_ATTRIBUTE = "DALSRefine.proposed"
TOLERANCE_MM = 1.5
"""Few points are quickly bent: the surface is a guess, and need not be followed closely."""
_LEAST_SHARE = 0.1  # of the largest section's area


def is_proposed(curve: Any) -> bool:
    """Whether a curve was drawn in advance and is not accepted yet."""
    return bool(curve.GetAttribute(PROPOSED_ATTRIBUTE))


def propose(curve: Any) -> None:
    """Make a curve one that is not used until the user accepts it."""
    curve.SetAttribute(PROPOSED_ATTRIBUTE, "1")


def accept(curve: Any) -> None:
    """Make a proposed curve one like those that the user has drawn."""
    curve.RemoveAttribute(PROPOSED_ATTRIBUTE)


def outlines_on(mesh: TriangleMesh, plane: Plane) -> list[FloatArray]:
    """Control points of the curves in which a plane cuts a surface, the largest first.

    Sections of less than a tenth of the largest one's area are left out.

    Parameters
    ----------
    mesh : TriangleMesh
        World RAS millimetres.
    plane : Plane
        Likewise.

    Raises
    ------
    InputError
        If the plane misses the surface.
    """
    loops = sorted(section_loops(mesh, plane.origin, plane.normal), key=_area, reverse=True)
    if not loops or not _area(loops[0]) > 0:
        raise InputError("The slice that is shown does not cut the surface; scroll to one that does.")
    kept = [loop for loop in loops if _area(loop) >= _LEAST_SHARE * _area(loops[0])]
    return [control_points_of(loop, tolerance_mm=TOLERANCE_MM) for loop in kept]


def fill_proposed(curve: Any, points: FloatArray) -> None:
    """Put an outline (N, 3), world RAS mm, into a new curve under no transform, as a proposal."""
    propose(curve)
    set_points(curve, points)


def _area(loop: FloatArray) -> float:
    """Of a planar closed line (N, 3)."""
    offset = loop - loop.mean(axis=0)
    return 0.5 * float(np.linalg.norm(np.cross(offset, np.roll(offset, -1, axis=0)).sum(axis=0)))
