"""Whether a path is a regular file of a sensible size; nothing is opened, so that no pipe or device can hang."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dals.errors import InputError

LARGEST_IMAGE = 4 << 30
LARGEST_MESH = 2 << 30
LARGEST_TEXT = 1 << 28
"""Bytes. Nothing larger is read: images of 4 GiB, meshes and arrays of points of 2 GiB, markups of 256 MiB."""


def check_regular(path: str | os.PathLike[str], *, limit: int) -> None:
    """Raise unless there is a regular file of at most `limit` bytes at `path`.

    Raises
    ------
    InputError
        If the file is missing, a folder, a pipe or a device, or too large.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} does not exist.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({(error.strerror or 'unknown reason').lower()}).") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no valid file name.") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder and not a file.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is a pipe or a device; please save what it holds in a file first.")
    if status.st_size > limit:
        raise InputError(f"{path} has {gib(status.st_size)}; no more than {gib(limit)} are read of such a file.")


def gib(size: int) -> str:
    """Bytes in words."""
    return f"{size / (1 << 30):.3g} GiB"
