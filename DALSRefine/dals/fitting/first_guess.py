"""Initial pose from an observation alone."""

from __future__ import annotations

import numpy as np

from dals.fitting.data_term import organ_bounds
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations import Observation, PointCloud

FOREIGN = 4.0
"""Factor by which what was observed is smaller than the usual organ, from which on it is another one, or of another
unit. Less is a part of it, or a small one."""
_MUCH_LONGER = 0.25
"""Share of an organ's box that its observed part lacks along an axis, from which on it may lie at either end."""


def first_guess(observation: Observation, mean_shape: FloatArray) -> Pose:
    """A similarity transform without rotation that matches the bounding boxes of the mean shape and the organ.

    Points and segmentations cover the whole surface. Contours do not: if their planes miss the organ's middle, their
    bounding box is too small. Therefore fits to contours try several initialisations.

    Parameters
    ----------
    observation : Observation
    mean_shape : (V, 3)
        Vertices of the prior's mean shape, canonical.
    """
    low, high = organ_bounds(observation)
    shape_low, shape_high = mean_shape.min(axis=0), mean_shape.max(axis=0)
    extent, shape_extent = high - low, shape_high - shape_low
    scale = float(extent @ shape_extent / (shape_extent @ shape_extent))
    translation = 0.5 * (low + high) - scale * 0.5 * (shape_low + shape_high)
    return Pose(scale, translation)


def at_either_end(observation: Observation, mean_shape: FloatArray, scale: float) -> list[Pose]:
    """Poses with one side of the mean shape's box at that of points that show a part of it.

    Parameters
    ----------
    observation : Observation
        Other kinds than points show the organ's middle.
    mean_shape : (V, 3)
        Vertices of the prior's mean shape, canonical.
    scale : float
        Millimetres in one canonical unit.

    Returns
    -------
    list of Pose
        Two for each axis along which the shape is much longer than the points; the middles agree along the others.
    """
    if not isinstance(observation, PointCloud):
        return []
    low, high = organ_bounds(observation)
    shape_low, shape_high = scale * mean_shape.min(axis=0), scale * mean_shape.max(axis=0)
    middle, lacking = 0.5 * (low + high - shape_low - shape_high), (shape_high - shape_low) - (high - low)
    axes = np.flatnonzero(lacking > _MUCH_LONGER * (shape_high - shape_low))
    return [Pose(scale, middle + 0.5 * side * lacking[axis] * np.eye(3)[axis]) for axis in axes for side in (-1, 1)]
