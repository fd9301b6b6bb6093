"""Folders that stay only if something is in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dals.errors import OutputError


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; what was made and is empty when the block ends, however it ends, goes again.

    Raises
    ------
    OutputError
        If the folder cannot be made.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the folder {folder}: {error.strerror}.") from None
        yield
    finally:
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()
