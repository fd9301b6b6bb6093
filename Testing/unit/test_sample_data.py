"""The sample data are what their script makes, and fit together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial import cKDTree

from dals.evaluation.metrics import dice, sample_points
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_grid, read_label_map
from dals.io.markups import read_contours
from dals.io.meshes import read_mesh
from dals.observations import PlanarContours
from dals.observations.contours import Contour

FOLDER = Path(__file__).resolve().parents[2] / "Resources" / "SampleData"
NAME = "SyntheticLiver"
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}
STEP_HU = 4


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data made anew."""
    folder = tmp_path_factory.mktemp("sample-data")
    script = FOLDER / "make_sample_data.py"
    subprocess.run([sys.executable, "-B", script, "--output", folder, "--no-picture"], check=True)
    return folder


@pytest.fixture(scope="module")
def truth() -> TriangleMesh:
    return read_mesh(FOLDER / f"{NAME}-truth.stl")


@pytest.fixture(scope="module")
def ct() -> sitk.Image:
    return sitk.ReadImage(str(FOLDER / f"{NAME}-CT.nrrd"))


def contour(folder: Path, plane: str) -> Contour:
    (only,) = read_contours(folder / f"{NAME}-{plane}.mrk.json")
    return only


# --- the files are those that the script makes


def test_the_script_makes_these_files(remade: Path) -> None:
    others = {"README.md", "make_sample_data.py", f"{NAME}.png"}
    assert {p.name for p in remade.iterdir()} == {p.name for p in FOLDER.iterdir() if p.is_file()} - others


@pytest.mark.parametrize("plane", PLANES)
def test_the_contours_are_as_made(remade: Path, plane: str) -> None:
    ours, again = contour(FOLDER, plane), contour(remade, plane)
    assert ours.control_points is not None
    assert again.control_points is not None
    np.testing.assert_allclose(ours.control_points, again.control_points, atol=1e-6)


def test_the_truth_is_as_made(remade: Path, truth: TriangleMesh) -> None:
    again = read_mesh(remade / f"{NAME}-truth.stl")
    np.testing.assert_array_equal(truth.faces, again.faces)
    np.testing.assert_allclose(truth.vertices, again.vertices, atol=1e-3)


def test_the_segmentation_is_as_made(remade: Path) -> None:
    ours, again = (read_label_map(folder / f"{NAME}-network.seg.nrrd") for folder in (FOLDER, remade))
    assert dice(ours, again) > 0.999


def test_the_ct_is_as_made(remade: Path, ct: sitk.Image) -> None:
    again = sitk.ReadImage(str(remade / f"{NAME}-CT.nrrd"))
    assert (ct.GetSize(), ct.GetSpacing(), ct.GetOrigin()) == (again.GetSize(), again.GetSpacing(), again.GetOrigin())
    difference = np.abs(sitk.GetArrayViewFromImage(ct).astype(int) - sitk.GetArrayViewFromImage(again))
    assert difference.max() <= STEP_HU  # rounding may differ between processors
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("plane", PLANES)
def test_a_curve_says_how_it_is_displayed(remade: Path, plane: str) -> None:
    """Slicer 5.8 logs an error for a curve without a display object."""
    for folder in (FOLDER, remade):
        (markup,) = json.loads((folder / f"{NAME}-{plane}.mrk.json").read_text(encoding="utf-8"))["markups"]
        assert markup["display"]["visibility"] is True
        assert markup["display"]["pointLabelsVisibility"] is False


# --- and they fit together


def test_the_contours_are_accepted_as_those_of_one_organ() -> None:
    observation = PlanarContours(tuple(contour(FOLDER, plane) for plane in PLANES))
    assert len(observation.by_plane) == 3


@pytest.mark.parametrize("plane", PLANES)
def test_a_contour_follows_the_truth_on_a_plane_off_the_middle(truth: TriangleMesh, plane: str) -> None:
    drawn, axis = contour(FOLDER, plane), PLANES[plane]
    assert drawn.control_points is not None
    assert drawn.control_points.shape == (28, 3)
    assert abs(drawn.plane.normal[axis]) > 0.999
    low, high = truth.vertices[:, axis].min(), truth.vertices[:, axis].max()
    part = (drawn.points[:, axis].mean() - low) / (high - low)
    assert 0.03 < abs(part - 0.5) < 0.15
    gaps, _ = cKDTree(sample_points(truth, 100_000, np.random.default_rng(0))).query(drawn.points)
    assert gaps.max() < 3.0


def test_the_truth_is_one_closed_surface_in_lps(truth: TriangleMesh) -> None:
    assert b"SPACE=LPS" in (FOLDER / f"{NAME}-truth.stl").read_bytes()[:80]
    assert truth.is_closed
    assert truth.euler_characteristic == 2
    assert 1_200_000 < truth.volume < 1_900_000  # cubic millimetres: a liver's


def test_the_segmentation_is_the_truth_with_gross_damage(truth: TriangleMesh) -> None:
    damaged = read_label_map(FOLDER / f"{NAME}-network.seg.nrrd", label="liver")
    assert 0.85 < dice(damaged, mesh_to_label_map(truth, damaged)) < 0.97


def test_segmentation_and_ct_share_a_grid() -> None:
    segmentation, image = read_grid(FOLDER / f"{NAME}-network.seg.nrrd"), read_grid(FOLDER / f"{NAME}-CT.nrrd")
    assert segmentation.array.shape == image.array.shape
    np.testing.assert_allclose(segmentation.ijk_to_ras, image.ijk_to_ras, atol=1e-6)
    np.testing.assert_allclose(image.spacing, (2.0, 2.0, 3.0))


def test_the_ct_shows_the_liver_where_the_truth_is(truth: TriangleMesh, ct: sitk.Image) -> None:
    values = sitk.GetArrayViewFromImage(ct)
    liver = mesh_to_label_map(truth, read_grid(FOLDER / f"{NAME}-CT.nrrd"))
    assert not liver.touches_border
    assert values.dtype == np.int16
    assert 95 < np.median(values[liver.array]) < 125
    assert values[0, 0, 0] == -1000
    assert np.median(values[(values > -900) & ~liver.array]) < 70


def test_the_files_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.is_file()}
    assert sizes[f"{NAME}-CT.nrrd"] < 2_500_000
    assert sum(sizes.values()) < 4_000_000
