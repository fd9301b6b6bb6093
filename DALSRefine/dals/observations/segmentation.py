"""A full three-dimensional label map of an organ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.errors import InputError
from dals.fit_settings import FitSettings
from dals.geometry.components import ComponentChoice, Components, probabilities_of_component
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.voxelisation import label_map_to_mesh
from dals.observations.observation import Arrays, Fields, Observation
from dals.observations.probability_checks import checked_probabilities, doubts
from dals.observations.segmentation_checks import check_segmentation


@dataclass(frozen=True, eq=False)
class Segmentation(Observation):
    """A full three-dimensional label map of the organ.

    Attributes
    ----------
    label_map : LabelMap
        Reduced to the chosen component. Small islands are kept if no component was chosen and only one is large.
    probabilities : (K, J, I) float32, optional
        Network's probability that a voxel belongs to the organ, 0 to 1, on the label map's grid.
    component : "largest", "left", "right", int or None
        The chosen connected component; a number is its rank by volume.

    Raises
    ------
    InputError
        If no voxel or every voxel is marked, the component does not exist, or the probabilities are outside 0 to 1 or
        on another grid.
    """

    label_map: LabelMap
    probabilities: NDArray[np.float32] | None = None
    component: ComponentChoice | None = None

    kind: ClassVar[str] = "segmentation"
    defaults: ClassVar[FitSettings] = FitSettings(
        lambda_reg=1e-3,
        lambda_dir=1e-3,
        lambda_prior=1e-3,
        shared_steps=40,
        local_steps=30,
        level_shares=(0.9, 0.1),
        points=1_500,
        robust_scale=0.03,
        coverage=1.0,
        projection_distance=0.03,
        edits="applied",
    )
    paper: ClassVar[FitSettings] = FitSettings.of_paper(lambda_reg=0.0, lambda_dir=float("inf"))

    def __post_init__(self) -> None:
        whole = self.label_map
        if whole.is_empty:
            raise InputError(f"The segmentation {whole.name} is empty.")
        components = Components(whole)
        findings = check_segmentation(whole, component=self.component, components=components)
        for finding in findings:
            if finding.is_fatal:
                raise InputError(finding.message)
        chosen = components.chosen(self.component)
        noticed = tuple(finding.message for finding in findings)
        if self.probabilities is not None:
            if np.shape(self.probabilities) != whole.array.shape:
                raise InputError(f"The probabilities are not on the grid of the segmentation {whole.name}.")
            values = checked_probabilities(self.probabilities, source=f"The probability map of {whole.name}")
            values = probabilities_of_component(values, whole, chosen)
            noticed += doubts(values, chosen)
            object.__setattr__(self, "probabilities", values)
        object.__setattr__(self, "label_map", chosen)
        object.__setattr__(self, "_notices", noticed)

    @property
    def notices(self) -> tuple[str, ...]:
        """Warnings: several large components, left and right in one label, border contact, doubtful probabilities."""
        noticed: tuple[str, ...] = self.__dict__["_notices"]
        return noticed

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Minimum and maximum coordinates of the centres of marked voxels, each (3,), RAS mm."""
        return self.label_map.marked_bounds

    @property
    def named_points(self) -> list[tuple[str, FloatArray]]:
        """Vertices of the segmentation's surface under one name."""
        return [("segmentation", self.surface.vertices)]

    @cached_property
    def solid(self) -> LabelMap:
        """Largest component with cavities filled, on the grid cropped to it."""
        part = self.label_map.cropped()
        components, _ = ndimage.label(part.array)
        largest = components == np.bincount(components.ravel())[1:].argmax() + 1
        return part.with_array(ndimage.binary_fill_holes(largest)).cropped()

    @cached_property
    def surface(self) -> TriangleMesh:
        """Surface including islands and cavities, RAS mm."""
        return label_map_to_mesh(self.label_map)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The chosen component with its probabilities and warnings."""
        whole = self.label_map
        fields = {"name": whole.name, "component": self.component, "notices": list(self.notices)}
        arrays: dict[str, NDArray[Any]] = {"mask": whole.array, "ijk_to_ras": whole.ijk_to_ras}
        if self.probabilities is not None:
            arrays["probabilities"] = self.probabilities
        return fields, arrays

    @classmethod
    def from_arrays(cls, fields: Fields, arrays: Arrays) -> Segmentation:
        """Restore a segmentation from `to_arrays`."""
        return cls._unchecked(
            label_map=LabelMap(arrays["mask"], arrays["ijk_to_ras"], fields["name"]),
            probabilities=arrays.get("probabilities"),
            component=fields["component"],
            _notices=tuple(fields["notices"]),
        )
