"""How much an observation says of an organ, and how far the prior has to be trusted beside it."""

from __future__ import annotations

import numpy as np

from dals.fit_settings import FitSettings
from dals.fitting.tasks import Observation
from dals.observations.observations import PlanarContours, PointCloud

REFERENCE_POINTS, REFERENCE_PLANES = 2_500, 3
"""What the weights of `FitSettings` are meant for."""
MOST_POINTS = 10_000
"""More count as so many: a step draws fewer, and freer latents were not tried."""
_ALIKE = 0.1  # two parallel planes so far apart, in parts of the organ's radius, count as five quarters of one


def weighed(settings: FitSettings, observation: Observation) -> FitSettings:
    """The settings with the weights of what the prior says in proportion to what the observation does.

    A task loss is a mean over what was observed, and the weights beside it are those of 2,500 points or three planes.
    lambda_prior, lambda_scale and lambda_dir fall with `evidence_power` of the amount of what was observed. It is 1
    where observations err on their own, as points do; planes are worth somewhat more, measured on livers. The result's
    own power is 0: what was weighed stays as it is.
    """
    if settings.evidence_power == 0:
        return settings
    share = amount(observation) ** -settings.evidence_power
    return settings.changed(
        lambda_prior=share * settings.lambda_prior,
        lambda_scale=share * settings.lambda_scale,
        lambda_dir=share * settings.lambda_dir,
        evidence_power=0.0,
    )


def amount(observation: Observation) -> float:
    """How much was observed, in parts of 2,500 points or of three independent planes; 1 for a segmentation."""
    if isinstance(observation, PointCloud):
        return min(len(observation.points), MOST_POINTS) / REFERENCE_POINTS
    if isinstance(observation, PlanarContours):
        return independent_planes(observation) / REFERENCE_PLANES
    return 1.0


def independent_planes(contours: PlanarContours) -> float:
    """How many planes say as much as the given ones, which tell the less of their own the closer they are together.

    The effective sample size 1^T K^-1 1 of observations with correlations K: here those of the planes, which fall with
    the angle between two of them and with their distance. Planes at right angles or far apart count in full.
    """
    planes = [group[0].plane for group in contours.by_plane]
    normals = np.stack([plane.normal for plane in planes])
    points = contours.points
    low, high = points.min(axis=0), points.max(axis=0)
    reach = _ALIKE * float(np.linalg.norm(high - low)) / 2
    offsets = np.concatenate([plane.distances((low + high)[None] / 2) for plane in planes])
    cosines = normals @ normals.T
    # A normal may point either way, and with it goes the sign of an offset: both readings count, by the angle between.
    same, opposite = (np.exp(-0.5 * ((offsets[:, None] - sign * offsets) / reach) ** 2) for sign in (1, -1))
    correlations = cosines**2 * ((1 + cosines) * same + (1 - cosines) * opposite) / 2
    return float(np.linalg.solve(correlations + 1e-6 * np.eye(len(planes)), np.ones(len(planes))).sum())
