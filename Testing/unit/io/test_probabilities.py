"""Probability maps: what is read, and what a user is told of one that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from known_shapes import grid, inside_ellipsoid

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.probabilities import read_probabilities

EMPTY = grid((40, 30, 24), (4.0, 4.5, 5.0), angles=(10, -20, 30))
ORGAN = EMPTY.with_array(inside_ellipsoid(EMPTY), name="organ.nii.gz")
SURE = np.where(ORGAN.array, 0.8, 0.1).astype(np.float32)


def write(path: Path, array: np.ndarray, *, vector: bool = False, matrix: np.ndarray | None = None) -> Path:
    image = sitk.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        lps = swap_lps_ras_matrix(ORGAN.ijk_to_ras if matrix is None else matrix)
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetOrigin(lps[:3, 3].tolist())
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def test_complex_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="complex"):
        read_probabilities(write(tmp_path / "a.nii", SURE.astype(np.complex64)), ORGAN)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
def test_every_format(suffix: str, kind: type, tmp_path: Path) -> None:
    read = read_probabilities(write(tmp_path / f"a.{suffix}", SURE.astype(kind)), ORGAN)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, SURE, rtol=1e-6)


def test_a_fourth_axis_of_one_is_no_obstacle(tmp_path: Path) -> None:
    plain = LabelMap(ORGAN.array, np.diag([-1.0, -1, 1, 1]), "organ")
    read = read_probabilities(write(tmp_path / "a.nii", SURE[None]), plain)
    np.testing.assert_array_equal(read, SURE)


def test_rounding_is_forgiven(tmp_path: Path) -> None:
    values = np.where(ORGAN.array, 1.0005, -0.0005)
    values[0, 0, 0] = 0.5
    read = read_probabilities(write(tmp_path / "a.nrrd", values), ORGAN)
    assert (read.min(), read.max()) == (0, 1)


@pytest.mark.filterwarnings("ignore::dals.errors.DalsWarning")
@pytest.mark.parametrize(
    ("array", "words"),
    [
        (SURE * 100, "from 10 to 80, .* percentages; divide them by 100"),
        ((SURE * 255).astype(np.uint8), "from 25 to 204, .* grey values; divide them by 255"),
        (SURE * 4000, "this is no probability map"),
        (SURE - 0.5, "from -0.4 to 0.3, .* softmax or sigmoid"),
        (np.where(ORGAN.array, np.nan, 0.5), "not finite"),
        (np.where(ORGAN.array, np.inf, 0.5), "not finite"),
    ],
)
def test_values_that_are_no_probabilities(array: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read_probabilities(write(tmp_path / "a.nrrd", array), ORGAN)


def test_several_channels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 values for each voxel; hand over the organ's own channel"):
        read_probabilities(write(tmp_path / "a.nrrd", np.stack([SURE, SURE], axis=-1), vector=True), ORGAN)
    with pytest.raises(InputError, match=r"not a three-dimensional image.*; hand over the organ's own channel"):
        read_probabilities(write(tmp_path / "a.nii.gz", np.stack([SURE, SURE])), ORGAN)


def moved(shift: float = 0.0, *, stretch: float = 1.0, flip: bool = False) -> np.ndarray:
    matrix = ORGAN.ijk_to_ras.copy()
    matrix[:3, 0] *= stretch
    if flip:
        matrix[:3, :2] *= -1
    matrix[:3, 3] += matrix[:3, 0] / np.linalg.norm(matrix[:3, 0]) * shift
    return matrix


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (moved(12.0), "its first voxel lies 12 mm away"),
        (moved(0.008), "its first voxel lies 0.008 mm away"),
        (moved(stretch=0.5), "its voxels measure 2 x 4.5 x 5 mm instead of 4 x 4.5 x 5 mm"),
        (moved(flip=True), "its axes are turned by up to 1.8e.02 degrees"),
    ],
)
def test_another_geometry(matrix: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"another grid than the segmentation organ.nii.gz: {words}"):
        read_probabilities(write(tmp_path / "a.nrrd", SURE, matrix=matrix), ORGAN)


def test_a_thousandth_of_a_voxel_is_tolerated(tmp_path: Path) -> None:
    read = read_probabilities(write(tmp_path / "a.nrrd", SURE, matrix=moved(0.003)), ORGAN)
    assert read.shape == SURE.shape


def test_another_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it has 40 x 30 x 20 voxels instead of 40 x 30 x 24"):
        read_probabilities(write(tmp_path / "a.nrrd", SURE[:20]), ORGAN)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_probabilities(tmp_path / "no.nii", ORGAN)
    with pytest.raises(InputError, match="no probability map that can be read"):
        read_probabilities(tmp_path / "a.npz", ORGAN)
