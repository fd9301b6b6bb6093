"""Files that appear whole or not at all, one by one or several together.

The `atomicwrites` package, which did this for one file, is archived; the few lines below need no other.
"""

from __future__ import annotations

import contextlib
import glob
import os
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from dals.errors import DalsError, OutputError


class _Written(NamedTuple):
    """A file that is complete under a temporary name."""

    path: Path
    temporary: Path


_waiting: ContextVar[list[_Written] | None] = ContextVar("waiting", default=None)
"""Files of the present `all_or_none` block."""


@contextlib.contextmanager
def all_or_none() -> Iterator[None]:
    """Within this block, files written with `atomic_path` appear together at its end, or none of them does.

    If the block fails, or one of the files cannot get its name, all earlier files stay as they were.

    Raises
    ------
    OutputError
        If a file cannot get its name.
    """
    written: list[_Written] = []
    before = _waiting.set(written)
    try:
        yield
        _appear(written)
    finally:
        _waiting.reset(before)
        for file in written:
            with contextlib.suppress(OSError):
                file.temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Within an `all_or_none` block, the renaming waits for the end of that block.

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
    temporary, waiting, waits = _temporary_beside(path), _waiting.get(), False
    try:
        yield temporary
        if not temporary.exists():
            raise OutputError(f"Could not write {path}: nothing was written.")
        if waiting is None:
            temporary.replace(path)
        else:
            waiting.append(_Written(path, temporary))
            waits = True
    except DalsError:
        raise
    except OSError as error:
        raise OutputError(f"Could not write {path}: {_reason(error)}.") from error
    finally:
        if not waits:
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
        If the folder does not exist or is not writable, or if `path` is a folder, a pipe or a device.
    """
    path = Path(path)
    folder = path.parent
    try:
        if path.is_dir():
            raise OutputError(f"Cannot write {path}: it is a folder, please name a file.")
        if path.exists() and not path.is_file():
            raise OutputError(f"Cannot write {path}: it is a pipe or a device, please name a file.")
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


def _appear(files: list[_Written]) -> None:
    """Give all files their names; if one cannot have it, put everything back."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for path, temporary in files:
            done.append((path, _set_aside(path)))
            temporary.replace(path)
    except BaseException as error:
        for path, earlier in reversed(done):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True) if earlier is None else earlier.replace(path)
        if isinstance(error, OSError):
            raise OutputError(f"Could not write {done[-1][0]}: {_reason(error)}.") from error
        raise
    finally:
        for _, earlier in done:
            if earlier is not None:  # after a way back, this was another name of the same file
                with contextlib.suppress(OSError):
                    earlier.unlink(missing_ok=True)


def _set_aside(path: Path) -> Path | None:
    """A second name for the file at `path`, if there is one."""
    if not os.path.lexists(path):
        return None
    earlier = path.with_name(f".{uuid.uuid4().hex[:8]}.earlier.{path.name}")
    try:
        os.link(path, earlier, follow_symlinks=False)
    except (OSError, NotImplementedError):  # a file system without hard links
        path.replace(earlier)
    return earlier


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
