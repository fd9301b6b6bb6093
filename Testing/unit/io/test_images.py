"""What an image file may be: its name, its header, where its voxels are."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.io.images import open_image
from dals.io.label_maps import read_grid, read_label_map
from dals.io.probabilities import read_probabilities

SHAPE = (5, 6, 7)
PIXDIM, DATATYPE, FORMS, SFORM = 80, 70, 252, 280
"""Offsets in a NIfTI-1 header."""


def _mask() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, 2:5, 3:6] = 1
    return mask


def _write(path: Path, array: np.ndarray | None = None, *, vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(_mask() if array is None else array, isVector=vector)
    image.SetSpacing((4.0, 4.0, 4.0))
    image.SetOrigin((-10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(path))
    return path


def _edit(path: Path, *changes: tuple[int, str, tuple[float, ...]]) -> Path:
    content = bytearray(path.read_bytes())
    for offset, form, values in changes:
        struct.pack_into(form, content, offset, *values)
    path.write_bytes(bytes(content))
    return path


# --- NIfTI --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("a.nii", "a.nii.gz"),
        ("a.nii.gz", "b.nii"),
        ("a.nii", "b.NII.GZ"),
        ("a.nii.gz", "b.Nii.Gz"),
        ("a.nii.gz", "b.nii.GZ"),
        ("a.nii", "b.Nii"),
    ],
)
def test_a_name_that_says_wrongly_whether_a_file_is_compressed(written: str, named: str, tmp_path: Path) -> None:
    _write(tmp_path / written).rename(tmp_path / named)
    label_map = read_label_map(tmp_path / named)
    np.testing.assert_array_equal(label_map.array, _mask() != 0)
    np.testing.assert_allclose(label_map.spacing, 4)
    assert label_map.name == named
    assert read_grid(tmp_path / named).array.shape == SHAPE


def test_a_truncated_file_under_a_wrong_name(tmp_path: Path) -> None:
    whole = gzip.compress(_write(tmp_path / "a.nii").read_bytes())
    for name, content in (("a.nii", whole[:-20]), ("a.nii.gz", gzip.decompress(whole)[:-20])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="truncated"):
            read_label_map(tmp_path / name)


@pytest.mark.parametrize("sizes", [(0, 4, 4), (4, 4, -4), (float("nan"), 4, 4), (0, 0, 0)])
def test_a_voxel_size_that_is_none(sizes: tuple[float, ...], tmp_path: Path) -> None:
    path = _edit(_write(tmp_path / "a.nii"), (PIXDIM, "<3f", sizes))
    with pytest.raises(InputError, match=r"voxel size of .* more than zero"):
        read_label_map(path)
    with pytest.raises(InputError, match="voxel size"):
        read_grid(path)


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_a_voxel_of_no_possible_size(size: float, tmp_path: Path) -> None:
    rows = (size, 0, 0, 0, 0, size, 0, 0, 0, 0, size, 0)
    path = _edit(
        _write(tmp_path / "a.nii"), (FORMS, "<2h", (0, 1)), (SFORM, "<12f", rows), (PIXDIM, "<3f", (size,) * 3)
    )
    with pytest.raises(InputError, match="voxel size"):
        read_label_map(path)


@pytest.mark.parametrize("value", [1e30, float("nan"), float("inf")])
def test_a_position_beyond_all_patients(value: float, tmp_path: Path) -> None:
    rows = (-4, 0, 0, value, 0, -4, 0, 0, 0, 0, 4, 0)
    path = _edit(_write(tmp_path / "a.nii"), (FORMS, "<2h", (0, 1)), (SFORM, "<12f", rows))
    with pytest.raises(InputError, match="position"):
        read_label_map(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_probabilities_that_are_no_numbers(value: float, suffix: str, tmp_path: Path) -> None:
    values = 0.9 * _mask().astype(np.float32)
    values[0, 0, 0] = value
    grid = read_label_map(_write(tmp_path / "mask.nii"))
    with pytest.raises(InputError, match="not finite"):
        read_probabilities(_write(tmp_path / f"p{suffix}", values), grid)


def test_a_label_map_of_floats_with_one_that_is_no_number(tmp_path: Path) -> None:
    values = _mask().astype(np.float64)
    values[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        read_label_map(_write(tmp_path / "a.nii.gz", values))


def test_numbers_in_the_other_byte_order(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.nii", _mask().astype(np.float32))
    content = path.read_bytes()
    header = struct.unpack("<i10s18sihcB8h3f4h8f3fhcB4f2i80s24s2h6f12f16s4s", content[:348])
    swapped = struct.pack(">i10s18sihcB8h3f4h8f3fhcB4f2i80s24s2h6f12f16s4s", *header)
    voxels = np.frombuffer(content[352:], "<f4").astype(">f4").tobytes()
    path.write_bytes(swapped + content[348:352] + voxels)
    np.testing.assert_array_equal(read_label_map(path).array, _mask() != 0)
    path.write_bytes(swapped + content[348:352] + np.array([np.nan], ">f4").tobytes() + voxels[4:])
    with pytest.raises(InputError, match="not finite"):
        read_label_map(path)


# --- NRRD and MetaImage -------------------------------------------------------------------------


def _nrrd(path: Path, *fields: str, directions: str = "(4,0,0) (0,4,0) (0,0,4)", origin: str = "(0,0,0)") -> Path:
    lines = [
        "NRRD0004", "type: uint8", "dimension: 3", "space: left-posterior-superior", "sizes: 7 6 5",
        f"space directions: {directions}", "kinds: domain domain domain", "encoding: raw", f"space origin: {origin}",
        *fields,
    ]  # fmt: skip
    voxels = b"" if fields else _mask().tobytes()
    path.write_bytes("\n".join([*lines, "\n"]).encode() + voxels)
    return path


def _mhd(path: Path, data: str, *, spacing: str = "4 4 4", offset: str = "0 0 0") -> Path:
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nOffset = {offset}\nElementSpacing = {spacing}\n"
        f"DimSize = 7 6 5\nElementType = MET_UCHAR\nElementDataFile = {data}\n"
    )
    return path


@pytest.mark.parametrize(
    "directions", ["(0,0,0) (0,4,0) (0,0,4)", "(nan,0,0) (0,4,0) (0,0,4)", "(1e30,0,0) (0,4,0) (0,0,4)"]
)
def test_directions_that_span_no_voxel(directions: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.nrrd"):
        read_label_map(_nrrd(tmp_path / "a.nrrd", directions=directions))


@pytest.mark.parametrize("spacing", ["0 4 4", "-4 4 4", "nan 4 4", "1e30 4 4"])
def test_spacings_that_span_no_voxel(spacing: str, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(_mask().tobytes())
    with pytest.raises(InputError, match="voxel size"):
        read_label_map(_mhd(tmp_path / "a.mhd", "a.raw", spacing=spacing))


def test_an_origin_beyond_all_patients(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kilometre"):
        read_label_map(_nrrd(tmp_path / "a.nrrd", origin="(1e30,0,0)"))


def _detached(kind: str, folder: Path, data: str) -> Path:
    if kind == "mhd":
        return _mhd(folder / "a.mhd", data)
    return _nrrd(folder / "a.nrrd", f"{kind}: {data}")


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A folder for a header, with voxels in it, below it and beside it."""
    folder = tmp_path / "case"
    for place in (folder, folder / "sub", tmp_path / "other"):
        place.mkdir()
        (place / "a.raw").write_bytes(_mask().tobytes())
    return folder


