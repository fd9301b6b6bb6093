"""The separate parts of a label map, and choosing one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from dals.errors import InputError
from dals.geometry.label_map import LabelMap, row_ends
from dals.geometry.mesh import FloatArray

ComponentChoice: TypeAlias = Literal["largest", "left", "right"] | int
"""A rank by volume is a whole number, 1 for the largest."""

LARGE = 0.1
"""Share of the largest component's volume from which another one is an organ of its own, and no island."""
_BESIDE = 0.25
_NOTICEABLE = 0.01


@dataclass(frozen=True, eq=False)
class Component:
    """One of the separate parts of a label map.

    Attributes
    ----------
    volume : float
        Cubic millimetres.
    low, high : (3,) float64
        Least and largest coordinates of its voxels' centres, RAS millimetres.
    centre : (3,) float64
        Centre of mass, RAS millimetres.
    """

    volume: float
    low: FloatArray
    high: FloatArray
    centre: FloatArray


class Components:
    """The separate parts of a label map, by volume, largest first.

    Parameters
    ----------
    label_map : LabelMap
        Not empty.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self._label_map = label_map
        self._box = label_map.marked_box
        self._labels, self.count = ndimage.label(label_map.array[self._box])
        sizes = np.bincount(self._labels.ravel())[1:]
        self._order = np.argsort(-sizes, kind="stable") + 1
        voxel = abs(float(np.linalg.det(label_map.ijk_to_ras[:3, :3])))
        places = ndimage.find_objects(self._labels)
        large = [value for value in self._order if sizes[value - 1] >= LARGE * sizes.max()]
        self.large = tuple(self._measured(value, places[value - 1], voxel) for value in large)
        """Those of at least a tenth of the largest one's volume."""

    def mask(self, rank: int) -> LabelMap:
        """The component of a rank by volume, 1 for the largest, alone."""
        array = np.zeros_like(self._label_map.array)
        array[self._box] = self._labels == self._order[rank - 1]
        return self._label_map.with_array(array)

    def chosen(self, choice: ComponentChoice | None) -> LabelMap:
        """As `chosen_component`."""
        if choice is None and len(self.large) == 1:
            return self._label_map
        return self.mask(self.rank_of("largest" if choice is None else choice))

    def rank_of(self, choice: ComponentChoice) -> int:
        """The rank by volume of what was chosen.

        Left and right are the patient's, seen from the middle between the outermost large components.

        Raises
        ------
        InputError
            If there are fewer components, or none is clearly on that side.
        """
        name = self._label_map.name
        if choice == "largest":
            return 1
        if isinstance(choice, int):
            if not 1 <= choice <= self.count:
                parts = "one component" if self.count == 1 else f"{self.count} components"
                raise InputError(f"There is no component {choice} in the segmentation {name}: it has {parts}.")
            return choice
        if choice not in ("left", "right"):
            raise InputError(f"A component is 'largest', 'left', 'right' or a rank by volume, not '{choice}'.")
        sideways = [part.centre[0] for part in self.large]
        middle = 0.5 * (min(sideways) + max(sideways))
        sign = 1 if choice == "right" else -1
        for rank, part in enumerate(self.large, start=1):
            if sign * (part.centre[0] - middle) > _BESIDE * (part.high[0] - part.low[0]):
                return rank
        reason = "it has only one large component" if len(self.large) == 1 else "its components lie above each other"
        raise InputError(f"There is nothing on the {choice} in the segmentation {name} by itself: {reason}.")

    def _measured(self, value: int, place: tuple[slice, ...], voxel: float) -> Component:
        mask = self._labels[place] == value
        start = np.array([box.start + inner.start for box, inner in zip(self._box, place, strict=True)][::-1])
        matrix = self._label_map.ijk_to_ras
        ends = (row_ends(mask) + start) @ matrix[:3, :3].T + matrix[:3, 3]
        counts = [np.count_nonzero(mask, axis=others) for others in ((0, 1), (0, 2), (1, 2))]  # along i, j and k
        middle = start + [np.arange(len(along)) @ along / along.sum() for along in counts]
        volume = voxel * float(counts[0].sum())
        return Component(volume, ends.min(axis=0), ends.max(axis=0), matrix[:3, :3] @ middle + matrix[:3, 3])


def chosen_component(label_map: LabelMap, choice: ComponentChoice | None = None) -> LabelMap:
    """The part of a label map that a fit is made to.

    Parameters
    ----------
    label_map : LabelMap
        Not empty.
    choice : "largest", "left", "right", int or None
        None is the largest one; there small islands stay, as they are damage of the organ and not organs.

    Raises
    ------
    InputError
        If there is no such component.
    """
    return Components(label_map).chosen(choice)


def probabilities_of_component(
    probabilities: NDArray[np.float32], label_map: LabelMap, chosen: LabelMap
) -> NDArray[np.float32]:
    """Probabilities with zeros in the parts that were not chosen, and nearer to these than to the chosen one.

    Parameters
    ----------
    probabilities : (K, J, I) float32
    label_map : LabelMap
        With all its parts.
    chosen : LabelMap
        What `chosen_component` made of it.

    Returns
    -------
    (K, J, I) float32
        A copy, unless nothing was left out.
    """
    dropped = label_map.array & ~chosen.array
    if not dropped.any():
        return probabilities
    remaining = np.where(dropped, np.float32(0), probabilities)
    doubtful = np.argwhere((remaining > _NOTICEABLE) & ~chosen.array)
    trees = [cKDTree(np.argwhere(_boundary(mask)) * label_map.spacing[::-1]) for mask in (chosen.array, dropped)]
    own, other = (tree.query(doubtful * label_map.spacing[::-1])[0] for tree in trees)
    remaining[tuple(doubtful[other < own].T)] = 0
    return remaining


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))
