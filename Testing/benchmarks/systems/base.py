"""What every compared system offers, and how it sees an observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.pose import Pose
from dals.observations import PlanarContours, PointCloud

Observation: TypeAlias = PointCloud | PlanarContours


class System(Protocol):
    """Something that makes a surface from an observation when the pose is known."""

    @property
    def name(self) -> str:
        """As in the tables."""
        ...

    def fit(self, observation: Observation, *, pose: Pose) -> TriangleMesh:
        """Make the surface, RAS mm.

        Parameters
        ----------
        observation : PointCloud or PlanarContours
            RAS mm.
        pose : Pose
            Takes the canonical frame (zero mean, unit sphere) to RAS mm; the true one, as in the paper.
        """
        ...


@dataclass(frozen=True)
class Section:
    """All outlines on one plane, in canonical units.

    Attributes
    ----------
    origin, normal : (3,)
        The plane, with its unit normal.
    loops : tuple of (N, 3)
        Closed polylines; the first point is not repeated. Points inside an odd number of them are in the organ.
    """

    origin: FloatArray
    normal: FloatArray
    loops: tuple[FloatArray, ...]


def canonical_points(observation: Observation, pose: Pose) -> FloatArray:
    """The points of an observation in the canonical frame, (N, 3)."""
    return pose.to_canonical(np.asarray(observation.points))


def canonical_sections(observation: PlanarContours, pose: Pose) -> tuple[Section, ...]:
    """The planes of an observation with their outlines in the canonical frame."""
    sections = []
    for group in observation.by_plane:
        plane = group[0].plane
        loops = tuple(pose.to_canonical(contour.points) for contour in group)
        sections.append(Section(pose.to_canonical(plane.origin[None])[0], plane.normal @ pose.rotation, loops))
    return tuple(sections)


def in_patient(mesh: TriangleMesh, pose: Pose) -> TriangleMesh:
    """A canonical mesh in RAS mm."""
    return TriangleMesh(pose.to_patient(mesh.vertices), mesh.faces)
