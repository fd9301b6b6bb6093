"""`dals refine` with the prior that ships, from every kind of input to every kind of output."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import contents, dals
from liver_case import FLIP, LIVER_LABEL, LiverCase

from dals.cli import main
from dals.evaluation.metrics import compare, dice
from dals.fitting.evidence import weighed
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_label_map, write_label_map
from dals.io.markups import read_contours
from dals.io.meshes import read_mesh
from dals.model.prior import load_prior
from dals.observations import PlanarContours, kind_named


@dataclass(frozen=True)
class Run:
    """A finished command and the folder that it wrote into."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    def report(self) -> dict[str, Any]:
        found = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


def distance(mesh: TriangleMesh, liver: LiverCase) -> float:
    return compare(mesh, liver.truth, samples=20_000, self_intersections=False).mean_distance


# --- three contours: the main job ---------------------------------------------------------------


@pytest.fixture(scope="module")
def from_contours(liver: LiverCase, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("contours")
    done = dals(
        *("refine", "-o", "liver.stl", "--prior", "liver", "--contours", *liver.contours, "--device", "cpu"),
        *("--report", "report.json", "--output-segmentation", "mask.nii.gz", "--reference", liver.segmentation),
        cwd=folder,
    )
    return Run(done, folder)


def test_contours_become_a_liver(from_contours: Run, liver: LiverCase) -> None:
    assert from_contours.done.returncode == 0, from_contours.done.stderr
    assert "Traceback" not in from_contours.done.stderr
    assert set(contents(from_contours.folder)) == {"liver.stl", "report.json", "mask.nii.gz"}
    mesh = read_mesh(from_contours.folder / "liver.stl")
    assert len(mesh.vertices) == 10242
    assert mesh.is_closed
    assert mesh.euler_characteristic == 2
    assert mesh.volume > 0
    assert distance(mesh, liver) < 8.0


def test_progress_and_summary_are_told(from_contours: Run) -> None:
    assert "Refining liver (cpu)" in from_contours.done.stderr
    assert "100%" in from_contours.done.stderr
    assert "liver.stl:" in from_contours.done.stdout
    assert re.search(r" ml \(\d+ to \d+\), ", from_contours.done.stdout)
    assert from_contours.done.stdout.count("mm from the surface on average") == 3


def test_the_stl_states_lps_and_holds_lps(from_contours: Run, liver: LiverCase) -> None:
    content = (from_contours.folder / "liver.stl").read_bytes()
    assert b"SPACE=LPS" in content[:80]
    count = int.from_bytes(content[80:84], "little")
    rows = np.frombuffer(content[84:], dtype=np.dtype([("v", "<f4", (4, 3)), ("a", "<u2")]), count=count)
    corners = rows["v"][:, 1:].reshape(-1, 3)
    assert np.abs(corners.mean(axis=0) - liver.truth.vertices.mean(axis=0) * FLIP).max() < 25.0


def test_the_report_has_what_a_clinician_and_an_engineer_need(from_contours: Run, liver: LiverCase) -> None:
    report = from_contours.report()
    mesh = read_mesh(from_contours.folder / "liver.stl")
    assert report["volume_ml"] == pytest.approx(mesh.volume / 1e3, rel=1e-3)
    low, high = report["uncertainty"]["volume_interval_ml"]
    assert low < report["volume_ml"] < high
    assert 0 < report["uncertainty"]["expected_distance_mm"] < 20
    assert report["surface_cm2"] == pytest.approx(mesh.area / 1e2, rel=1e-3)
    assert len(report["residuals_mm"]) == 3
    for row in report["residuals_mm"]:
        assert row["name"].startswith("curve")
        assert 0 < row["mean"] < row["maximum"] < 60
    assert report["iterations"] > 0
    assert report["seconds"] > 0
    assert report["device"] == "cpu"
    assert report["task"] == "contours"
    prior = load_prior("liver")
    assert report["prior"] == {"name": "liver", "sha256": prior.digest}
    assert report["settings"]["seed"] == 0
    given = PlanarContours(tuple(contour for path in liver.contours for contour in read_contours(path)))
    assert report["settings"]["lambda_dir"] == weighed(kind_named("contours").defaults, given).lambda_dir
    assert report["version"]


def test_the_segmentation_has_the_references_grid(from_contours: Run, liver: LiverCase) -> None:
    truth = read_label_map(liver.segmentation, label=LIVER_LABEL)
    mask = read_label_map(from_contours.folder / "mask.nii.gz")
    assert mask.array.shape == truth.array.shape
    np.testing.assert_allclose(mask.ijk_to_ras, truth.ijk_to_ras, atol=1e-2)
    assert dice(mask, truth) > 0.8
    mesh = read_mesh(from_contours.folder / "liver.stl")
    assert dice(mask, mesh_to_label_map(mesh, truth)) > 0.99


# --- segmentations ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def from_segmentation(liver: LiverCase, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("segmentation")
    done = dals(
        *("refine", "-o", "liver.ply", "--segmentation", liver.segmentation, "--label", LIVER_LABEL),
        *("--output-segmentation", "mask.seg.nrrd", "--report", "report.json", "--device", "cpu"),
        *("--level", 3),
        cwd=folder,
    )
    return Run(done, folder)


def test_an_oblique_segmentation_becomes_a_liver(from_segmentation: Run, liver: LiverCase) -> None:
    assert from_segmentation.done.returncode == 0, from_segmentation.done.stderr
    assert "warning" not in from_segmentation.done.stderr
    content = (from_segmentation.folder / "liver.ply").read_bytes()
    assert b"SPACE=LPS" in content[:300]
    mesh = read_mesh(from_segmentation.folder / "liver.ply")
    assert distance(mesh, liver) < 8.0
    truth, mask = read_label_map(liver.segmentation, label=LIVER_LABEL), from_segmentation.folder / "mask.seg.nrrd"
    assert read_label_map(mask).array.shape == truth.array.shape
    np.testing.assert_allclose(read_label_map(mask).ijk_to_ras, truth.ijk_to_ras, atol=1e-3)
    assert dice(read_label_map(mask), truth) > 0.8
    assert from_segmentation.report()["task"] == "segmentation"


def test_another_process_writes_the_same_bytes(from_segmentation: Run, liver: LiverCase, tmp_path: Path) -> None:
    out = tmp_path / "liver.ply"
    arguments = ["refine", "-o", out, "--segmentation", liver.segmentation, "--label", LIVER_LABEL, "--device", "cpu"]
    assert main([*map(str, arguments), "--level", "3", "--quiet"]) == 0
    again, first = read_mesh(out), read_mesh(from_segmentation.folder / "liver.ply")
    # Threads may add up in another order in another process, so the last digits are free here.
    np.testing.assert_allclose(again.vertices, first.vertices, atol=1e-2)


# --- slices painted in a label map, points ------------------------------------------------------


def test_painted_slices_become_a_liver(liver: LiverCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, mask = tmp_path / "liver.vtp", tmp_path / "mask.nrrd"
    arguments = ["refine", "-o", out, "--sparse-segmentation", liver.sparse, "--output-segmentation", mask]
    assert main([*map(str, arguments), "--level", "3", "--device", "cpu", "--quiet"]) == 0
    said = capsys.readouterr().err.splitlines()  # the surface may cross a painted slice once more, which is then said
    known = (
        "dals: warning: On the plane of the contour 'sparse.nii.gz, slice ",
        "dals: warning: The surface is expected to be ",
    )
    assert all(line.startswith(known) for line in said), said
    assert distance(read_mesh(out), liver) < 8.0
    assert read_label_map(mask).array.shape == read_label_map(liver.sparse).array.shape


def test_points_become_a_liver_in_ras(liver: LiverCase, tmp_path: Path) -> None:
    ras = tmp_path / "ras.csv"
    np.savetxt(ras, np.loadtxt(liver.points) * FLIP, delimiter=",", header="x,y,z", comments="")
    out = tmp_path / "liver.obj"
    arguments = ["refine", "-o", out, "--points", ras, "--ras", "--level", "3", "--device", "cpu", "--quiet"]
    assert main([*map(str, arguments)]) == 0
    text = out.read_text(encoding="ascii")
    assert "SPACE=RAS" in text.splitlines()[0]
    raw = np.array([line.split()[1:] for line in text.splitlines() if line.startswith("v ")], dtype=float)
    assert np.abs(raw.mean(axis=0) - liver.truth.vertices.mean(axis=0)).max() < 20.0
    assert distance(read_mesh(out), liver) < 8.0


# --- options, tried with a prior that takes less time -------------------------------------------


@pytest.fixture
def quick(ellipsoid_prior_file: Path) -> list[str]:
    """Options that make a fit short."""
    return ["--prior", str(ellipsoid_prior_file), "--level", "2", "--device", "cpu", "--quiet"]


def test_every_format_in_either_system_lands_in_the_same_place(
    liver: LiverCase, quick: list[str], tmp_path: Path
) -> None:
    places = []
    for name, axes in (("a.stl", []), ("b.stl", ["--ras"]), ("c.ply", ["--ras"]), ("d.obj", []), ("e.vtp", ["--ras"])):
        points = ["--points", str(liver.mesh)]  # states LPS, which --ras must not change
        assert main(["refine", "-o", str(tmp_path / name), *points, *quick, *axes]) == 0
        if not name.endswith(".vtp"):  # there it is a field of its own
            assert (b"SPACE=RAS" if axes else b"SPACE=LPS") in (tmp_path / name).read_bytes()
        mesh = read_mesh(tmp_path / name)
        places.append((mesh.vertices.mean(axis=0), mesh.volume))
    for centre, volume in places[1:]:
        np.testing.assert_allclose(centre, places[0][0], atol=0.5)
        assert volume == pytest.approx(places[0][1], rel=1e-3)


def test_points_give_the_same_bytes_whatever_the_seed(liver: LiverCase, quick: list[str], tmp_path: Path) -> None:
    written = []
    for number, seed in enumerate((4, 4, 5)):
        out = tmp_path / f"{number}.stl"
        inputs = ["--points", str(liver.points), "--seed", str(seed)]
        assert main(["refine", "-o", str(out), *inputs, *quick]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1] == written[2]


def test_a_segment_can_be_named(
    liver: LiverCase, quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "liver.seg.nrrd"
    write_label_map(path, read_label_map(liver.segmentation, label=LIVER_LABEL))
    out = tmp_path / "out.stl"
    assert main(["refine", "-o", str(out), "--segmentation", str(path), "--label", "nobody", *quick]) == 2
    error = capsys.readouterr().err
    assert "'nobody'" in error
    name = error.rpartition("it has '")[2].rpartition("'")[0]
    assert main(["refine", "-o", str(out), "--segmentation", str(path), "--label", name, *quick]) == 0


def test_remeshing_evens_out_the_triangles(liver: LiverCase, quick: list[str], tmp_path: Path) -> None:
    pytest.importorskip("gpytoolbox", reason="remeshing needs gpytoolbox")
    meshes = []
    for options in ([], ["--remesh"]):
        out = tmp_path / f"{len(options)}.ply"
        inputs = ["--segmentation", str(liver.segmentation), "--label", str(LIVER_LABEL)]
        assert main(["refine", "-o", str(out), *inputs, *quick, *options]) == 0
        meshes.append(read_mesh(out))
    plain, even = (compare(mesh, meshes[0], samples=2_000, self_intersections=False) for mesh in meshes)
    assert even.quality > max(0.9, plain.quality)
    assert even.mean_distance < 6.0


def test_warnings_are_one_line_each(
    liver: LiverCase, quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both.stl"
    assert main(["refine", "-o", str(out), "--segmentation", str(liver.segmentation), *quick]) == 0
    error = capsys.readouterr().err
    assert all(line.startswith("dals: warning:") for line in error.splitlines())
    assert "3, 7" in error
    assert out.exists()
