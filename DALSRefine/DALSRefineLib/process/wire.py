"""Messages between Slicer and the worker process: lines of JSON over pipes, arrays in safetensors files.

The files lie in a folder that only the current user can read; the receiver deletes each file. The pipes carry only
ASCII text, which every version of PythonQt transmits correctly. No received data can be executed.
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
    """A received message is malformed."""


@dataclass(frozen=True, eq=False)
class Message:
    """One message.

    Attributes
    ----------
    kind : str
    fields : mapping
        JSON-compatible values; numbers may be infinite or NaN. Tuples arrive as lists.
    arrays : mapping of str to array
        Numeric or bool, of any shape.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def pack(message: Message, folder: Path) -> bytes:
    """Encode a message as a line; its arrays are written to a file in the folder.

    A mask (K, J, I) is cropped to its marked voxels; `unpack` restores the whole grid.

    Raises
    ------
    TypeError
        For a field that JSON cannot represent or an array that is not numeric.
    OSError
        If the file cannot be written.
    """
    content: dict[str, Any] = {"kind": message.kind, "fields": dict(message.fields), "file": None, "boxes": {}}
    if message.arrays:
        content["file"] = f"{uuid.uuid4().hex}.safetensors"
    parts = {name: np.asarray(array) for name, array in message.arrays.items()}
    for name, array in parts.items():
        if array.dtype.hasobject or array.dtype.kind not in "biuf":
            raise TypeError(f"an array of type {array.dtype} cannot be sent")
        box = marked_box(array) if array.dtype == np.bool_ and array.ndim == 3 else None
        if box is not None:
            content["boxes"][name] = {"shape": array.shape, "start": [int(part.start) for part in box]}
            parts[name] = array[box]
    line = json.dumps(content, default=_plain).encode("ascii") + b"\n"
    if parts:
        _write(folder / content["file"], parts)
    return line


def unpack(line: bytes, folder: Path) -> Message:
    """Decode a line as a message; the file with its arrays is deleted.

    Raises
    ------
    WireError
        If the line is malformed or its file cannot be read.
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
    # Imported late: if it is missing, Slicer's panel offers to install it.
    from safetensors.numpy import save

    native = {name: array.astype(array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    path.write_bytes(save(native))


def _on_grid(part: NDArray[Any], shape: list[int], start: list[int]) -> NDArray[Any]:
    """Place a cropped mask in its whole grid."""
    whole = np.zeros(shape, dtype=part.dtype)
    whole[tuple(slice(low, low + size) for low, size in zip(start, part.shape, strict=True))] = part
    return whole


def _plain(value: Any) -> Any:
    """Convert values that the JSON encoder does not support."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")
