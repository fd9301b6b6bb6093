"""The convex hull of the observation: the least that any system has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from benchmarks.systems.base import Observation
from dals.errors import InputError
from dals.geometry.mesh import TriangleMesh
from dals.model.pose import Pose


@dataclass(frozen=True)
class HullSystem:
    """Convex hull of the points or of all contours."""

    name: str = "Convex hull"

    def fit(self, observation: Observation, *, pose: Pose) -> TriangleMesh:
        """The hull, RAS mm; the pose does not matter.

        Raises
        ------
        InputError
            If all points lie on one plane.
        """
        points = np.asarray(observation.points)
        try:
            hull = ConvexHull(points)
        except QhullError:
            raise InputError("Points on one plane have no convex hull with a volume.") from None
        corners = points[hull.simplices]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        inwards = np.einsum("ij,ij->i", normals, hull.equations[:, :3]) < 0
        simplices = np.where(inwards[:, None], hull.simplices[:, ::-1], hull.simplices)
        used, faces = np.unique(simplices, return_inverse=True)
        return TriangleMesh(points[used], faces.reshape(-1, 3))
