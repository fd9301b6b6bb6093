"""Initial pose from an observation alone."""

from __future__ import annotations

from dals.fitting.data_term import organ_bounds
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations import Observation


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
