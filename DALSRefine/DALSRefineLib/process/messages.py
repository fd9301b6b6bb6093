"""Conversion of requests and events to messages and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import Volume
from dals.model.fit_state import FitState
from dals.observations import kind_named
from DALSRefineLib.process.jobs import Event, Request
from DALSRefineLib.process.wire import Message, WireError

REQUEST = "Request"
_EVENTS = {kind.__name__: kind for kind in get_args(Event)}
_T = TypeVar("_T")


def request_message(request: Request, number: int) -> Message:
    """Convert a request to a message with its number."""
    observed, arrays = request.observation.to_arrays()
    fields: dict[str, Any] = {
        "number": number,
        "observation": {"kind": request.observation.kind, **observed},
        "prior": str(request.prior),
        "changes": dict(request.changes),
        "device": request.device,
        "side": request.side,
        "remesh": request.remesh,
        "preview_seconds": request.preview_seconds,
    }
    arrays = _under("observation", arrays)
    if request.start is not None:
        fields["start"], started = request.start.to_arrays()
        arrays |= _under("start", started)
    if request.image is not None:
        fields["image"] = request.image.name
        arrays |= _under("image", {"array": request.image.array, "ijk_to_ras": request.image.ijk_to_ras})
    return Message(REQUEST, fields, arrays)


def request_of(message: Message) -> Request:
    """Convert a message to a request.

    Raises
    ------
    WireError
        If the message is malformed.
    """
    return _understood(_request_of, message)


def event_message(event: Event, number: int) -> Message:
    """Convert an event to a message with the number of its fit."""
    fields: dict[str, Any] = {"number": number}
    arrays: dict[str, NDArray[Any]] = {}
    for name in (field.name for field in fields_of(event)):
        value = getattr(event, name)
        if isinstance(value, TriangleMesh):
            arrays |= _under(name, {"vertices": value.vertices, "faces": value.faces})
        elif isinstance(value, FitState):
            fields[name], ended = value.to_arrays()
            arrays |= _under(name, ended)
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            fields[name] = value
    return Message(type(event).__name__, fields, arrays)


def event_of(message: Message) -> Event:
    """Convert a message to an event.

    Raises
    ------
    WireError
        If the message is malformed.
    """
    return _understood(_event_of, message)


def _understood(read: Callable[[Message], _T], message: Message) -> _T:
    try:
        return read(message)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"A message of kind {message.kind!r} is malformed.") from error


def _request_of(message: Message) -> Request:
    if message.kind != REQUEST:
        raise ValueError(f"{message.kind} is not a request")
    fields, arrays = message.fields, message.arrays
    kind = kind_named(fields["observation"]["kind"])
    return Request(
        observation=kind.from_arrays(fields["observation"], _within("observation", arrays)),
        prior=Path(fields["prior"]),
        changes={name: tuple(v) if isinstance(v, list) else v for name, v in fields["changes"].items()},
        device=fields["device"],
        start=FitState.from_arrays(fields["start"], _within("start", arrays)) if "start" in fields else None,
        image=_image(fields["image"], _within("image", arrays)) if "image" in fields else None,
        side=fields["side"],
        remesh=fields["remesh"],
        preview_seconds=fields["preview_seconds"],
    )


def _image(name: str, arrays: Mapping[str, NDArray[Any]]) -> Volume:
    return Volume(arrays["array"], arrays["ijk_to_ras"], name)


def _event_of(message: Message) -> Event:
    values = {name: value for name, value in message.fields.items() if name != "number"}
    if mesh := _within("mesh", message.arrays):
        values["mesh"] = TriangleMesh(mesh["vertices"], mesh["faces"])
    if "state" in values:
        values["state"] = FitState.from_arrays(values["state"], _within("state", message.arrays))
    if "deviation_mm" in message.arrays:
        values["deviation_mm"] = message.arrays["deviation_mm"]
    if "warnings" in values:
        values["warnings"] = tuple(values["warnings"])
    if "uncertainty_mm" in message.arrays:
        values["uncertainty_mm"] = message.arrays["uncertainty_mm"]
    return _EVENTS[message.kind](**values)


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays with a prefix added to their names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _within(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names have a prefix, with the prefix removed."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
