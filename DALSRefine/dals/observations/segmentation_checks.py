"""What is odd about a full segmentation before anything is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dals.geometry.components import Component, ComponentChoice, Components
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray
from dals.geometry.voxelisation import label_map_to_mesh

FindingKind = Literal["full", "several", "sides", "cut"]

_DIRECTIONS = (("right", "left"), ("anterior", "posterior"), ("superior", "inferior"))
_PLACES = (("right", "left"), ("front", "back"), ("top", "bottom"))
_SIMILAR = 0.5  # least volume of one of a pair of organs, in parts of the other's
_SIDEWAYS = 0.8  # cosine between left-right and the line between the centres of a pair
_NOTABLE = 0.5  # of the largest offset from the middle, from which on another axis is named, too
_MOST_LISTED = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is odd.

    Attributes
    ----------
    kind : "full", "several", "sides" or "cut"
        Every voxel is marked; several large parts; the left and the right organ of a pair; cut by the
        image's border.
    message : str
        A sentence for a clinician.
    """

    kind: FindingKind
    message: str

    @property
    def is_fatal(self) -> bool:
        """Whether nothing can be fitted."""
        return self.kind == "full"


def check_segmentation(
    label_map: LabelMap, *, component: ComponentChoice | None = None, components: Components | None = None
) -> tuple[Finding, ...]:
    """Look for what a user should know of a full segmentation.

    Parameters
    ----------
    label_map : LabelMap
        Not empty.
    component : "largest", "left", "right", int or None
        Which part the user chose, None if nothing: who chose knows that there are several.
    components : Components, optional
        Those of the label map where they are known already.

    Returns
    -------
    tuple of Finding
        Empty if all is well.

    Raises
    ------
    InputError
        If there is no such component.
    """
    if label_map.array.all():
        message = (
            f"Every voxel of the segmentation {label_map.name} is marked; it is probably the wrong label or an "
            "inverted mask."
        )
        return (Finding("full", message),)
    components = components or Components(label_map)
    findings = []
    if component is None and len(components.large) > 1:
        findings.append(_pair(label_map, components.large) or _several(label_map, components.large))
    cut = _cut(components.mask(components.rank_of("largest" if component is None else component)))
    return (*findings, cut) if cut else tuple(findings)


@dataclass(frozen=True)
class ComponentOption:
    """One of the large components of a segmentation, as a user chooses between them.

    Attributes
    ----------
    choice : "left", "right" or int
        What `Components.chosen` takes: the side of one of a pair, otherwise the rank by volume.
    description : str
        Its volume and place, such as "2: 300 ml (left, top)" or "left: 150 ml".
    """

    choice: ComponentChoice
    description: str


def component_options(components: Components) -> tuple[ComponentOption, ...]:
    """The large components that a user can choose between; none where there is only one."""
    parts = components.large
    if len(parts) < 2:
        return ()
    sides = _sides(parts)
    if sides is not None:
        return tuple(
            ComponentOption(side, f"{side}: {_ml(part.volume)}") for side, part in zip(sides, parts, strict=True)
        )
    return tuple(ComponentOption(rank, text) for rank, text in enumerate(_descriptions(parts), start=1))


def _pair(label_map: LabelMap, parts: tuple[Component, ...]) -> Finding | None:
    """If two parts are the left and the right organ of a pair."""
    sides = _sides(parts)
    if sides is None:
        return None
    (side, other), (largest, second) = sides, parts
    return Finding(
        "sides",
        f"The segmentation {label_map.name} holds left and right in one label: {_ml(largest.volume)} on the {side} "
        f"(component 1) and {_ml(second.volume)} on the {other} (component 2); only the larger one, on the {side}, "
        "is used. Choose with the option component: left or right.",
    )


def _sides(parts: tuple[Component, ...]) -> tuple[Literal["left", "right"], Literal["left", "right"]] | None:
    """On which side the larger and the smaller part lie if they are a pair of organs."""
    largest, second = parts[:2]
    between = largest.centre - second.centre
    apart = abs(between[0]) >= _SIDEWAYS * np.linalg.norm(between) and not _overlap_sideways(largest, second)
    if len(parts) > 2 or second.volume < _SIMILAR * largest.volume or not apart:
        return None
    return ("right", "left") if between[0] > 0 else ("left", "right")


def _overlap_sideways(a: Component, b: Component) -> bool:
    """Whether they share more than a quarter of the narrower one's extent from left to right."""
    shared = min(a.high[0], b.high[0]) - max(a.low[0], b.low[0])
    return bool(shared > 0.25 * min(a.high[0] - a.low[0], b.high[0] - b.low[0]))


def _descriptions(parts: tuple[Component, ...]) -> list[str]:
    """Rank, volume and place of each part."""
    centres = np.array([part.centre for part in parts])
    middle = 0.5 * (centres.min(axis=0) + centres.max(axis=0))
    return [f"{rank}: {_ml(part.volume)} ({_place(part.centre - middle)})" for rank, part in enumerate(parts, start=1)]


def _several(label_map: LabelMap, parts: tuple[Component, ...]) -> Finding:
    listed = _descriptions(parts)[:_MOST_LISTED]
    more = f" and {len(parts) - _MOST_LISTED} more" if len(parts) > _MOST_LISTED else ""
    return Finding(
        "several",
        f"The segmentation {label_map.name} has {len(parts)} large separate components: {', '.join(listed)}{more}; "
        "only the largest is used. Choose another one with the option component.",
    )


def _place(offset: FloatArray) -> str:
    """In words, from the middle between all parts: left/right, front/back, top/bottom."""
    largest = np.abs(offset).max()
    named = [
        words[0] if along > 0 else words[1]
        for words, along in zip(_PLACES, offset, strict=True)
        if abs(along) >= max(_NOTABLE * largest, 1e-3)
    ]
    return ", ".join(named) or "in the middle"


def _cut(chosen: LabelMap) -> Finding | None:
    """If the image's border cuts the organ: on which sides, and how much of its surface is that."""
    normals = chosen.ras_to_ijk[:3, :3]  # rows: across the planes of constant i, j and k
    voxel = abs(np.linalg.det(chosen.ijk_to_ras[:3, :3]))
    cut: dict[str, float] = {}
    for axis, normal in enumerate(normals):
        for sign, index in ((-1, 0), (1, -1)):
            count = np.count_nonzero(chosen.array.take(index, 2 - axis))
            if count:
                side = _direction(sign * normal)
                # The planes of an axis are 1 / |normal| apart, so that a voxel's face has this area.
                cut[side] = cut.get(side, 0.0) + float(count * voxel * np.linalg.norm(normal))
    if not cut:
        return None
    share = 100 * sum(cut.values()) / label_map_to_mesh(chosen).area
    sides = " and ".join(sorted(cut, key=lambda side: -cut[side]))
    return Finding(
        "cut",
        f"The segmentation {chosen.name} touches the image's border, {sides}: the organ may be cut off there "
        f"({'less than 1' if share < 1 else format(share, '.0f')}% of its surface).",
    )


def _direction(vector: FloatArray) -> str:
    axis = int(np.abs(vector).argmax())
    return _DIRECTIONS[axis][0 if vector[axis] > 0 else 1]


def _ml(volume: float) -> str:
    ml = volume / 1e3
    return f"{ml:.0f} ml" if ml >= 10 else f"{ml:.2g} ml"
