"""Finds the Python interpreter for the worker: the one that shares Slicer's packages."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dals.errors import DalsError


def worker_python() -> str:
    """Path of a Python interpreter of the same installation as this one.

    In Slicer that is its launcher `PythonSlicer`. `sys.executable` may be Slicer itself, which must not be started
    again; therefore the name must begin with "python".

    Raises
    ------
    DalsError
        If none is found.
    """
    for candidate in _candidates():
        path = Path(candidate)
        if path.name.lower().startswith("python") and path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise DalsError("Slicer's Python program was not found; please install Slicer again.")


def _candidates() -> Iterator[str]:
    launcher = shutil.which("PythonSlicer")
    if launcher:
        yield launcher
    if sys.executable:
        yield sys.executable
        folder = Path(sys.executable).parent
        yield from (str(folder / name) for name in ("PythonSlicer", "PythonSlicer.exe"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for prefix in (Path(sys.prefix), Path(sys.exec_prefix), Path(sys.base_prefix)):
        for place in (prefix / "bin", prefix, prefix.parent / "bin"):
            for name in ("PythonSlicer", "PythonSlicer.exe", f"python{version}", "python3", "python.exe"):
                yield str(place / name)