@pytest.mark.parametrize("kind", ["data file", "datafile", "mhd"])
@pytest.mark.parametrize("data", ["a.raw", "./a.raw", "sub/a.raw", "{folder}/a.raw"])
def test_voxels_in_the_folder_of_their_header(data: str, kind: str, case: Path) -> None:
    path = _detached(kind, case, data.format(folder=case))
    np.testing.assert_array_equal(read_label_map(path).array, _mask() != 0)


@pytest.mark.parametrize("kind", ["data file", "Data File", "datafile", "mhd"])
@pytest.mark.parametrize(
    "data", ["../other/a.raw", "{folder}/../other/a.raw", "sub/../../other/a.raw", "link.raw", "/dev/zero"]
)
def test_voxels_outside_the_folder_of_their_header(data: str, kind: str, case: Path) -> None:
    if data == "link.raw":
        try:
            (case / data).symlink_to("../other/a.raw")
        except OSError:
            pytest.skip("links need rights on this system")
    with pytest.raises(InputError, match="outside its folder"):
        read_label_map(_detached(kind, case, data.format(folder=case)))


@pytest.mark.parametrize("kind", ["data file", "mhd"])
@pytest.mark.parametrize("data", ["LIST\na.raw", "a%d.raw 0 1 1"])
def test_voxels_in_several_files(data: str, kind: str, case: Path) -> None:
    with pytest.raises(InputError, match="several files"):
        read_label_map(_detached(kind, case, data))


