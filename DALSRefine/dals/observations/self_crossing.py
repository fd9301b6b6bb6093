"""Whether a closed curve crosses itself grossly: clicked in the wrong order, drawn as an eight or twice round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.geometry.mesh import FloatArray
from dals.observations.contours import Contour

TOLERATED_SHARE = 0.1
"""Of the area that a curve encloses. A tremor's loops and a narrow waist where the two sides touch take less."""
_ROWS = 96
_MAXIMUM_POINTS = 2_000


def check_crossing(contour: Contour) -> None:
    """Raise if too much of what a contour encloses is not enclosed exactly once.

    Raises
    ------
    InputError
        With the contour's name.
    """
    share = share_enclosed_wrongly(contour)
    if share > TOLERATED_SHARE:
        raise InputError(
            f"The contour '{contour.name}' crosses itself, so that {100 * share:.0f}% of what it encloses is not "
            "enclosed once; please check the order of its points, or draw it again."
        )


def share_enclosed_wrongly(contour: Contour) -> float:
    """Area that a contour goes round otherwise than once in its own sense, as a share of all it encloses, 0 to 1."""
    turns = _turns(_on_plane(contour))
    enclosed = np.count_nonzero(turns)
    if not enclosed:
        return 0.0
    once = max(np.count_nonzero(turns == 1), np.count_nonzero(turns == -1))
    return float(1 - once / enclosed)


def _on_plane(contour: Contour) -> FloatArray:
    """Points of the contour in its plane, (N, 2), between 0 and 1; of very many, as many as the grid can tell apart."""
    centred = contour.points[:: -(-len(contour.points) // _MAXIMUM_POINTS)] - contour.plane.origin
    first = np.linalg.svd(centred, full_matrices=False)[2][0]
    flat = centred @ np.column_stack([first, np.cross(contour.plane.normal, first)])
    return np.asarray((flat - flat.min(axis=0)) / np.ptp(flat, axis=0))


def _turns(loop: FloatArray) -> NDArray[np.int64]:
    """How often a closed polyline (N, 2) goes round each point of a grid over the unit square (winding number)."""
    following = np.roll(loop, -1, axis=0)
    rows = (np.arange(_ROWS) + 0.5) / _ROWS
    above, above_next = loop[:, 1] > rows[:, None], following[:, 1] > rows[:, None]
    row, edge = np.nonzero(above != above_next)
    (x, y), (dx, dy) = loop[edge].T, (following - loop)[edge].T
    crossing = x + (rows[row] - y) / dy * dx
    column = np.clip(np.ceil(crossing * _ROWS - 0.5), 0, _ROWS).astype(np.int64)
    steps = np.zeros((_ROWS, _ROWS + 1), dtype=np.int64)
    np.add.at(steps, (row, column), np.where(above[row, edge], 1, -1))
    return np.cumsum(steps, axis=1)[:, :_ROWS]
