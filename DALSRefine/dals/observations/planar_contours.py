"""Contours of an organ on several planes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dals.errors import InputError
from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray
from dals.observations.contour_consistency import check_consistency
from dals.observations.contours import Contour
from dals.observations.observation import Arrays, Fields, Observation, bounds_of
from dals.observations.self_crossing import check_crossing

MINIMUM_DEVIATION_MM = 2.0
RELATIVE_DEVIATION = 0.03
SAME_PLANE_ANGLE_DEG = 5.0
SAME_PLANE_DISTANCE_MM = 1.5


@dataclass(frozen=True, eq=False)
class PlanarContours(Observation):
    """Contours of one organ on at least two planes.

    What is outlined on a plane is all of the organ there, unless one of its contours says otherwise
    (`Contour.open_plane`, `Contour.closed`).

    Attributes
    ----------
    contours : tuple of Contour

    Raises
    ------
    InputError
        If there is no contour, one is not planar or clearly crosses itself, all lie on the same plane, or two
        contradict each other.
    """

    contours: tuple[Contour, ...]

    kind: ClassVar[str] = "contours"
    defaults: ClassVar[FitSettings] = FitSettings(
        method="gauss-newton",
        lambda_dir=2.0,
        lambda_prior=1.0,
        lambda_scale=2.0,
        shared_steps=8,
        local_steps=7,
        robust_scale=0.1,
    )
    paper: ClassVar[FitSettings] = FitSettings.of_paper(lambda_reg=1e-2, lambda_dir=100.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contours", tuple(self.contours))
        if not self.contours:
            raise InputError("There is no contour.")
        for contour in self.contours:
            _check_planarity(contour)
            if contour.closed:
                check_crossing(contour)
        groups = self.by_plane
        if len(groups) < 2:
            raise InputError(
                "All contours lie on the same plane; please draw the organ on at least one more plane that "
                "crosses it, best on an axial, a coronal and a sagittal one."
            )
        check_consistency(groups)

    @cached_property
    def by_plane(self) -> tuple[tuple[Contour, ...], ...]:
        """Contours grouped by plane (a plane may have holes and separate sections), in order of appearance."""
        groups: list[list[Contour]] = []
        for contour in self.contours:
            for group in groups:
                if _same_plane(group[0], contour):
                    group.append(contour)
                    break
            else:
                groups.append([contour])
        return tuple(tuple(group) for group in groups)

    def with_open_planes(self, names: Iterable[str]) -> PlanarContours:
        """The same contours; the planes of those with these names may show more of the organ than was drawn there.

        Raises
        ------
        InputError
            If no contour has one of the names.
        """
        wanted = set(names)
        unknown = sorted(wanted - {contour.name for contour in self.contours})
        if unknown:
            known = ", ".join(f"'{contour.name}'" for contour in self.contours)
            raise InputError(f"There is no contour named '{unknown[0]}' whose plane could be open; there are {known}.")
        marked = (replace(c, open_plane=c.open_plane or c.name in wanted) for c in self.contours)
        return PlanarContours._unchecked(contours=tuple(marked))

    @property
    def points(self) -> FloatArray:
        """Points of all contours, (N, 3)."""
        return np.concatenate([contour.points for contour in self.contours])

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Minimum and maximum coordinates of all contours, each (3,), RAS mm."""
        return bounds_of(self.points)

    @property
    def named_points(self) -> list[tuple[str, FloatArray]]:
        """Points of each contour under its name."""
        return [(contour.name, contour.points) for contour in self.contours]

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Names, kinds and points of the contours."""
        arrays = {f"{index}.points": contour.points for index, contour in enumerate(self.contours)}
        arrays |= {
            f"{index}.control_points": contour.control_points
            for index, contour in enumerate(self.contours)
            if contour.control_points is not None
        }
        fields = {
            "names": [contour.name for contour in self.contours],
            "closed": [contour.closed for contour in self.contours],
            "open_planes": [contour.open_plane for contour in self.contours],
        }
        return fields, arrays

    @classmethod
    def from_arrays(cls, fields: Fields, arrays: Arrays) -> PlanarContours:
        """Restore contours from `to_arrays`."""
        contours = [
            Contour(arrays[f"{index}.points"], arrays.get(f"{index}.control_points"), name, closed, open_plane)
            for index, (name, closed, open_plane) in enumerate(
                zip(fields["names"], fields["closed"], fields["open_planes"], strict=True)
            )
        ]
        return cls._unchecked(contours=tuple(contours))


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
