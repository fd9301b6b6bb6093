"""Connected components of a label map, and the choice of one of them."""

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
from dals.geometry.transforms import apply_matrix

ComponentChoice: TypeAlias = Literal["largest", "left", "right"] | int
"""A whole number is a rank by volume: 1 is the largest component."""

LARGE = 0.1
"""From this share of the largest component's volume on, a component counts as an organ; below, as an island."""
_BESIDE = 0.25
_NOTICEABLE = 0.01


@dataclass(frozen=True, eq=False)
class Component:
    """A connected component of a label map.

    Attributes
    ----------
    volume : float
        Cubic millimetres.
    low, high : (3,) float64
        Bounds of its voxel centres, RAS millimetres.
    centre : (3,) float64
        Centre of mass, RAS millimetres.
    """

    volume: float
    low: FloatArray
    high: FloatArray
    centre: FloatArray


class Components:
    """The connected components of a label map, largest first.

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
        """Components with at least `LARGE` of the largest one's volume."""

    def mask(self, rank: int) -> LabelMap:
        """The component of this rank alone; 1 is the largest."""
        array = np.zeros_like(self._label_map.array)
        array[self._box] = self._labels == self._order[rank - 1]
        return self._label_map.with_array(array)

    def chosen(self, choice: ComponentChoice | None) -> LabelMap:
        """The component to refine.

        Parameters
        ----------
        choice : "largest", "left", "right", int or None
            None takes the largest component if there are several large ones. A label map with one large
            component comes back as it is: small islands count as damage.

        Raises
        ------
        InputError
            If there is no such component.
        """
        if choice is None and len(self.large) == 1:
            return self._label_map
        return self.mask(self.rank_of("largest" if choice is None else choice))

    def rank_of(self, choice: ComponentChoice) -> int:
        """The rank of a choice.

        Left and right are the patient's. The dividing plane lies midway between the outermost large components.

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
        raise InputError(f"The segmentation {name} has no component on the {choice}: {reason}.")

    def _measured(self, value: int, place: tuple[slice, ...], voxel: float) -> Component:
        mask = self._labels[place] == value
        start = np.array([box.start + inner.start for box, inner in zip(self._box, place, strict=True)][::-1])
        matrix = self._label_map.ijk_to_ras
        ends = apply_matrix(matrix, row_ends(mask) + start)
        counts = [np.count_nonzero(mask, axis=others) for others in ((0, 1), (0, 2), (1, 2))]  # along i, j and k
        middle = start + [np.arange(len(along)) @ along / along.sum() for along in counts]
        volume = voxel * float(counts[0].sum())
        return Component(volume, ends.min(axis=0), ends.max(axis=0), apply_matrix(matrix, middle))


def probabilities_of_component(
    probabilities: NDArray[np.float32], label_map: LabelMap, chosen: LabelMap
) -> NDArray[np.float32]:
    """Set probabilities to zero in the components that were not chosen, and closer to these than to the chosen one.

    Parameters
    ----------
    probabilities : (K, J, I) float32
    label_map : LabelMap
        With all components.
    chosen : LabelMap
        The result of `Components.chosen`.

    Returns
    -------
    (K, J, I) float32
        A copy, unless no component was dropped.
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
