"""Frames: what is written is read, and what is no frame is refused."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from DALSRefineLib.process.wire import Message, MessageBuffer, WireError, read_message, write_message

ARRAYS = {
    "float64": np.array([[1.5, np.inf], [-np.inf, np.nan]]),
    "float32": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "int64": np.array([-(2**62), 2**62]),
    "int32": np.array([[7]], dtype=np.int32),
    "uint8": np.arange(5, dtype=np.uint8),
    "bool": np.random.default_rng(0).random((3, 5, 7)) < 0.5,
    "scalar": np.array(3.25),
    "empty": np.empty((0, 3)),
    "empty mask": np.empty((0, 4), dtype=bool),
}


def frame(kind: str = "test", fields: dict[str, Any] | None = None, arrays: dict[str, Any] | None = None) -> bytes:
    stream = io.BytesIO()
    write_message(stream, kind, fields, arrays)
    return stream.getvalue()


def read(data: bytes) -> Message:
    message = read_message(io.BytesIO(data))
    assert message is not None
    return message


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name: str) -> None:
    array = ARRAYS[name]
    got = read(frame(arrays={name: array})).arrays[name]
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(got, array)
    assert got.flags.writeable


def test_arrays_that_are_not_contiguous_or_of_another_byte_order() -> None:
    array = np.arange(24, dtype=np.float64).reshape(4, 6)
    got = read(frame(arrays={"part": array[::2, 1::2], "turned": array.T, "big": array.astype(">f8")})).arrays
    np.testing.assert_array_equal(got["part"], array[::2, 1::2])
    np.testing.assert_array_equal(got["turned"], array.T)
    np.testing.assert_array_equal(got["big"], array)


def test_fields_come_back_with_infinity_and_not_a_number() -> None:
    fields = {
        "lambda_dir": math.inf,
        "low": -math.inf,
        "none": None,
        "text": "Größe \udc80 \u2028",
        "list": [1, [2.5, True]],
    }
    message = read(frame("job", {**fields, "nan": math.nan}))
    assert message.kind == "job"
    assert math.isnan(message.fields["nan"])
    assert {name: value for name, value in message.fields.items() if name != "nan"} == fields


def test_numbers_of_numpy_and_paths_travel_as_plain_ones() -> None:
    fields = read(
        frame(fields={"count": np.int64(3), "size": np.float32(0.5), "flag": np.bool_(True), "path": Path("a")})
    ).fields
    assert fields == {"count": 3, "size": 0.5, "flag": True, "path": "a"}


def test_what_does_not_travel_is_refused_and_nothing_is_written() -> None:
    stream = io.BytesIO()
    with pytest.raises(TypeError, match="object"):
        write_message(stream, "test", {}, {"objects": np.array([object()])})
    with pytest.raises(TypeError, match="set"):
        write_message(stream, "test", {"set": {1}})
    assert stream.getvalue() == b""


def test_a_large_mask_is_small_on_the_wire() -> None:
    mask = np.zeros((50, 200, 200), dtype=bool)
    mask[10:40, 50:150, 60:120] = True
    data = frame(arrays={"mask": mask})
    assert len(data) < mask.size / 50
    np.testing.assert_array_equal(read(data).arrays["mask"], mask)


def test_messages_follow_each_other_until_the_stream_ends() -> None:
    stream = io.BytesIO(frame("first") + frame("second", arrays=ARRAYS))
    kinds = []
    while (message := read_message(stream)) is not None:
        kinds.append(message.kind)
    assert kinds == ["first", "second"]


@pytest.mark.parametrize("kept", [1, 8, 15, 20, 60, -1])
def test_a_truncated_frame_is_no_message(kept: int) -> None:
    data = frame("test", {"a": 1}, {"numbers": np.arange(9.0)})
    with pytest.raises(WireError, match="ended in the middle"):
        read_message(io.BytesIO(data[:kept]))


def raw(header: bytes, payload: bytes = b"", *, payload_size: int | None = None) -> bytes:
    size = len(payload) if payload_size is None else payload_size
    return struct.pack("<4sIQ", b"DALS", len(header), size) + header + payload


def described(spec: str, payload: bytes) -> bytes:
    return raw(b'{"kind": "a", "fields": {}, "arrays": [%s]}' % spec.encode(), payload)


BAD = {
    "text": b"Loading weights from the cache ...\n",
    "absurd header": struct.pack("<4sIQ", b"DALS", 2**31, 0),
    "absurd payload": struct.pack("<4sIQ", b"DALS", 2, 2**60) + b"{}",
    "no JSON": raw(b"{kind}"),
    "not UTF-8": raw(b"\xff\xfe{}"),
    "a list": raw(b"[]"),
    "no kind": raw(b'{"fields": {}, "arrays": []}'),
    "fields of a wrong type": raw(b'{"kind": "a", "fields": 3, "arrays": []}'),
    "payload without arrays": raw(b'{"kind": "a", "fields": {}, "arrays": []}', b"abc"),
    "objects": described('{"name": "a", "dtype": "|O", "shape": [1], "bytes": 8}', b"12345678"),
    "wrong shape": described('{"name": "a", "dtype": "<f8", "shape": [2], "bytes": 8}', b"12345678"),
    "negative shape": described('{"name": "a", "dtype": "<f8", "shape": [-1], "bytes": 8}', b"12345678"),
    "beyond the payload": described('{"name": "a", "dtype": "<f8", "shape": [2], "bytes": 16}', b"12345678"),
    "absurd mask": described('{"name": "a", "dtype": "|b1", "shape": [99999999, 99999999], "bytes": 3}', b"abc"),
    "mask that is not packed": described('{"name": "a", "dtype": "|b1", "shape": [8], "bytes": 3}', b"abc"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_frame_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(WireError, match=r"^A message .*\.$|^The stream .*\.$"):
        read_message(io.BytesIO(BAD[name]))
    buffer = MessageBuffer()
    buffer.feed(BAD[name])
    with pytest.raises(WireError):
        buffer.take()


def test_a_mask_that_unpacks_to_more_than_it_states_is_refused() -> None:
    data = frame(arrays={"mask": np.zeros(1_000_000, dtype=bool)}).replace(b"1000000", b"8      ")
    with pytest.raises(WireError, match="another size"):
        read(data)


def test_a_buffer_gives_messages_however_the_bytes_come() -> None:
    data = frame("first", {"a": 1}, ARRAYS) + frame("second")
    buffer, kinds = MessageBuffer(), []
    for start in range(0, len(data), 7):
        buffer.feed(data[start : start + 7])
        while (message := buffer.take()) is not None:
            kinds.append((message.kind, len(message.arrays)))
    assert kinds == [("first", len(ARRAYS)), ("second", 0)]
    assert buffer.take() is None
