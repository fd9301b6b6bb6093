"""Conversion of jobs and events to messages and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import Volume
from dals.model.fit_state import FitState
from dals.observations import kind_named
from DALSRefineLib.process.jobs import Choice, Event, FitFinished, Job, OrganTask, Request
from DALSRefineLib.process.wire import Message, WireError

REQUEST, CHOICE = "Request", "Choice"
JOBS = (REQUEST, CHOICE)
_IMAGE = "image"
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
_EVENTS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Event)}
_T = TypeVar("_T")


def job_message(job: Job, number: int, *, known: Volume | None = None) -> Message:
    """Convert a request or a choice to a message with its number.

    `known` is the image that the worker was sent last: its voxels are not sent again (`ImageMemory`).
    """
    if isinstance(job, Choice):
        return Message(CHOICE, {"number": number, "key": job.key, "chosen": [list(each) for each in job.chosen]})
    fields, arrays = _task_parts(job)
    fields |= {
        "number": number,
        "device": job.device,
        "remesh": job.remesh,
        "preview_seconds": job.preview_seconds,
        "others": [],
    }
    if job.start is not None:
        fields["start"], started = job.start.to_arrays()
        arrays |= _under("start", started)
    if job.image is not None:
        fields["image"] = job.image.name
        if job.image is not known:
            arrays |= _under(_IMAGE, {"array": job.image.array, "ijk_to_ras": job.image.ijk_to_ras})
    for index, other in enumerate(job.others):
        told, held = _task_parts(other)
        fields["others"].append(told)
        arrays |= _under(f"others.{index}", held)
    return Message(REQUEST, fields, arrays)


def job_of(message: Message) -> Job:
    """Convert a message to a request or a choice.

    Raises
    ------
    WireError
        If the message is malformed.
    """
    return _understood(_choice_of, message) if message.kind == CHOICE else _understood(_request_of, message)


class ImageMemory:
    """Gives messages the image that an earlier one had, where they have its name only."""

    def __init__(self) -> None:
        self._arrays: Arrays = {}

    def completed(self, message: Message) -> Message:
        """The message with its image, which is remembered."""
        if _IMAGE not in message.fields:
            return message
        own = _within(_IMAGE, message.arrays)
        if own:
            self._arrays = own
            return message
        return replace(message, arrays={**message.arrays, **_under(_IMAGE, self._arrays)})


def event_message(event: Event, number: int) -> Message:
    """Convert an event to a message with the number of its fit."""
    fields, arrays = _event_parts(event)
    return Message(type(event).__name__, {**fields, "number": number}, arrays)


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


def _task_parts(task: Request | OrganTask) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a request and another organ's task have in common."""
    observed, arrays = task.observation.to_arrays()
    fields = {
        "name": task.name,
        "observation": {"kind": task.observation.kind, **observed},
        "prior": str(task.prior),
        "changes": dict(task.changes),
        "side": task.side,
    }
    return fields, _under("observation", arrays)


def _task_values(fields: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Arguments of `Request` and `OrganTask`."""
    kind = kind_named(fields["observation"]["kind"])
    return {
        "name": fields["name"],
        "observation": kind.from_arrays(fields["observation"], _within("observation", arrays)),
        "prior": Path(fields["prior"]),
        "changes": {name: tuple(v) if isinstance(v, list) else v for name, v in fields["changes"].items()},
        "side": fields["side"],
    }


def _request_of(message: Message) -> Request:
    if message.kind != REQUEST:
        raise ValueError(f"{message.kind} is not a request")
    fields, arrays = message.fields, message.arrays
    return Request(
        **_task_values(fields, arrays),
        device=fields["device"],
        start=FitState.from_arrays(fields["start"], _within("start", arrays)) if "start" in fields else None,
        image=_image(fields["image"], _within(_IMAGE, arrays)) if "image" in fields else None,
        remesh=fields["remesh"],
        preview_seconds=fields["preview_seconds"],
        others=tuple(
            OrganTask(**_task_values(told, _within(f"others.{index}", arrays)))
            for index, told in enumerate(fields["others"])
        ),
    )


def _choice_of(message: Message) -> Choice:
    chosen = message.fields["chosen"]
    return Choice(str(message.fields["key"]), tuple(tuple(int(index) for index in each) for each in chosen))


def _image(name: str, arrays: Arrays) -> Volume:
    return Volume(arrays["array"], arrays["ijk_to_ras"], name)


def _event_parts(event: Event) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    fields: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name in (field.name for field in fields_of(event)):
        value = getattr(event, name)
        if name == "others":
            parts = [_event_parts(other) for other in value]
            fields[name] = [told for told, _held in parts]
            for index, (_told, held) in enumerate(parts):
                arrays |= _under(f"others.{index}", held)
        elif isinstance(value, TriangleMesh):
            arrays |= _under(name, {"vertices": value.vertices, "faces": value.faces})
        elif isinstance(value, LabelMap):
            fields[name] = value.name
            arrays |= _under(name, {"array": value.array, "ijk_to_ras": value.ijk_to_ras})
        elif isinstance(value, FitState):
            fields[name], ended = value.to_arrays()
            arrays |= _under(name, ended)
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            fields[name] = value
    return fields, arrays


def _event_of(message: Message) -> Event:
    fields = {name: value for name, value in message.fields.items() if name != "number"}
    return _EVENTS[message.kind](**_event_values(fields, message.arrays))


def _event_values(fields: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Arguments of an event."""
    values = dict(fields)
    if mesh := _within("mesh", arrays):
        values["mesh"] = TriangleMesh(mesh["vertices"], mesh["faces"])
    if labelled := _within("label_map", arrays):
        values["label_map"] = LabelMap(labelled["array"], labelled["ijk_to_ras"], values["label_map"])
    if "state" in values:
        values["state"] = FitState.from_arrays(values["state"], _within("state", arrays))
    if "deviation_mm" in arrays:
        values["deviation_mm"] = arrays["deviation_mm"]
    if "warnings" in values:
        values["warnings"] = tuple(values["warnings"])
    if "others" in values:
        values["others"] = tuple(
            FitFinished(**_event_values(told, _within(f"others.{index}", arrays)))
            for index, told in enumerate(values["others"])
        )
    return values


def _under(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays with a prefix added to their names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _within(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays whose names have a prefix, with the prefix removed."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
