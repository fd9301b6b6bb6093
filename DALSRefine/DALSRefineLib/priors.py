"""The priors that the panel offers, and the organs' names, colours and terminology in Slicer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dals.errors import OutputError, PriorError
from dals.io.atomic import atomic_path
from dals.model.prior_files import SUFFIX, PriorHeader, available_priors, read_header
from DALSRefineLib.i18n import tr as _

Colour = tuple[float, float, float]
Side: TypeAlias = Literal["auto", "left", "right"]
_SIDES: tuple[Side, ...] = ("left", "right")
_CATEGORY = "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^{code}^{meaning}"
_REST = "~^^~Anatomic codes - DICOM master list~^^~^^"


@dataclass(frozen=True)
class Organ:
    """An organ's name, colour and terminology in Slicer.

    Attributes
    ----------
    name : str
        Capitalised.
    colour : tuple of float
        Red, green, blue, 0 to 1; those of Slicer's own terminology where it has one.
    terminology : str
        Serialised terminology entry for segments, SNOMED CT.
    """

    name: str
    colour: Colour
    terminology: str


# SNOMED CT code, meaning and colour (0 to 255) in Slicer's list of segment types. Where an organ has no colour of its
# own there, the colour of its sides or parts.
_ORGANS: dict[str, tuple[str, str, tuple[int, int, int]]] = {
    "bladder": ("89837001", "Bladder", (222, 154, 132)),
    "brainstem": ("15926001", "Brainstem", (238, 186, 243)),
    "heart": ("80891009", "Heart", (206, 110, 84)),
    "hippocampus": ("5366008", "Hippocampus", (200, 180, 90)),
    "kidney": ("64033007", "Kidney", (185, 102, 83)),
    "liver": ("10200004", "Liver", (221, 130, 101)),
    "lung": ("39607008", "Lung", (197, 165, 145)),
    "pancreas": ("15776009", "Pancreas", (249, 180, 111)),
    "parotid": ("45289007", "Parotid gland", (204, 168, 143)),
    "prostate": ("41216001", "Prostate", (230, 158, 140)),
    "spleen": ("78961009", "Spleen", (157, 108, 162)),
    "stomach": ("69695003", "Stomach", (216, 132, 105)),
}
_UNKNOWN = ("123037004", "Anatomical Structure", (144, 238, 144))


def organ_of(name: str) -> Organ:
    """The organ of a prior; an unknown one is an "Anatomical Structure"."""
    code, meaning, (red, green, blue) = _ORGANS.get(name.lower(), _UNKNOWN)
    colour = (red / 255, green / 255, blue / 255)
    return Organ(name.capitalize(), colour, _CATEGORY.format(code=code, meaning=meaning) + _REST)


def guessed_prior(segment: str, names: Iterable[str]) -> str:
    """The prior whose name is in a segment's name ("right kidney"); the longest of several; empty if none is."""
    found = [name for name in names if name.lower() in segment.lower()]
    return max(found, key=len, default="")


def guessed_side(segment: str) -> Side:
    """The side of the body that a segment's name tells ("Left kidney", "kidney_right"), else "auto"."""
    words = re.findall(r"[a-z]+", segment.lower())
    sides: list[Side] = [side for side in _SIDES if side in words]
    return sides[0] if len(sides) == 1 else "auto"


def offered_priors(user_folder: Path | None = None) -> dict[str, PriorHeader]:
    """Headers of the shipped priors and of those in the user's folder, by name.

    Unreadable files are left out: a damaged file must not keep the panel from opening.
    """
    files: dict[str, Path] = available_priors()
    if user_folder is not None and user_folder.is_dir():
        files |= {path.name.removesuffix(SUFFIX): path for path in sorted(user_folder.glob(f"*{SUFFIX}"))}
    found = {}
    for name, path in files.items():
        try:
            found[name] = read_header(path)
        except PriorError:
            continue
    return found


def add_prior(path: Path, user_folder: Path) -> str:
    """Copy a prior into the user's folder and return its name.

    Raises
    ------
    PriorError
        If the file is no prior.
    OutputError
        If the folder cannot be written to.
    """
    read_header(path)
    try:
        user_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {user_folder} for your own priors cannot be made.") from error
    name = path.name.removesuffix(SUFFIX)
    target = user_folder / f"{name}{SUFFIX}"  # the suffix by which priors are found
    if target.resolve() != path.resolve():
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
    return name


def card_lines(header: PriorHeader) -> list[str]:
    """A model card in a few lines of plain text: use, data, licence, training, held-out figures, bias.

    Entries that are missing or of another type are skipped.
    """
    card = _mapping(header.card)
    lines = [str(card.get("intended_use", ""))]
    if "data" in card:
        lines.append("Data: " + "; ".join(_texts(card["data"])) + f" ({card.get('shapes', '?')} shapes).")
    if "licence" in card:
        lines.append(f"Licence: {card['licence']}.")
    training = _mapping(card.get("training"))
    if "minutes" in training:
        lines.append(f"Trained for {training['minutes']} minutes on {training.get('device', 'an unknown device')}.")
    lines += _held_out_lines(_mapping(card.get("held_out")))
    if "bias" in card:
        lines.append(f"Bias: {card['bias']}")
    return [line for line in lines if line]


def side_note(header: PriorHeader) -> str:
    """What happens to an organ of the other side, where a prior knows one side only; otherwise empty."""
    if header.side in ("left", "right"):
        return _("Fits left and right organs. Both are tried, and the more probable one is kept, unless you choose.")
    return ""


_TASKS = {"points": "2,500 points", "planes": "3 central planes", "clinician": "3 clicked curves, pose unknown"}


def _held_out_lines(figures: Mapping[str, Any]) -> list[str]:
    lines = [f"Held out: {figures['cases']}." if "cases" in figures else ""]
    for task, title in _TASKS.items():
        row = _mapping(figures.get(task))
        distance, volume = row.get("mean_distance_mm"), row.get("volume_error_absolute")
        if isinstance(distance, (int, float)):
            rest = f", volume off by {volume:.1f}%." if isinstance(volume, (int, float)) else "."
            lines.append(f"  {title}: {distance:.1f} mm from the truth on average{rest}")
    return lines


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> Iterable[str]:
    return map(str, value) if isinstance(value, (list, tuple)) else [str(value)]
