"""Jobs and events as messages, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.observations.observations import Contour, PlanarContours, PointCloud, Segmentation
from DALSRefineLib.process.jobs import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Job,
    Observation,
    Progress,
    Started,
    StartState,
)
from DALSRefineLib.process.wire import Message, WireError

Arrays: TypeAlias = dict[str, NDArray[Any]]


def job_message(job: Job, number: int) -> Message:
    """A job as the message with its number."""
    task, arrays = _observation_arrays(job.observation)
    fields = {
        "job": number,
        "prior": str(job.prior),
        "observation": task,
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
        observation=_observation_of(fields["observation"], arrays),
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


def _observation_arrays(observation: Observation) -> tuple[dict[str, Any], Arrays]:
    if isinstance(observation, PointCloud):
        return {"kind": "points"}, {"points": observation.points}
    if isinstance(observation, Segmentation):
        label_map = observation.label_map
        arrays = {"mask": label_map.array, "ijk_to_ras": label_map.ijk_to_ras}
        return {"kind": "segmentation", "name": label_map.name}, arrays
    contours: Arrays = {}
    for index, contour in enumerate(observation.contours):
        contours[f"contour{index}.points"] = contour.points
        if contour.control_points is not None:
            contours[f"contour{index}.clicked"] = contour.control_points
    return {"kind": "planes", "names": [contour.name for contour in observation.contours]}, contours


def _observation_of(fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Observation:
    if fields["kind"] == "points":
        return PointCloud(arrays["points"])
    if fields["kind"] == "segmentation":
        return Segmentation(LabelMap(arrays["mask"], arrays["ijk_to_ras"], fields["name"]))
    return PlanarContours(
        tuple(
            Contour(arrays[f"contour{index}.points"], arrays.get(f"contour{index}.clicked"), name)
            for index, name in enumerate(fields["names"])
        )
    )


def _mesh_arrays(mesh: TriangleMesh) -> Arrays:
    return {"mesh.vertices": mesh.vertices, "mesh.faces": mesh.faces}


def _mesh_of(arrays: Mapping[str, NDArray[Any]]) -> TriangleMesh:
    return TriangleMesh(arrays["mesh.vertices"], arrays["mesh.faces"])


def _state_fields(state: StartState) -> dict[str, Any]:
    return {"scale": state.scale, "level": state.level}


def _state_arrays(state: StartState) -> Arrays:
    names = ("translation", "rotation", "shared", "local")
    return {f"state.{name}": value for name in names if (value := getattr(state, name)) is not None}


def _state_of(fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> StartState:
    pose = fields["scale"], arrays["state.translation"], arrays["state.rotation"]
    return StartState(*pose, arrays["state.shared"], arrays.get("state.local"), fields["level"])
