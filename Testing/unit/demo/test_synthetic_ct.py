"""The synthetic CT around the synthetic liver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from dals.demo.synthetic_ct import synthetic_ct, write_ct
from dals.demo.synthetic_liver import synthetic_liver
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.volume import Volume
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_grid


@pytest.fixture(scope="module")
def grid() -> LabelMap:
    liver = synthetic_liver()
    matrix = np.diag([3.0, 3.0, 4.0, 1.0])
    matrix[:3, 3] = liver.vertices.min(axis=0) - 35.0
    size = np.ceil((np.ptp(liver.vertices, axis=0) + 70.0) / (3.0, 3.0, 4.0)).astype(int)
    return LabelMap(np.zeros(size[::-1], dtype=bool), matrix)


@pytest.fixture(scope="module")
def scan(grid: LabelMap) -> Volume:
    return synthetic_ct(synthetic_liver(), grid)


@pytest.fixture(scope="module")
def liver(grid: LabelMap) -> BoolArray:
    return mesh_to_label_map(synthetic_liver(), grid).array


def test_grey_values_alone_do_not_tell_the_liver_from_its_neighbours(scan: Volume, liver: BoolArray) -> None:
    """Of the voxels next to the liver, many have its grey values, and no threshold parts them from it."""
    beside = ndimage.binary_dilation(liver, iterations=3) & ~ndimage.binary_dilation(liver)
    low, high = np.percentile(scan.array[liver], (10, 90))
    alike = (scan.array >= low) & (scan.array <= high)
    assert alike[beside].mean() > 0.12
    pieces, _ = ndimage.label(ndimage.gaussian_filter(scan.array, 0.7) > low)
    found = pieces == np.bincount(pieces[liver])[1:].argmax() + 1
    assert 2 * (found & liver).sum() / (found.sum() + liver.sum()) < 0.8


def test_voxels_at_the_edge_hold_a_part_of_each_tissue(grid: LabelMap, liver: BoolArray) -> None:
    mean = np.mean([synthetic_ct(synthetic_liver(), grid, seed=seed).array for seed in (2, 3)], axis=0)
    lung = mean < -700
    between = (
        ndimage.binary_dilation(lung, iterations=2) & ndimage.binary_dilation(liver, iterations=2) & ~lung & ~liver
    )
    assert between.sum() > 50
    assert ((mean[between] > -600) & (mean[between] < 0)).mean() > 0.3


def test_noise_is_alike_in_neighbours(grid: LabelMap, scan: Volume, liver: BoolArray) -> None:
    other = synthetic_ct(synthetic_liver(), grid, seed=1)
    noise = scan.array - other.array
    deep = ndimage.binary_erosion(liver, iterations=2)[:, :, :-1]
    both = noise[:, :, :-1][deep], noise[:, :, 1:][deep]
    assert 0.1 < np.corrcoef(*both)[0, 1] < 0.9
    assert np.array_equal(scan.array, synthetic_ct(synthetic_liver(), grid).array)


def test_a_written_scan_keeps_place_and_values(tmp_path: Path, scan: Volume) -> None:
    write_ct(tmp_path / "CT.nii.gz", scan)
    grid = read_grid(tmp_path / "CT.nii.gz")
    assert np.allclose(grid.ijk_to_ras, scan.ijk_to_ras, atol=1e-4)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "CT.nii.gz"))), scan.array)
