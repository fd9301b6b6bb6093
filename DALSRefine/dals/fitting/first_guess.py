"""Where an organ lies and how large it is, guessed from an observation alone."""

from __future__ import annotations

import numpy as np

from dals.fitting.tasks import Observation
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations.observations import PlanarContours, PointCloud


def first_guess(observation: Observation, mean_shape: FloatArray) -> Pose:
    """A first similarity transform without rotation.

    Points and segmentations show the whole surface: the bounding box of the mean shape is
    matched with theirs. Contours show it in places only: the box around all of
    them is matched with the mean shape's; planes that miss the middle make that box too
    small, which is why fits try several scales.

    Parameters
    ----------
    observation
    mean_shape : (V, 3)
        Vertices of the prior's mean shape, canonical.
    """
    if isinstance(observation, (PointCloud, PlanarContours)):
        low, high = observation.points.min(axis=0), observation.points.max(axis=0)
    else:
        low, high = observation.solid.marked_bounds
        # Voxels reach half a spacing beyond their centres, seen along each RAS axis.
        reach = 0.5 * np.linalg.norm(observation.solid.ijk_to_ras[:3, :3], axis=1)
        low, high = low - reach, high + reach
    shape_low, shape_high = mean_shape.min(axis=0), mean_shape.max(axis=0)
    extent, shape_extent = high - low, shape_high - shape_low
    scale = float(extent @ shape_extent / (shape_extent @ shape_extent))
    translation = 0.5 * (low + high) - scale * 0.5 * (shape_low + shape_high)
    return Pose(scale, translation)
