"""Messages between Slicer and its fitting process: lines of JSON over the pipes, arrays as safetensors files.

The files lie in a folder that only this user can read, and whoever receives one removes it. The pipes carry ASCII
text alone, which every version of PythonQt hands over unharmed. Nothing that is received can be executed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dals.geometry.label_map import marked_box


class WireError(Exception):
    """What was received is no message."""


@dataclass(frozen=True, eq=False)
class Message:
    """One message.

    Attributes
    ----------
    kind : str
    fields : mapping
        What JSON can hold; numbers may be infinite or not-a-number. Tuples arrive as lists.
    arrays : mapping of str to array
        Numbers or bool, of any shape.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def pack(message: Message, folder: Path) -> bytes:
    """The line that stands for a message; its arrays are written to a file in the folder.

    Of a mask (K, J, I) only the box with the marked voxels travels; it arrives on its whole grid again.

    Raises
    ------
    TypeError
        For a field that JSON cannot hold or an array that is not of numbers.
    OSError
        If the file cannot be written.
    """
    content: dict[str, Any] = {"kind": message.kind, "fields": dict(message.fields), "file": None, "boxes": {}}
    if message.arrays:
        content["file"] = f"{uuid.uuid4().hex}.safetensors"
    parts = {name: np.asarray(array) for name, array in message.arrays.items()}
    for name, array in parts.items():
        if array.dtype.hasobject or array.dtype.kind not in "biuf":
            raise TypeError(f"an array of type {array.dtype} does not travel")
        box = marked_box(array) if array.dtype == np.bool_ and array.ndim == 3 else None
        if box is not None:
            content["boxes"][name] = {"shape": array.shape, "start": [int(part.start) for part in box]}
            parts[name] = array[box]
    line = json.dumps(content, default=_plain).encode("ascii") + b"\n"
    if parts:
        _write(folder / content["file"], parts)
    return line


def unpack(line: bytes, folder: Path) -> Message:
    """The message that a line stands for; the file with its arrays is removed.

    Raises
    ------
    WireError
        If it is no message or its file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = json.loads(line)
        name, boxes = content["file"], content["boxes"]
        arrays = {}
        if name is not None:
            path = folder / Path(name).name
            arrays = load(path.read_bytes())
            path.unlink()
        for name, box in boxes.items():
            arrays[name] = _on_grid(arrays[name], **box)
        return Message(content["kind"], dict(content["fields"]), arrays)
    except (KeyError, TypeError, ValueError, RecursionError, OSError, SafetensorError) as error:
        raise WireError(f"A message cannot be understood: {error}.") from error


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    # Imported late: where it is missing, Slicer's panel offers to install it.
    from safetensors.numpy import save

    native = {name: array.astype(array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    path.write_bytes(save(native))


def _on_grid(part: NDArray[Any], shape: list[int], start: list[int]) -> NDArray[Any]:
    """A mask's box within the whole mask."""
    whole = np.zeros(shape, dtype=part.dtype)
    whole[tuple(slice(low, low + size) for low, size in zip(start, part.shape, strict=True))] = part
    return whole


def _plain(value: Any) -> Any:
    """What JSON does not know but every message may hold."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not travel")
