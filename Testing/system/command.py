"""The `dals` command as a user runs it, and what it finds on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(__file__).resolve().parents[2] / "DALSRefine"
PRECIOUS = b"what an earlier run wrote"
Refused = Callable[..., str]


def environment() -> dict[str, str]:
    """Finds the package in the source tree, and the priors where the caller's environment has them."""
    paths = [str(PACKAGE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def dals(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `dals`; a minute or two must do."""
    command = [sys.executable, "-m", "dals", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=240)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, to see that nothing changed."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


def write_markups(path: Path, curves: Iterable[Any], *, system: str = "LPS", kind: str = "ClosedCurve") -> Path:
    """A Slicer markups file of curves whose positions (N, 3) are taken as they are."""
    markups = [
        {
            "type": kind,
            "name": f"curve {number}",
            "coordinateSystem": system,
            "coordinateUnits": "mm",
            "controlPoints": [
                {"id": str(k), "position": list(map(float, p)), "positionStatus": "defined"}
                for k, p in enumerate(np.asarray(curve).tolist(), start=1)
            ],
        }
        for number, curve in enumerate(curves, start=1)
    ]
    schema = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    path.write_text(json.dumps({"@schema": f"{schema}markups-schema-v1.0.3.json#", "markups": markups}))
    return path


def write_table(path: Path, header: str, rows: Sequence[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def circle(axis: int = 2, offset: float = 0.0, radius: float = 80.0, count: int = 24) -> np.ndarray:
    """Points (count, 3) on a circle across an axis, millimetres."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.zeros((count, 3))
    first, second = (k for k in range(3) if k != axis)
    points[:, first], points[:, second], points[:, axis] = radius * np.cos(angle), radius * np.sin(angle), offset
    return points
