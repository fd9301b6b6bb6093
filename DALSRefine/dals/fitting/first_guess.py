"""Where an organ lies and how large it is, guessed from an observation alone."""

from __future__ import annotations

import numpy as np

from dals.fitting.tasks import Observation
from dals.mesh import FloatArray
from dals.observations import PlanarContours, PointCloud
from dals.pose import Pose


def first_guess(observation: Observation, mean_shape: FloatArray) -> Pose:
    """A first similarity transform without rotation.

    Points and segmentations show the whole surface: the bounding box and centroid of the
    mean shape are matched with theirs. Contours show it in places only: the box around all of
    them is matched with the mean shape's; planes that miss the middle make that box too
    small, which is why fits try several scales.

    Parameters
    ----------
    observation
    mean_shape : (V, 3)
        Vertices of the prior's mean shape, canonical.
    """
    if isinstance(observation, (PointCloud, PlanarContours)):
        points = observation.points
    else:
        points = _boundary_points(observation.label_map.array, observation.label_map.ijk_to_ras)
    low, high = points.min(axis=0), points.max(axis=0)
    shape_low, shape_high = mean_shape.min(axis=0), mean_shape.max(axis=0)
    extent, shape_extent = high - low, shape_high - shape_low
    scale = float(extent @ shape_extent / (shape_extent @ shape_extent))
    translation = 0.5 * (low + high) - scale * 0.5 * (shape_low + shape_high)
    return Pose(scale, translation)


def _boundary_points(mask: np.ndarray, ijk_to_ras: FloatArray) -> FloatArray:
    """Centres of the mask's extreme voxels along every line of the first axis, RAS mm."""
    inside = np.argwhere(mask)[:, ::-1].astype(float)
    if len(inside) > 200_000:
        inside = inside[:: len(inside) // 200_000]
    return np.asarray(inside @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3])
