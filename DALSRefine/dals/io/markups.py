"""Slicer markups JSON: reading and writing curves, reading points."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dals.errors import DalsWarning, InputError
from dals.geometry.mesh import FloatArray
from dals.geometry.splines import sample_closed_spline, sample_open_spline
from dals.io.atomic import atomic_path
from dals.io.coordinates import Space, from_ras, to_ras
from dals.io.regular_files import LARGEST_TEXT, check_regular
from dals.observations.contours import Contour

SUFFIX = ".mrk.json"
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_ACCEPTED_SCHEMA = re.compile(r"markups-schema-v1\.[0-9]+\.[0-9]+\.json#*$", re.IGNORECASE)
_SPACES: dict[str, Space] = {"LPS": "LPS", "RAS": "RAS", "0": "RAS", "1": "LPS"}
"""Old scenes have numbers."""
_CURVES = {"ClosedCurve": "a closed curve", "Curve": "an open curve"}
_NUMBERS = {int, float}
"""Types of numbers in JSON; not `bool`, which is a subclass of `int`."""


def read_contours(path: str | os.PathLike[str]) -> tuple[Contour, ...]:
    """Read the curves of a Slicer markups file.

    A closed curve is a whole outline, an open one a stretch of an outline. Both are interpolated as Slicer draws them
    by default. Control points without a defined position are dropped, as in Slicer; other markups in the file cause a
    warning.

    Parameters
    ----------
    path : path-like
        A .mrk.json (or .json) file.

    Returns
    -------
    tuple of Contour
        At least one; RAS millimetres.

    Raises
    ------
    InputError
        If the file is missing or no markups file, holds no curve, is not in millimetres, or if a curve has fewer than
        three points or values that are not finite.
    """
    path = Path(path)
    contours, others = [], []
    for index, markup in enumerate(_markups_in(path)):
        kind = markup.get("type")
        name = _name(markup, path, index)
        if not isinstance(kind, str) or kind not in _CURVES:
            others.append(str(kind))
            continue
        closed = kind == "ClosedCurve"
        control = _control_points(markup, path, name)
        if len(control) < 3:
            raise InputError(
                f"The contour '{name}' in {path} has {len(control)} defined point(s); {_CURVES[kind]} needs at least 3."
            )
        sampled = sample_closed_spline(control) if closed else sample_open_spline(control)
        contours.append(Contour(sampled, control, name, closed=closed))
    if not contours:
        found = f"only {', '.join(sorted(set(others)))}" if others else "nothing at all"
        raise InputError(f"{path} holds no curve, {found}.")
    if others:
        warnings.warn(
            f"{path} holds markups other than curves ({', '.join(sorted(set(others)))}); they are not used.",
            DalsWarning,
            stacklevel=2,
        )
    return tuple(contours)


def read_control_points(path: str | os.PathLike[str]) -> FloatArray:
    """Read the defined control points of all markups in a file, such as a point list, (N, 3) RAS millimetres.

    Raises
    ------
    InputError
        If the file is missing or no markups file, is not in millimetres, or holds no point.
    """
    path = Path(path)
    points = [_control_points(markup, path, _name(markup, path, i)) for i, markup in enumerate(_markups_in(path))]
    result = np.concatenate(points) if points else np.empty((0, 3))
    if len(result) == 0:
        raise InputError(f"{path} holds no points.")
    return result


def write_contours(path: str | os.PathLike[str], contours: Iterable[Contour]) -> None:
    """Write contours as curves of one Slicer markups file, in LPS.

    A contour without control points is written with all its points.

    Parameters
    ----------
    path : path-like
        Usually ending in .mrk.json.
    contours : iterable of Contour
        RAS millimetres.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    document = {"@schema": _SCHEMA, "markups": [_markup(contour) for contour in contours]}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _markup(contour: Contour) -> dict[str, Any]:
    control = contour.points if contour.control_points is None else contour.control_points
    return {
        "type": "ClosedCurve" if contour.closed else "Curve",
        "name": contour.name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(control),
        "controlPoints": [
            {
                "id": str(number),
                "label": f"{contour.name}-{number}",
                "description": "",
                "associatedNodeID": "",
                "position": position.tolist(),
                "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
                "selected": True,
                "locked": False,
                "visibility": True,
                "positionStatus": "defined",
            }
            for number, position in enumerate(from_ras(control, "LPS"), start=1)
        ],
        "measurements": [],
        "display": {"visibility": True, "propertiesLabelVisibility": False, "pointLabelsVisibility": False},
    }


def _markups_in(path: Path) -> list[dict[str, Any]]:
    check_regular(path, limit=LARGEST_TEXT)
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({(error.strerror or 'unknown reason').lower()}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a Slicer markups file: it is no valid JSON.") from error
    markups = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise InputError(f"{path} is not a Slicer markups file: it has no list of markups.")
    schema = document.get("@schema")
    if schema is not None and not (isinstance(schema, str) and _ACCEPTED_SCHEMA.search(schema)):
        raise InputError(f"{path} is not a Slicer markups file of version 1 (its schema is {str(schema)[:120]!r}).")
    return markups


def _name(markup: dict[str, Any], path: Path, index: int) -> str:
    """The markup's name, or else the file's, as in Slicer."""
    name = markup.get("name")
    if isinstance(name, str) and name.strip():
        return name
    stem = path.name.removesuffix(".json").removesuffix(".mrk")
    return stem if index == 0 else f"{stem} {index + 1}"


def _control_points(markup: dict[str, Any], path: Path, name: str) -> FloatArray:
    """Defined control points of one markup, (N, 3) RAS millimetres."""
    where = f"The markup '{name}' in {path}"
    space = _SPACES.get(str(markup.get("coordinateSystem", "LPS")).strip().upper())
    if space is None:
        raise InputError(f"{where} has an unknown coordinate system {markup['coordinateSystem']!r}; use LPS or RAS.")
    units = markup.get("coordinateUnits", "mm")
    unit = units[0] if isinstance(units, list) and units else units
    if unit != "mm":
        raise InputError(f"{where} is in units of {unit!r}; millimetres ('mm') are needed.")
    control = markup.get("controlPoints", [])
    if not isinstance(control, list):
        raise InputError(f"{where} has no list of control points.")
    positions = []
    for number, point in enumerate(control, start=1):
        try:
            position = _position(point)
        except ValueError as error:
            raise InputError(f"{where}: control point {number} {error}.") from error
        if position is not None:
            positions.append(position)
    points = np.array(positions, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise InputError(f"{where} has coordinates that are not finite numbers.")
    return to_ras(points, space)


def _position(point: Any) -> list[float] | None:
    """The position of a control point in the file's coordinates; None if it is not defined.

    Raises
    ------
    ValueError
        That says what is wrong with the point.
    """
    if not isinstance(point, dict):
        raise ValueError("is not an object")
    status = point.get("positionStatus", "defined")
    if status != "defined":
        if status in ("undefined", "preview", "missing"):
            return None
        raise ValueError(f"has an unknown position status {str(status)[:40]!r}")
    position = point.get("position")
    if position is None:
        return None
    if not isinstance(position, list) or len(position) != 3 or not {type(value) for value in position} <= _NUMBERS:
        raise ValueError("has a position that is not three numbers")
    try:
        return [float(value) for value in position]
    except OverflowError:
        raise ValueError("has a position that is not finite") from None
