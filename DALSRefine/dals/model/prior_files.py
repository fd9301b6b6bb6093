"""Finding prior files and reading their headers, without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from dals.errors import PriorError

FORMAT = "dalsrefine-prior"
FORMAT_VERSION = 2
SUFFIX = ".safetensors"
SEARCH_VARIABLE = "DALS_PRIORS"
Side: TypeAlias = Literal["left", "right", "both"]
SIDES: tuple[Side, ...] = get_args(Side)
OTHER_SIDES: Mapping[Side | None, Side] = {"left": "right", "right": "left"}
_LARGEST_HEADER = 100_000_000  # bytes, the limit of safetensors itself


@dataclass(frozen=True)
class PriorHeader:
    """Name and card of a prior. Its weights are neither read nor checked.

    Attributes
    ----------
    path : Path
    name : str
        Name of the organ.
    card : mapping
        Model card: data, licence, training, held-out figures, intended use.
    """

    path: Path
    name: str
    card: Mapping[str, Any]

    @property
    def side(self) -> Side | None:
        """The side of the body that the training shapes are of; see `side_of`."""
        return side_of(self.card)


def side_of(card: object) -> Side | None:
    """The side of the body that the training shapes are of: the field `side` of a card.

    None if the card does not say, for example for an unpaired organ.
    """
    side = card.get("side") if isinstance(card, Mapping) else None
    return side if side in SIDES else None


def available_priors() -> dict[str, Path]:
    """Names and files of the priors that `find_prior` finds by name."""
    found: dict[str, Path] = {}
    for folder in prior_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.name.removesuffix(SUFFIX), path)
    return found


def prior_folders() -> list[Path]:
    """Folders that are searched, in this order: DALS_PRIORS, the installed package, the source tree, the module."""
    package = Path(__file__).resolve().parents[1]
    named = [Path(p) for p in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if p]
    places = (package / "_resources", package.parents[1] / "Resources", package.parent / "Resources")
    return [folder for folder in (*named, *(place / "Priors" for place in places)) if folder.is_dir()]


def find_prior(name_or_path: str | Path) -> Path:
    """The file of a prior, given its name, such as `liver`, or its path.

    Raises
    ------
    PriorError
        If there is no such file or name. The message lists the available names.
    """
    path = Path(name_or_path)
    if path.suffix == SUFFIX or len(path.parts) > 1:
        if not path.is_file():
            raise PriorError(f"There is no prior file {path}; check the path.")
        return path
    priors = available_priors()
    if str(name_or_path) not in priors:
        known = ", ".join(sorted(priors)) or "none"
        raise PriorError(f'There is no prior named "{name_or_path}"; available: {known}.')
    return priors[str(name_or_path)]


def read_header(path: Path) -> PriorHeader:
    """Read a prior's name and card.

    A safetensors file starts with the length of its header in eight bytes and the header as JSON. Reading it here
    shows the card before torch and safetensors are installed.

    Raises
    ------
    PriorError
        If the file is damaged, of a newer format or no prior.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _LARGEST_HEADER:
                raise ValueError("a header of absurd size")
            metadata = json.loads(file.read(size)).get("__metadata__", {})
        check_format(path, metadata)
        return PriorHeader(path, str(metadata["name"]), json.loads(metadata["card"]))
    except PriorError:
        raise
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise damaged(path) from error


def check_format(path: Path, metadata: Mapping[str, str]) -> None:
    """Raise a `PriorError` if the metadata are not those of a readable prior."""
    if metadata.get("format") != FORMAT:
        raise PriorError(f"{path} is not a shape prior of this project; choose another file.")
    version = metadata.get("format_version", "")
    if not version.isdigit():
        raise PriorError(f"The prior {path} does not state its format version; get it again.")
    if int(version) > FORMAT_VERSION:
        raise PriorError(
            f"The prior {path} has format {version}, newer than this version can read ({FORMAT_VERSION}); "
            "update DALSRefine."
        )


def damaged(path: Path) -> PriorError:
    """The error for an unreadable prior."""
    return PriorError(f"The prior {path} cannot be read; it is damaged or incomplete. Get it again.")
