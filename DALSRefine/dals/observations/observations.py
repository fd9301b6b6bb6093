"""What the user gave: contours, points or a segmentation, in RAS millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.voxelisation import label_map_to_mesh
from dals.observations.contour_consistency import check_agreement
from dals.observations.contours import Contour, Plane, checked_points

__all__ = ["Contour", "PlanarContours", "Plane", "PointCloud", "Segmentation"]

MINIMUM_DEVIATION_MM = 2.0
RELATIVE_DEVIATION = 0.03
SAME_PLANE_ANGLE_DEG = 5.0
SAME_PLANE_DISTANCE_MM = 1.5


@dataclass(frozen=True, eq=False)
class PlanarContours:
    """Outlines of one organ on at least two planes.

    Attributes
    ----------
    contours : tuple of Contour

    Raises
    ------
    InputError
        If there is none, one is not planar, all lie on the same plane, or two contradict each other.
    """

    contours: tuple[Contour, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "contours", tuple(self.contours))
        if not self.contours:
            raise InputError("There is no contour.")
        for contour in self.contours:
            _check_planarity(contour)
        groups = self.by_plane
        if len(groups) < 2:
            raise InputError(
                "All contours lie on the same plane; please draw the organ on at least one more plane that "
                "crosses it, best on an axial, a coronal and a sagittal one."
            )
        check_agreement(groups)

    @cached_property
    def by_plane(self) -> tuple[tuple[Contour, ...], ...]:
        """The contours in groups that share a plane (holes and separate sections), in order of appearance."""
        groups: list[list[Contour]] = []
        for contour in self.contours:
            for group in groups:
                if _same_plane(group[0], contour):
                    group.append(contour)
                    break
            else:
                groups.append([contour])
        return tuple(tuple(group) for group in groups)

    @property
    def points(self) -> FloatArray:
        """The points of all contours, (N, 3)."""
        return np.concatenate([contour.points for contour in self.contours])


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points on the organ's surface.

    Attributes
    ----------
    points : (N, 3) float64
        RAS millimetres, N >= 3.

    Raises
    ------
    InputError
        For fewer than three different points or values that are not finite.
    """

    points: FloatArray

    def __post_init__(self) -> None:
        points = checked_points(self.points, "The point cloud")
        object.__setattr__(self, "points", points)
        if len(np.unique(points, axis=0)) < 3:
            raise InputError("The point cloud has fewer than 3 different points.")


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A full three-dimensional label map of the organ.

    Attributes
    ----------
    label_map : LabelMap
    probabilities : (K, J, I) float32, optional
        How sure the network was that a voxel belongs to the organ, 0 to 1, on the label map's grid.

    Raises
    ------
    InputError
        If no voxel is marked, or the probabilities are not between 0 and 1 or on another grid.
    """

    label_map: LabelMap
    probabilities: NDArray[np.float32] | None = None

    @cached_property
    def solid(self) -> LabelMap:
        """Its largest component without cavities, on the part of the grid that holds it."""
        part = self.label_map.cropped()
        components, _ = ndimage.label(part.array)
        largest = components == np.bincount(components.ravel())[1:].argmax() + 1
        return part.with_array(ndimage.binary_fill_holes(largest)).cropped()

    @cached_property
    def surface(self) -> TriangleMesh:
        """Its surface with all islands and cavities, RAS mm."""
        return label_map_to_mesh(self.label_map)

    def __post_init__(self) -> None:
        if self.label_map.is_empty:
            raise InputError(f"The segmentation {self.label_map.name} is empty.")
        if self.probabilities is None:
            return
        probabilities: NDArray[np.float32] = np.asarray(self.probabilities, dtype=np.float32)
        if probabilities.shape != self.label_map.array.shape:
            raise InputError(f"The probabilities are not on the grid of the segmentation {self.label_map.name}.")
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # not-a-number fails, too
            raise InputError("The probabilities must lie between 0 and 1.")
        object.__setattr__(self, "probabilities", probabilities)


def _check_planarity(contour: Contour) -> None:
    tolerance = max(MINIMUM_DEVIATION_MM, RELATIVE_DEVIATION * contour.extent)
    deviation = contour.deviation_mm
    if deviation > tolerance:
        raise InputError(
            f"The points of the contour '{contour.name}' lie on no common plane: they deviate by up to "
            f"{deviation:.1f} mm ({tolerance:.1f} mm are tolerated)."
        )


def _same_plane(a: Contour, b: Contour) -> bool:
    if a.plane.angle_to(b.plane) > SAME_PLANE_ANGLE_DEG:
        return False
    offsets = (a.plane.distances(b.points), b.plane.distances(a.points))
    return min(float(np.sqrt(np.mean(offset**2))) for offset in offsets) <= SAME_PLANE_DISTANCE_MM
