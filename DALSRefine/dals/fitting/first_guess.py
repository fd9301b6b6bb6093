"""Where an organ lies and how large it is, guessed from an observation alone."""

from __future__ import annotations

from dals.fitting.data_term import organ_bounds
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations import Observation


def first_guess(observation: Observation, mean_shape: FloatArray) -> Pose:
    """A first similarity transform without rotation: the mean shape's bounding box is matched with the organ's.

    Points and segmentations show the whole surface. Contours show it in places only: planes that miss the middle make
    their common box too small, so fits try several initialisations.

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
