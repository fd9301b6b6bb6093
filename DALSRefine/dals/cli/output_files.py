"""Whether what is written would overwrite what is read, or itself."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dals.errors import OutputError


class Output(NamedTuple):
    """A file that will be written, and what it holds, for messages: "mesh"."""

    what: str
    path: Path


def check_overwriting(outputs: Sequence[Output], inputs: Iterable[Path]) -> None:
    """Raise if an output is one of the inputs, or two outputs are one file.

    Links of both kinds are followed. Names that differ in upper and lower case only count as the same, as they are on
    the disks of Windows and macOS.

    Raises
    ------
    OutputError
    """
    read = {key: path for path in inputs for key in _keys(path)}
    written: dict[tuple[object, ...], Output] = {}
    for output in outputs:
        keys = _keys(output.path)
        for key in keys:
            if key in read:
                raise OutputError(
                    f"The {output.what} {output.path} would overwrite the input {read[key]}; please give it another "
                    "name."
                )
            if key in written:
                raise OutputError(
                    f"The {written[key].what} {written[key].path} and the {output.what} {output.path} would be the "
                    "same file; please give them different names."
                )
        written |= dict.fromkeys(keys, output)


def _keys(path: Path) -> list[tuple[object, ...]]:
    """What two names of one file have in common: its place, or the file itself."""
    try:
        real = Path(os.path.realpath(path))
        folder = _identity(real.parent) or (str(real.parent),)
        keys: list[tuple[object, ...]] = [(*folder, unicodedata.normalize("NFC", real.name).casefold())]
        own = _identity(real)
    except (OSError, ValueError):  # no valid name: the reader or the writer says so
        return []
    return keys if own is None else [*keys, own]


def _identity(path: Path) -> tuple[object, ...] | None:
    """Device and number of a file or folder; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
