"""Messages: what is packed is unpacked, and what is no message is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from DALSRefineLib.process.wire import Message, WireError, pack, unpack

ARRAYS = {
    "float64": np.array([[1.5, np.inf], [-np.inf, np.nan]]),
    "float32": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "int64": np.array([-(2**62), 2**62]),
    "int32": np.array([[7]], dtype=np.int32),
    "uint8": np.arange(5, dtype=np.uint8),
    "bool": np.random.default_rng(0).random((3, 5, 7)) < 0.5,
    "flat mask": np.array([[True, False]]),
    "scalar": np.array(3.25),
    "empty": np.empty((0, 3)),
    "empty mask": np.empty((0, 4, 2), dtype=bool),
    "mask with nothing in it": np.zeros((3, 4, 5), dtype=bool),
    "mask without a gap": np.ones((3, 4, 5), dtype=bool),
}


def travelled(message: Message, folder: Path) -> Message:
    return unpack(pack(message, folder), folder)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    got = travelled(Message("test", {}, {name: array}), tmp_path).arrays[name]
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(got, array)
    assert got.flags.writeable
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_are_not_contiguous_or_of_another_byte_order(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float64).reshape(4, 6)
    sent = {"part": array[::2, 1::2], "turned": array.T, "big": array.astype(">f8")}
    got = travelled(Message("test", {}, sent), tmp_path).arrays
    np.testing.assert_array_equal(got["part"], array[::2, 1::2])
    np.testing.assert_array_equal(got["turned"], array.T)
    np.testing.assert_array_equal(got["big"], array)


def test_fields_come_back_with_infinity_and_not_a_number(tmp_path: Path) -> None:
    fields = {
        "lambda_dir": math.inf,
        "low": -math.inf,
        "none": None,
        "text": "Größe \udc80 \u2028\n\x00",
        "list": [1, [2.5, True]],
    }
    line = pack(Message("job", {**fields, "nan": math.nan}), tmp_path)
    assert line.index(b"\n") == len(line) - 1, "one line"
    assert line.isascii()
    assert b"\x00" not in line
    message = unpack(line, tmp_path)
    assert message.kind == "job"
    assert math.isnan(message.fields["nan"])
    assert {name: value for name, value in message.fields.items() if name != "nan"} == fields


def test_numbers_of_numpy_and_paths_travel_as_plain_ones(tmp_path: Path) -> None:
    sent = {"count": np.int64(3), "size": np.float32(0.5), "flag": np.bool_(True), "path": Path("a")}
    fields = travelled(Message("test", sent), tmp_path).fields
    assert fields == {"count": 3, "size": 0.5, "flag": True, "path": "a"}


def test_what_does_not_travel_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for fields, arrays in (
        ({}, {"objects": np.array([object()])}),
        ({}, {"texts": np.array(["a"])}),
        ({"set": {1}}, {"numbers": np.arange(3)}),
    ):
        with pytest.raises(TypeError, match="cannot be sent"):
            pack(Message("test", fields, arrays), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("corner", [(0, 0, 0), (49, 199, 299)])
def test_of_a_large_mask_only_the_box_travels_and_it_touches_the_border_as_before(
    corner: tuple[int, int, int], tmp_path: Path
) -> None:
    mask = np.zeros((50, 200, 300), dtype=bool)
    mask[20:30, 90:120, 60:120] = True
    small = pack(Message("test", {}, {"mask": mask}), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < mask.sum() + 1000
    np.testing.assert_array_equal(unpack(small, tmp_path).arrays["mask"], mask)
    mask[corner] = True
    np.testing.assert_array_equal(
        travelled(Message("test", {}, {"mask": mask}), tmp_path).arrays["mask"], mask, "the whole grid"
    )


def content(**changes: Any) -> bytes:
    return json.dumps({"kind": "a", "fields": {}, "file": None, "boxes": {}, **changes}).encode()


BAD = {
    "text": b"Loading weights from the cache ...",
    "nothing": b"",
    "not UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "no kind": b'{"fields": {}, "file": null, "boxes": {}}',
    "fields of a wrong type": content(fields=3),
    "a file that is not there": content(file="missing.safetensors"),
    "a file elsewhere": content(file="../secret.safetensors"),
    "a file of something else": content(file="text.safetensors"),
    "a box of no array": content(boxes={"mask": {"shape": [2, 2, 2], "start": [0, 0, 0]}}),
    "a box beyond the grid": content(file="mask.safetensors", boxes={"mask": {"shape": [2, 2, 2], "start": [1, 0, 0]}}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_message_is_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    folder.mkdir()
    whole = json.loads(pack(Message("a", {}, {"mask": np.ones((2, 2, 2), dtype=bool)}), folder))
    (folder / whole["file"]).rename(folder / "mask.safetensors")
    (tmp_path / "secret.safetensors").write_bytes((folder / "mask.safetensors").read_bytes())
    (folder / "text.safetensors").write_text("a pickle, perhaps")
    with pytest.raises(WireError, match=r"^A message cannot be understood: .*\.$"):
        unpack(BAD[name], folder)
    assert (tmp_path / "secret.safetensors").exists()
