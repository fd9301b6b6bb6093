"""Conversion between LPS, the convention of files, and RAS, that of this package. It happens only in `dals.io`.

The two differ by a half turn about the superior axis. One function therefore converts both ways, and neither
handedness nor face orientation changes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from dals.geometry.mesh import FloatArray

Space: TypeAlias = Literal["LPS", "RAS"]

DEFAULT_SPACE: Space = "LPS"
_HALF_TURN = np.array([-1.0, -1.0, 1.0])


def swap_lps_ras(points: ArrayLike) -> FloatArray:
    """Convert points from LPS to RAS or back.

    Parameters
    ----------
    points : (..., 3) array_like
        Positions in either system.

    Returns
    -------
    (..., 3) float64
        The same positions in the other system.
    """
    # Adding zero turns -0.0 into 0.0, which reads better in text files.
    return np.asarray(points, dtype=np.float64) * _HALF_TURN + 0.0


def swap_lps_ras_matrix(matrix: ArrayLike) -> FloatArray:
    """Convert a matrix to LPS, such as IJK to LPS, into one to RAS, or back.

    Parameters
    ----------
    matrix : (4, 4) array_like
        Homogeneous; only its output side is converted.

    Returns
    -------
    (4, 4) float64
    """
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(matrix, dtype=np.float64) + 0.0


def to_ras(points: ArrayLike, space: Space) -> FloatArray:
    """Points of a file in `space` as RAS, (..., 3) float64."""
    return swap_lps_ras(points) if checked_space(space) == "LPS" else np.array(points, dtype=np.float64)


def from_ras(points: ArrayLike, space: Space) -> FloatArray:
    """RAS points as a file in `space` holds them, (..., 3) float64."""
    return to_ras(points, space)


def checked_space(space: str) -> Space:
    """`space` itself when it is "LPS" or "RAS".

    Raises
    ------
    ValueError
        For anything else.
    """
    if space == "LPS":
        return "LPS"
    if space == "RAS":
        return "RAS"
    raise ValueError(f"space must be 'LPS' or 'RAS', not {space!r}")


def space_named_in(text: str | None) -> Space | None:
    """The coordinate system that a header or comment names as Slicer does (`SPACE=LPS`), or None."""
    if text is None:
        return None
    if "SPACE=RAS" in text:
        return "RAS"
    if "SPACE=LPS" in text:
        return "LPS"
    return None
