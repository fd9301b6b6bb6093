"""Frames that Slicer and its fitting process exchange: a JSON header and raw arrays, nothing that can be executed.

A frame is 4 magic bytes, the header's and the payload's length (little-endian), the header, and the payload:
the arrays one after the other, as the header lists them. Boolean arrays travel as compressed bits: a label map of
ten million voxels takes a fraction of a megabyte.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_PREFIX = struct.Struct("<4sIQ")
_MAGIC = b"DALS"
_MAX_HEADER = 16 * 2**20
_MAX_ARRAYS = 2 * 2**30  # of one message, packed or unpacked
_DTYPES = ("<f8", "<f4", "<i8", "<i4", "|u1", "|b1")


class WireError(Exception):
    """What came over the pipe is no message, or not a whole one."""


@dataclass(frozen=True, eq=False)
class Message:
    """One message.

    Attributes
    ----------
    kind : str
    fields : mapping
        What JSON can hold; numbers may be infinite or not-a-number. Tuples arrive as lists.
    arrays : mapping of str to array
        Of float64, float32, int64, int32, uint8 or bool.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write_message(
    stream: IO[bytes],
    kind: str,
    fields: Mapping[str, Any] | None = None,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write one message to a buffered binary stream and flush it.

    Raises
    ------
    TypeError
        For a field that JSON cannot hold or an array of a type that does not travel.
    """
    specs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, array in (arrays or {}).items():
        spec, part = _pack(name, np.asarray(array))
        specs.append(spec)
        parts.append(part)
    content = {"kind": kind, "fields": dict(fields or {}), "arrays": specs}
    header = json.dumps(content, default=_plain).encode("ascii")
    stream.write(_PREFIX.pack(_MAGIC, len(header), sum(map(len, parts))) + header)
    for part in parts:
        stream.write(part)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """Read one message from a buffered binary stream; None if the stream has ended.

    Raises
    ------
    WireError
        If the stream ends within a message or holds something else.
    """
    prefix = stream.read(_PREFIX.size)
    if not prefix:
        return None
    if len(prefix) < _PREFIX.size:
        raise WireError("The stream ended in the middle of a message.")
    header_size, payload_size = _sizes(prefix)
    frame = stream.read(header_size + payload_size)
    if len(frame) < header_size + payload_size:
        raise WireError("The stream ended in the middle of a message.")
    return _decode(frame[:header_size], frame[header_size:])


class MessageBuffer:
    """Puts messages together from bytes that come in pieces."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes as they came."""
        self._bytes += data

    def take(self) -> Message | None:
        """The next message, or None while it is not complete.

        Raises
        ------
        WireError
            If the bytes are no message; nothing more can then be read.
        """
        if len(self._bytes) < _PREFIX.size:
            return None
        header_size, payload_size = _sizes(bytes(self._bytes[: _PREFIX.size]))
        end = _PREFIX.size + header_size + payload_size
        if len(self._bytes) < end:
            return None
        frame = bytes(self._bytes[_PREFIX.size : end])
        del self._bytes[:end]
        return _decode(frame[:header_size], frame[header_size:])


def _sizes(prefix: bytes) -> tuple[int, int]:
    magic, header_size, payload_size = _PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise WireError("The stream holds something that is no message.")
    if header_size > _MAX_HEADER or payload_size > _MAX_ARRAYS:
        raise WireError("A message states a size that is absurd.")
    return header_size, payload_size


def _decode(header: bytes, payload: bytes) -> Message:
    try:
        content = json.loads(header)
        kind, fields, specs = content["kind"], content["fields"], content["arrays"]
        if not isinstance(kind, str) or not isinstance(fields, dict) or not isinstance(specs, list):
            raise TypeError("fields of a wrong type")
        arrays, start = {}, 0
        for spec in specs:
            size = _count(spec["bytes"])
            if start + size > len(payload):
                raise ValueError("arrays longer than the payload")
            arrays[str(spec["name"])] = _unpack(spec, payload[start : start + size])
            start += size
        if start != len(payload):
            raise ValueError("a payload longer than the arrays")
    except (KeyError, TypeError, ValueError, RecursionError, zlib.error) as error:
        raise WireError(f"A message cannot be understood: {error}.") from error
    return Message(kind, fields, arrays)


def _pack(name: str, array: NDArray[Any]) -> tuple[dict[str, Any], bytes]:
    dtype = array.dtype.newbyteorder("<").str
    if dtype not in _DTYPES:
        raise TypeError(f"an array of type {array.dtype} does not travel")
    if dtype == "|b1":
        part = zlib.compress(np.packbits(array).tobytes(), level=1)
    else:
        part = array.astype(dtype, order="C", copy=False).tobytes()
    return {"name": name, "dtype": dtype, "shape": array.shape, "bytes": len(part)}, part


def _unpack(spec: Mapping[str, Any], part: bytes) -> NDArray[Any]:
    """An array of its own memory: aligned and writable."""
    dtype, shape = spec["dtype"], tuple(_count(size) for size in spec["shape"])
    if dtype not in _DTYPES:
        raise ValueError(f"arrays of type {dtype} do not travel")
    count = math.prod(shape)
    if count * np.dtype(dtype).itemsize > _MAX_ARRAYS:
        raise ValueError("an array of an absurd size")
    if dtype != "|b1":
        return np.frombuffer(part, dtype=dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))
    packed = (count + 7) // 8
    bits = zlib.decompressobj().decompress(part, packed + 1)  # one more than wanted shows that there is too much
    if len(bits) != packed:
        raise ValueError("a mask of another size than stated")
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=count).astype(np.bool_).reshape(shape)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _plain(value: Any) -> Any:
    """What JSON does not know but every message may hold."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not travel")
