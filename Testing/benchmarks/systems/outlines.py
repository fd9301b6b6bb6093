"""The outlines of a plane in two dimensions: which side a point is on, and how far it is from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.systems.base import Section
from dals.geometry.mesh import FloatArray


def plane_axes(normal: FloatArray) -> FloatArray:
    """Two orthonormal directions across a unit normal, (2, 3)."""
    _, _, axes = np.linalg.svd(np.asarray(normal)[None])
    return np.asarray(axes[1:])


def within(loop: FloatArray, points: FloatArray) -> NDArray[np.bool_]:
    """Whether points (N, 2) lie in a closed polygon (M, 2): even and odd crossings."""
    ahead = np.roll(loop, -1, axis=0)
    found = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(loop, ahead, strict=True):
        if y0 != y1:
            crossed = (y0 > points[:, 1]) != (y1 > points[:, 1])
            found ^= crossed & (points[:, 0] < x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0))
    return found


def inside(section: Section, points: FloatArray) -> NDArray[np.bool_]:
    """Whether points (N, 3) of the plane lie in the organ: within an odd number of outlines."""
    axes = plane_axes(section.normal)
    flat = (points - section.origin) @ axes.T
    found = np.zeros(len(points), dtype=bool)
    for loop in section.loops:
        found ^= within((loop - section.origin) @ axes.T, flat)
    return found


def is_hole(section: Section, index: int) -> bool:
    """Whether one of the section's outlines lies within an odd number of the others."""
    others = Section(section.origin, section.normal, section.loops[:index] + section.loops[index + 1 :])
    return bool(others.loops) and bool(inside(others, section.loops[index][:1])[0])
