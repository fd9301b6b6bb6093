"""Reading parts of images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from dals.errors import InputError
from dals.geometry.volume import Volume
from dals.io.volumes import read_volume

SHAPE = (6, 9, 12)


def write(path: Path, array: np.ndarray, *, vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing((1.5, 2.0, 4.0)[: image.GetDimension()] + (1.0,) * (image.GetDimension() - 3))
    if image.GetDimension() == 3:
        image.SetOrigin((10.0, -20.0, 30.0))
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_part_of_a_file_is_that_part_of_the_image(tmp_path: Path, suffix: str) -> None:
    array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    file = read_volume(write(tmp_path / f"image{suffix}", array))
    low, high = np.array([-20.0, 10.0, 34.0]), np.array([-14.0, 14.0, 42.0])
    part = file.part(low, high)
    assert part is not None
    assert 0 < part.array.size < array.size
    matrix = np.diag([-1.5, -2.0, 4.0, 1.0])
    matrix[:3, 3] = (-10.0, 20.0, 30.0)
    expected = Volume(array, matrix).part(low, high)
    assert expected is not None
    assert np.array_equal(part.array, expected.array)
    assert np.allclose(part.ijk_to_ras, expected.ijk_to_ras)
    again = file.part(low - 100, high + 100)
    assert again is not None
    assert np.array_equal(again.array, array)
    assert file.part(low + 500, high + 500) is None
    assert file.name == f"image{suffix}"


def test_colours_and_several_volumes_are_refused(tmp_path: Path) -> None:
    colours = write(tmp_path / "rgb.nii.gz", np.zeros((*SHAPE, 3), dtype=np.uint8), vector=True)
    with pytest.raises(InputError, match="holds 3 values for each voxel"):
        read_volume(colours)
    several = write(tmp_path / "4d.nii.gz", np.zeros((2, *SHAPE), dtype=np.int16))
    with pytest.raises(InputError, match="not a three-dimensional image"):
        read_volume(several)
    with pytest.raises(InputError):
        read_volume(tmp_path / "missing.nii.gz")


def test_of_a_huge_file_only_the_part_is_read(tmp_path: Path) -> None:
    size = 1_024
    header = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    header += ["CompressedData = False", "Offset = 0 0 0", "ElementSpacing = 1 1 1", f"DimSize = {size} {size} {size}"]
    header += ["ElementType = MET_SHORT", "ElementDataFile = huge.raw", ""]
    (tmp_path / "huge.mhd").write_text("\n".join(header), encoding="ascii")
    with (tmp_path / "huge.raw").open("wb") as file:
        file.truncate(2 * size**3)  # holes take no room on the disk
        file.seek(2 * (500 * size**2 + 500 * size + 500))
        file.write(b"\x07\x00")
    began = peak_memory()
    part = read_volume(tmp_path / "huge.mhd").part(np.full(3, -510.0), np.array([-490.0, -490.0, 510.0]))
    assert part is not None
    assert part.array.max() == 7
    assert part.array.shape[1:] == (21, 21)
    assert peak_memory() - began < 200_000_000


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    resource = pytest.importorskip("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
