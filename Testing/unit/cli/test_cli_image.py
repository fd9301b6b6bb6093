"""`dals refine --image`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from known_shapes import grid, inside_ellipsoid

from dals.cli import main
from dals.geometry.label_map import LabelMap
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.label_maps import write_label_map

RADII = (95.0, 75.0, 62.0)


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    where = grid((64, 56, 40), (4.0, 4.0, 5.0))
    whole = inside_ellipsoid(where, RADII)
    slices = np.zeros_like(whole)
    slices[[18, 22]] = whole[[18, 22]]
    write_label_map(tmp_path / "slices.nii.gz", where.with_array(slices))
    noise = np.random.default_rng(0).normal(0, 20, whole.shape)
    write_image(tmp_path / "image.nii.gz", 40 + 80 * whole + noise, where)
    return tmp_path


def write_image(path: Path, array: np.ndarray, where: LabelMap) -> None:
    image = sitk.GetImageFromArray(array.astype(np.int16))
    matrix = swap_lps_ras_matrix(where.ijk_to_ras)
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetSpacing(where.spacing.tolist())
    image.SetDirection((matrix[:3, :3] / where.spacing).ravel().tolist())
    sitk.WriteImage(image, str(path))


def test_the_image_is_used_and_reported(
    painted: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--prior", str(ellipsoid_prior_file), "--level", "3", "--quiet", "--device", "cpu"]
    source = ["--sparse-segmentation", str(painted / "slices.nii.gz"), "--image", str(painted / "image.nii.gz")]
    report = painted / "report.json"
    assert main(["refine", "-o", str(painted / "out.stl"), *source, "--report", str(report), *common]) == 0
    assert "Image image.nii.gz: used, trust" in capsys.readouterr().out
    assert json.loads(report.read_text())["image"]["trust"] > 0.5
    table = painted / "cases.csv"
    table.write_text("output,sparse_segmentation,image,report\nb.stl,slices.nii.gz,image.nii.gz,b.json\n")
    assert main(["refine", "--batch", str(table), *common]) == 0
    assert json.loads((painted / "b.json").read_text())["image"]["name"] == "image.nii.gz"


def test_a_segmentation_is_edited_with_its_image(
    painted: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = grid((64, 56, 40), (4.0, 4.0, 5.0))
    write_label_map(painted / "whole.nii.gz", where.with_array(inside_ellipsoid(where, RADII)))
    common = ["--prior", str(ellipsoid_prior_file), "--quiet", "--device", "cpu"]
    source = ["--segmentation", str(painted / "whole.nii.gz"), "--image", str(painted / "image.nii.gz")]
    report = painted / "report.json"
    assert main(["refine", "-o", str(painted / "out.stl"), *source, "--report", str(report), *common]) == 0
    assert "Image image.nii.gz: used, trust" in capsys.readouterr().out
    assert json.loads(report.read_text())["image"]["edits_changed"] == 0
    table = painted / "cases.csv"
    table.write_text("output,segmentation,image,report\nb.stl,whole.nii.gz,image.nii.gz,b.json\n")
    assert main(["refine", "--batch", str(table), *common]) == 0
    assert json.loads((painted / "b.json").read_text())["image"]["name"] == "image.nii.gz"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--points", "points.csv", "--image", "image.nii.gz"], "not with points"),
        (["--segmentation", "slices.nii.gz", "--image", "image.nii.gz", "--paper"], "default method only"),
        (["--sparse-segmentation", "slices.nii.gz", "--image", "missing.nii.gz"], "missing.nii.gz"),
        (["--sparse-segmentation", "slices.nii.gz", "--image", "image.nii.gz", "--paper"], "default method only"),
    ],
)
def test_what_cannot_be_is_refused(
    painted: Path,
    ellipsoid_prior_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(painted)
    assert main(["refine", "-o", "out.stl", "--prior", str(ellipsoid_prior_file), "--quiet", *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not (painted / "out.stl").exists()


def test_the_image_is_never_overwritten(painted: Path, ellipsoid_prior_file: Path) -> None:
    source = ["--sparse-segmentation", str(painted / "slices.nii.gz"), "--image", str(painted / "image.nii.gz")]
    written = ["-o", str(painted / "out.stl"), "--output-segmentation", str(painted / "image.nii.gz")]
    before = (painted / "image.nii.gz").read_bytes()
    assert main(["refine", *written, *source, "--prior", str(ellipsoid_prior_file)]) == 2
    assert (painted / "image.nii.gz").read_bytes() == before
