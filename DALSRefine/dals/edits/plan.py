"""A segmentation with its edits as data, from which any choice of them can be carried out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dals.edits.candidates import Candidate
from dals.edits.composition import capped, completed, composed, on_voxels, smoothed
from dals.edits.edit import Edit
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.signed_lattice import Field, SignedLattice, in_one_piece
from dals.geometry.voxelisation import label_map_to_mesh


@dataclass(frozen=True, eq=False)
class VoxelPlace:
    """Voxels of a segmentation's grid.

    Attributes
    ----------
    box : tuple of slice
        Of the grid's array.
    region : (k, j, i) bool
        Within the box.
    """

    box: tuple[slice, ...]
    region: BoolArray


@dataclass(frozen=True, eq=False)
class Composition:
    """A segmentation with some of its edits.

    Attributes
    ----------
    mesh : TriangleMesh
        One closed surface, RAS mm: the largest part without cavities.
    label_map : LabelMap
        On the segmentation's grid; voxels that no edit concerns are the segmentation's own.
    field : (K, J, I) float32
        Signed distance of the mesh on the plan's lattice, mm; around edits only its sign is exact.
    """

    mesh: TriangleMesh
    label_map: LabelMap
    field: Field


@dataclass(frozen=True, eq=False)
class EditPlan:
    """What a segmentation is and what it could become.

    It holds all that is needed to carry out a choice of the edits, such as that of a person who ticks them in a table:
    no prior and no torch.

    Attributes
    ----------
    label_map : LabelMap
        The segmentation.
    solid : LabelMap
        Its largest part without cavities, on the same grid.
    lattice : SignedLattice
        Of `solid`.
    prior : (K, J, I) float32
        Signed distance of the prior's surface on the lattice, mm.
    unit : float
        Millimetres in one canonical unit.
    edits : tuple of Edit
        `applied` is what the settings made of them.
    places : tuple of Candidate, VoxelPlace or None
        Where each edit is: on the lattice, on the voxels, or everywhere.
    completing : bool
        Whether the surface goes on beyond the image's border.
    """

    label_map: LabelMap
    solid: LabelMap
    lattice: SignedLattice
    prior: Field
    unit: float
    edits: tuple[Edit, ...]
    places: tuple[Candidate | VoxelPlace | None, ...]
    completing: bool

    @property
    def applied(self) -> tuple[int, ...]:
        """Indices of the edits that the settings carry out."""
        return tuple(index for index, edit in enumerate(self.edits) if edit.applied)

    def carried_out(self, chosen: Iterable[int] | None = None) -> Composition:
        """The segmentation with the chosen edits, by their indices; by default those that are applied."""
        kept = set(self.applied if chosen is None else chosen)
        on_lattice, off_voxels, smoothing = [], [], True
        for index, (edit, place) in enumerate(zip(self.edits, self.places, strict=True)):
            if isinstance(place, Candidate):
                on_lattice += [place] if index in kept else []
            elif place is None:
                smoothing = index in kept
            elif index not in kept:
                off_voxels.append((edit, place))
        field = composed(self.lattice, self.prior, on_lattice, unit=self.unit)
        # What the border cuts off is judged within the image first.
        within = in_one_piece(capped(field, self.lattice))
        label_map = on_voxels(within, self.lattice, self.solid)
        completing = self.completing and self.lattice.is_cut
        if completing:
            within = in_one_piece(completed(field, self.lattice, self.prior, unit=self.unit))
        whole = smoothed(within, self.lattice)
        mesh = self.lattice.surface(whole) if smoothing or completing else label_map_to_mesh(label_map)
        return Composition(mesh, _without_edits(label_map, off_voxels), whole)

    def voxels(self, index: int) -> VoxelPlace | None:
        """The voxels that an edit concerns; None if it concerns none or the whole surface."""
        place = self.places[index]
        if not isinstance(place, Candidate):
            return place
        found = self.voxels_at(place.box, place.region)
        if found is None:
            return None
        held = self.solid.array[found.box]
        return replace(found, region=found.region & (held if place.surplus else ~held))

    def voxels_at(self, box: tuple[slice, ...], region: BoolArray) -> VoxelPlace | None:
        """The voxels nearest to a region's points in a box of the lattice; None if all are outside the image."""
        scale, shift = np.diag(self.lattice.to_voxels)[2::-1], self.lattice.to_voxels[2::-1, 3]
        slices, picks = [], []
        for axis, part in enumerate(box):
            low = max(int(np.ceil((part.start - 0.5) * scale[axis] + shift[axis])), 0)
            high = min(int((part.stop - 0.5) * scale[axis] + shift[axis]) + 1, self.solid.array.shape[axis])
            if low >= high:
                return None
            index = np.rint((np.arange(low, high) - shift[axis]) / scale[axis]).astype(int) - part.start
            slices.append(slice(low, high))
            picks.append(np.clip(index, 0, part.stop - part.start - 1))
        return VoxelPlace(tuple(slices), region[np.ix_(*picks)])


def _without_edits(label_map: LabelMap, undone: list[tuple[Edit, VoxelPlace]]) -> LabelMap:
    """The map with islands and holes that are to stay."""
    if not undone:
        return label_map
    array = label_map.array.copy()
    for edit, place in undone:
        array[place.box][place.region] = edit.removes
    return label_map.with_array(array)
