"""Files that appear whole or not at all.

The `atomicwrites` package, which did this, is archived; the few lines below need no other.
"""

from __future__ import annotations

import contextlib
import glob
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from dals.errors import DalsError, OutputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    The temporary name ends in the full name of `path`, so that writers find the extension. If the block fails or
    writes nothing, the temporary file is removed and an earlier file at `path` stays.

    Parameters
    ----------
    path : path-like
        The final file.

    Yields
    ------
    Path
        The path to write to.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the writing failed.
    """
    path = Path(path)
    check_writable(path)
    temporary = _temporary_beside(path)
    try:
        yield temporary
        if not temporary.exists():
            raise OutputError(f"Could not write {path}: nothing was written.")
        temporary.replace(path)
    except DalsError:
        raise
    except OSError as error:
        raise OutputError(f"Could not write {path}: {_reason(error)}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` that killed processes left. No other process may be writing `path`."""
    for leftover in path.parent.glob(f".*.partial.{glob.escape(path.name)}"):
        leftover.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before a long computation, that a file can be written at `path`.

    Raises
    ------
    OutputError
        If the folder does not exist or is not writable, or if `path` is itself a folder.
    """
    path = Path(path)
    folder = path.parent
    try:
        if path.is_dir():
            raise OutputError(f"Cannot write {path}: it is a folder, please name a file.")
        if not folder.exists():
            raise OutputError(f"Cannot write {path}: the folder {folder} does not exist.")
        if not folder.is_dir():
            raise OutputError(f"Cannot write {path}: {folder} is not a folder.")
        probe = _temporary_beside(path)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"Cannot write {path}: the folder {folder} is not writable ({_reason(error)}).") from error
    except ValueError as error:
        raise OutputError(f"Cannot write {path!r}: this is no valid file name.") from error


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