def test_a_header_whose_voxels_are_missing(case: Path) -> None:
    with pytest.raises(InputError, match=r"none\.raw does not exist"):
        read_label_map(_nrrd(case / "a.nrrd", "data file: none.raw"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name on this system")
def test_voxels_in_a_pipe(case: Path) -> None:
    os.mkfifo(case / "pipe.raw")
    with pytest.raises(InputError, match="pipe or a device"):
        read_label_map(_nrrd(case / "a.nrrd", "data file: pipe.raw"))


def test_an_entry_that_only_looks_like_a_file_of_voxels(tmp_path: Path) -> None:
    path = _nrrd(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes().replace(b"encoding:", b"data file:=../x.raw\nencoding:"))
    np.testing.assert_array_equal(read_label_map(path).array, _mask() != 0)


# --- what is no image of an organ ---------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_in_colours(channels: int, suffix: str, tmp_path: Path) -> None:
    path = _write(tmp_path / f"a{suffix}", np.stack([_mask()] * channels, axis=-1), vector=True)
    with pytest.raises(InputError, match="as colours do"):
        read_label_map(path)
    assert read_grid(path).array.shape == SHAPE  # its grid is as good as any


def test_colours_of_nifti(tmp_path: Path) -> None:
    path = _edit(_write(tmp_path / "a.nii"), (DATATYPE, "<2h", (128, 24)))
    path.write_bytes(path.read_bytes()[:352] + np.stack([_mask()] * 3, axis=-1).tobytes())
    with pytest.raises(InputError, match="as colours do"):
        read_label_map(path)


@pytest.mark.parametrize("label", [0, "0"])
def test_the_background_is_no_label(label: int | str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="background"):
        read_label_map(_write(tmp_path / "a.nrrd"), label=label)


def _png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"junk" * 100)


def _cut(path: Path) -> None:
    path.write_bytes(_write(path).read_bytes()[:-30])


def _other_type(path: Path) -> None:
    if path.name.endswith(".nii"):
        _edit(_write(path), (DATATYPE, "<h", (999,)))
    else:
        _png(path)


@pytest.mark.parametrize("damage", [_png, _cut, _other_type])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_libraries_keep_quiet(
    suffix: str, damage: Callable[[Path], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(tmp_path / f"a{suffix}")
    with pytest.raises(InputError):
        read_label_map(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_an_image_that_would_not_fit_into_memory(tmp_path: Path) -> None:
    path = _nrrd(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes().replace(b"7 6 5", b"1000 1000 1100").replace(b"uint8", b"int64\nendian: little"))
    with pytest.raises(InputError, match=r"8\.2 GiB; no more than .* 4 GiB"):
        open_image(path)


def test_the_name_of_a_label_map_is_that_of_its_file(tmp_path: Path) -> None:
    shutil.copy(_write(tmp_path / "a.nii.gz"), tmp_path / "b.nii")
    assert isinstance(read_grid(tmp_path / "b.nii"), LabelMap)
    assert read_grid(tmp_path / "b.nii").name == "b.nii"
