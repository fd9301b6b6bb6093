"""Checks of a full segmentation before a fit."""

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
_SIMILAR = 0.5  # paired organs: smallest ratio of the smaller volume to the larger one
_SIDEWAYS = 0.8  # paired organs: smallest cosine between the line through their centres and the left-right axis
_NOTABLE = 0.5  # a direction is named if its offset exceeds this fraction of the largest one
_MOST_LISTED = 5


@dataclass(frozen=True)
class Finding:
    """One problem of a segmentation.

    Attributes
    ----------
    kind : "full", "several", "sides" or "cut"
        Every voxel is marked; several large components; left and right organ of a pair; cut by the image's border.
    message : str
        One sentence for the clinician.
    """

    kind: FindingKind
    message: str

    @property
    def is_fatal(self) -> bool:
        """Whether the segmentation cannot be fitted."""
        return self.kind == "full"


def check_segmentation(
    label_map: LabelMap, *, component: ComponentChoice | None = None, components: Components | None = None
) -> tuple[Finding, ...]:
    """Check a full segmentation for common problems.

    Parameters
    ----------
    label_map : LabelMap
        Not empty.
    component : "largest", "left", "right", int or None
        The component that the user chose. With a choice, several components are not reported.
    components : Components, optional
        Components of the label map if already computed.

    Returns
    -------
    tuple of Finding
        Empty if there are no problems.

    Raises
    ------
    InputError
        If the chosen component does not exist.
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
    """A large component of a segmentation that the user can choose.

    Attributes
    ----------
    choice : "left", "right" or int
        Argument of `Components.chosen`: the side for paired organs, otherwise the rank by volume.
    description : str
        Volume and location, such as "2: 300 ml (left, top)" or "left: 150 ml".
    """

    choice: ComponentChoice
    description: str


def component_options(components: Components) -> tuple[ComponentOption, ...]:
    """Large components that the user can choose from; empty if there is only one."""
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
    """A finding if the two components are the left and the right organ of a pair."""
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
    """Sides of the larger and the smaller component if they are paired organs, else None."""
    largest, second = parts[:2]
    between = largest.centre - second.centre
    apart = abs(between[0]) >= _SIDEWAYS * np.linalg.norm(between) and not _overlap_sideways(largest, second)
    if len(parts) > 2 or second.volume < _SIMILAR * largest.volume or not apart:
        return None
    return ("right", "left") if between[0] > 0 else ("left", "right")


def _overlap_sideways(a: Component, b: Component) -> bool:
    """Whether the left-right extents overlap by more than a quarter of the narrower one."""
    shared = min(a.high[0], b.high[0]) - max(a.low[0], b.low[0])
    return bool(shared > 0.25 * min(a.high[0] - a.low[0], b.high[0] - b.low[0]))


def _descriptions(parts: tuple[Component, ...]) -> list[str]:
    """Rank, volume and location of each component."""
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
    """Describe an offset from the centre of all components: left/right, front/back, top/bottom."""
    largest = np.abs(offset).max()
    named = [
        words[0] if along > 0 else words[1]
        for words, along in zip(_PLACES, offset, strict=True)
        if abs(along) >= max(_NOTABLE * largest, 1e-3)
    ]
    return ", ".join(named) or "in the middle"


def _cut(chosen: LabelMap) -> Finding | None:
    """A finding if the image's border cuts the organ, with the sides and the share of its surface."""
    normals = chosen.ras_to_ijk[:3, :3]  # rows: across the planes of constant i, j and k
    voxel = abs(np.linalg.det(chosen.ijk_to_ras[:3, :3]))
    cut: dict[str, float] = {}
    for axis, normal in enumerate(normals):
        for sign, index in ((-1, 0), (1, -1)):
            count = np.count_nonzero(chosen.array.take(index, 2 - axis))
            if count:
                side = _direction(sign * normal)
                # Planes along an axis are 1 / |normal| apart, so this is the area of a voxel's face.
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
