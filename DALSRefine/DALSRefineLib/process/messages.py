"""Jobs and events as messages, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState
from dals.observations import kind_named
from DALSRefineLib.process.jobs import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Job,
    Progress,
    Started,
)
from DALSRefineLib.process.wire import Message, WireError

Arrays: TypeAlias = dict[str, NDArray[Any]]


def job_message(job: Job, number: int) -> Message:
    """A job as the message with its number."""
    observed, arrays = job.observation.to_arrays()
    arrays = {f"observation.{name}": array for name, array in arrays.items()}
    fields = {
        "job": number,
        "prior": str(job.prior),
        "observation": {"kind": job.observation.kind, **observed},
        "changes": dict(job.changes),
        "device": job.device,
        "start": None if job.start is None else _state_fields(job.start),
        "remesh": job.remesh,
        "preview_seconds": job.preview_seconds,
    }
    if job.start is not None:
        arrays |= _state_arrays(job.start)
    return Message("job", fields, arrays)


def job_of(message: Message) -> Job:
    """The job in a message.

    Raises
    ------
    InputError
        If what the user gave contradicts itself.
    WireError
        If the message holds no job.
    """
    return _understood(_job_of, message)


def event_message(event: Event, number: int) -> Message:
    """An event of a job as the message with the job's number."""
    arrays: Arrays = {}
    if isinstance(event, Started):
        fields: dict[str, Any] = {"device": event.device, "total": event.total}
    elif isinstance(event, Progress):
        names = ("stage", "step", "total", "loss_mm", "remaining_s")
        fields = {name: getattr(event, name) for name in names}
        arrays = {} if event.mesh is None else _mesh_arrays(event.mesh)
    elif isinstance(event, Finished):
        fields = {"report": event.report, "warnings": list(event.warnings), "state": _state_fields(event.state)}
        arrays = _mesh_arrays(event.mesh) | _state_arrays(event.state)
    elif isinstance(event, Failed):
        fields = {"sentence": event.sentence, "details": event.details, "error": event.error}
    else:
        fields = {}
    return Message(type(event).__name__.lower(), {"job": number, **fields}, arrays)


def event_of(message: Message) -> Event:
    """The event in a message.

    Raises
    ------
    WireError
        If the message holds no event.
    """
    return _understood(_event_of, message)


def _understood(read: Callable[[Message], Any], message: Message) -> Any:
    try:
        return read(message)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"A message of kind {message.kind!r} lacks something or has something wrong.") from error


def _job_of(message: Message) -> Job:
    if message.kind != "job":
        raise ValueError(f"{message.kind} is no job")
    fields, arrays = message.fields, message.arrays
    changes = {name: tuple(v) if isinstance(v, list) else v for name, v in fields["changes"].items()}
    return Job(
        prior=Path(fields["prior"]),
        observation=kind_named(fields["observation"]["kind"]).from_arrays(
            fields["observation"], _within("observation", arrays)
        ),
        changes=changes,
        device=fields["device"],
        start=None if fields["start"] is None else _state_of(fields["start"], arrays),
        remesh=fields["remesh"],
        preview_seconds=fields["preview_seconds"],
    )


def _event_of(message: Message) -> Event:
    fields, arrays = {name: v for name, v in message.fields.items() if name != "job"}, message.arrays
    if message.kind == "started":
        return Started(**fields)
    if message.kind == "progress":
        return Progress(**fields, mesh=_mesh_of(arrays) if "mesh.vertices" in arrays else None)
    if message.kind == "finished":
        state = _state_of(fields["state"], arrays)
        return Finished(_mesh_of(arrays), fields["report"], state, tuple(fields["warnings"]))
    if message.kind == "failed":
        return Failed(**fields)
    if message.kind == "cancelled":
        return Cancelled()
    raise ValueError(f"{message.kind} is no event")


def _mesh_arrays(mesh: TriangleMesh) -> Arrays:
    return {"mesh.vertices": mesh.vertices, "mesh.faces": mesh.faces}


def _mesh_of(arrays: Mapping[str, NDArray[Any]]) -> TriangleMesh:
    return TriangleMesh(arrays["mesh.vertices"], arrays["mesh.faces"])


def _within(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}


def _state_fields(state: FitState) -> dict[str, Any]:
    return state.to_arrays()[0]


def _state_arrays(state: FitState) -> Arrays:
    return {f"state.{name}": array for name, array in state.to_arrays()[1].items()}


def _state_of(fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FitState:
    return FitState.from_arrays(fields, _within("state", arrays))
