"""Input files named by files, folders and patterns, and a unique name for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path

from dals.errors import InputError
from dals.io.meshes import READABLE_SUFFIXES

MESH_SUFFIXES = READABLE_SUFFIXES
LABEL_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")


def known_suffix(path: Path) -> str | None:
    """The longest known suffix of a file name, in lower case; None if it is no mesh or label map."""
    known = [s for s in (*MESH_SUFFIXES, *LABEL_SUFFIXES) if path.name.lower().endswith(s)]
    return max(known, key=len) if known else None


def find_sources(inputs: Iterable[str | Path]) -> list[Path]:
    """Expand files, folders and patterns to files, each once, in a stable order.

    Parameters
    ----------
    inputs : iterable of str or Path
        Files of any name; folders, for the meshes and label maps directly inside; patterns (``*``, ``?``,
        ``**``), for all matching files.

    Returns
    -------
    list of Path
        Absolute.

    Raises
    ------
    InputError
        If an input matches nothing, or there is no file at all.
    """
    files: list[Path] = []
    for entry in inputs:
        path = Path(entry)
        if path.is_dir():
            files += sorted(child for child in path.iterdir() if child.is_file() and known_suffix(child))
        elif path.exists():
            files.append(path)
        else:
            matches = [Path(match) for match in sorted(glob(str(entry), recursive=True))]  # noqa: PTH207
            if not matches:
                raise InputError(f"There is no file or folder {entry}.")
            files += [match for match in matches if match.is_file()]
    unique = list(dict.fromkeys(file.resolve() for file in files))
    if not unique:
        known = " ".join((*MESH_SUFFIXES, *LABEL_SUFFIXES))
        raise InputError(f"There is no mesh or label map among the inputs ({known}).")
    return unique


def unique_names(sources: Sequence[Path]) -> dict[str, Path]:
    """Names of files without suffix, with as many parent folders as it takes to tell equal names apart.

    Parameters
    ----------
    sources : sequence of Path
        Absolute, no two the same.

    Returns
    -------
    dict of str to Path
        Letters, digits, dot, underscore and hyphen; unique without regard to case.

    Raises
    ------
    InputError
        If two paths differ in nothing but the suffix.
    """
    folders = dict.fromkeys(sources, 0)
    while True:
        groups: dict[str, list[Path]] = {}
        for source in sources:
            groups.setdefault(_name(source, folders[source]).lower(), []).append(source)
        clashing = [source for group in groups.values() if len(group) > 1 for source in group]
        if not clashing:
            return {_name(source, folders[source]): source for source in sources}
        for source in clashing:
            folders[source] += 1
            if folders[source] > len(source.parts):
                raise InputError(f"Two inputs would have the same name: {clashing[0]} and {clashing[1]}.")


def _name(source: Path, folders: int) -> str:
    stem = source.name[: len(source.name) - len(known_suffix(source) or "")]
    above = source.parts[1:-1][-folders:] if folders else ()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join([*above, stem])).lstrip(".") or "shape"
