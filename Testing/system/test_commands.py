"""`dals` beside `dals refine`: tables of cases, evaluate, info, demo, and a prior from start to end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command import contents, dals, write_table
from liver_case import LIVER_LABEL, LiverCase

from dals import __version__
from dals.cli import main
from dals.demo.offscreen import can_render
from dals.demo.synthetic_liver import synthetic_liver
from dals.evaluation.metrics import compare
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_label_map, write_label_map
from dals.io.meshes import read_mesh, write_mesh
from dals.model.prior import load_prior
from dals.model.template import icosphere


def test_help_and_version() -> None:
    version, commands = dals("--version"), dals("--help")
    assert version.stdout.strip() == f"dals {__version__}"
    for name in ("prepare", "train", "refine", "evaluate", "info", "demo"):
        assert name in commands.stdout


@pytest.mark.parametrize("command", ["prepare", "train", "refine", "evaluate", "info", "demo"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == 0
    assert f"usage: dals {command}" in capsys.readouterr().out


# --- a table of cases ---------------------------------------------------------------------------


def test_one_failing_case_does_not_stop_the_others(
    liver: LiverCase, ellipsoid_prior_file: Path, tmp_path: Path
) -> None:
    table = write_table(
        tmp_path / "cases.csv",
        "output,contours,segmentation,points,label,report",
        [
            f"first.stl,,{liver.segmentation},,{LIVER_LABEL},first.json",
            f"second.stl,{liver.contours[0]},,,,",
            "third.stl,,,nowhere.ply,,",
            f"fourth.ply,,,{liver.points},,",
        ],
    )
    done = dals("refine", "--batch", table, "--prior", ellipsoid_prior_file, "--level", 2, "--device", "cpu", "--quiet")
    assert done.returncode == 2
    assert set(contents(tmp_path)) == {"cases.csv", "first.stl", "first.json", "fourth.ply"}
    assert "2 of 4 cases refined, 2 failed." in done.stdout
    assert "case 2 (second.stl): All contours lie on the same plane" in done.stderr
    assert "case 3 (third.stl): " in done.stderr
    assert "Traceback" not in done.stderr
    assert read_mesh(tmp_path / "first.stl").volume > 0


# --- evaluate -----------------------------------------------------------------------------------


def test_a_surface_evaluated_against_itself(
    liver: LiverCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    assert main(["evaluate", str(liver.mesh), str(liver.mesh), "--samples", "5000", "--json", str(out)]) == 0
    (figures,) = json.loads(out.read_text(encoding="utf-8")).values()
    assert figures["millimetres"]["volume_error"] == pytest.approx(0, abs=1e-6)
    assert figures["millimetres"]["mean_distance"] < 3.0  # two samplings of one surface
    assert figures["canonical"]["f_score_2"] == figures["millimetres"]["f_score_2"] > 90
    radius = figures["millimetres"]["bounding_radius"]
    assert figures["canonical"]["hausdorff"] * radius == pytest.approx(figures["millimetres"]["hausdorff"])
    printed = capsys.readouterr().out
    assert "chamfer" in printed
    assert "canonical" in printed


def test_a_surface_evaluated_against_meshes_and_label_maps(liver: LiverCase, tmp_path: Path) -> None:
    moved, out = tmp_path / "moved.stl", tmp_path / "figures.json"
    write_mesh(moved, TriangleMesh(liver.truth.vertices + np.array([6.0, 0, 0]), liver.truth.faces), space="RAS")
    done = dals(
        *("evaluate", moved, liver.mesh, liver.segmentation, "--label", LIVER_LABEL),
        *("--samples", 20_000, "--json", out),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert list(figures) == [str(liver.mesh), str(liver.segmentation)]
    for found in figures.values():
        assert 2.0 < found["millimetres"]["mean_distance"] < 5.0
        assert abs(found["millimetres"]["volume_error"]) < 3.0


# --- info ---------------------------------------------------------------------------------------


def test_info_lists_the_priors() -> None:
    done = dals("info")
    assert done.returncode == 0
    listed = dict(line.split("\t") for line in done.stdout.splitlines())
    assert Path(listed["liver"]).is_file()


def test_info_shows_a_card(ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(ellipsoid_prior_file)]) == 0
    assert "licence: Apache-2.0" in capsys.readouterr().out
    assert main(["info", "liver"]) == 0
    text = capsys.readouterr().out
    prior = load_prior("liver")
    assert f"sha256: {prior.digest}" in text
    assert "name: liver" in text
    assert all(key.replace("_", " ") in text for key in prior.card)
    assert main(["info", "liver", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == prior.digest
    assert facts["training_shapes"] == len(prior.latents)
    assert facts["latent_size"] == 128
    assert facts["radius_mm"][0] < facts["radius_mm"][1]


# --- demo ---------------------------------------------------------------------------------------


def test_the_demo_refines_its_own_case(tmp_path: Path) -> None:
    done = dals("demo", "--output", tmp_path / "demo", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
    written = contents(tmp_path / "demo")
    expected = {"sagittal.mrk.json", "coronal.mrk.json", "axial.mrk.json", "damaged.nii.gz", "CT.nii.gz"}
    off = {}
    for kind in ("contours", "contours_and_CT", "segmentation"):
        expected |= {f"from_{kind}.stl", f"from_{kind}.json"}
        mesh = read_mesh(tmp_path / "demo" / f"from_{kind}.stl")
        off[kind] = compare(mesh, synthetic_liver(), samples=20_000, self_intersections=False).mean_distance
    assert max(off.values()) < 6.0
    assert off["contours_and_CT"] < 0.8 * off["contours"]
    if can_render():
        expected.add("demo.png")
        assert (written["demo.png"] or b"").startswith(b"\x89PNG")
    assert set(written) == expected
    rows = [line for line in done.stdout.splitlines() if line.startswith(("contours", "segmentation"))]
    assert len(rows) == 3
    assert all("mm" in row and "%" in row for row in rows)


# --- from label maps to a prior to a surface ----------------------------------------------------


def test_from_label_maps_to_a_prior_to_a_surface(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps").mkdir()
    for number, radii in enumerate(((24, 18, 15), (22, 20, 14), (25, 16, 16), (23, 19, 17))):
        _write_egg(tmp_path / "maps" / f"egg{number}.nii.gz", np.array(radii, dtype=float))
    (tmp_path / "maps" / "broken.nii.gz").write_bytes(b"no image")
    prepare = ["prepare", "shapes", "maps", "--label", "1", "--workers", "1"]
    assert main(prepare) == 0
    printed = capsys.readouterr()
    assert "4 shapes in shapes: 4 made now, 0 already there, 1 not usable." in printed.out
    assert "not usable: broken: " in printed.err
    assert main(prepare) == 0
    assert "0 made now, 4 already there" in capsys.readouterr().out

    options = ["--epochs", "2", "--variants", "1", "--points", "300", "--batch-size", "4", "--device", "cpu"]
    assert main(["train", "shapes", "egg.safetensors", *options]) == 0
    assert "finished after 2 epochs" in capsys.readouterr().out
    prior = load_prior(tmp_path / "egg.safetensors")
    assert len(prior.latents) == 4
    assert 20 < float(prior.scales_mm.mean()) < 26

    refine = ["refine", "-o", "egg.stl", "--prior", "egg.safetensors", "--level", "2", "--device", "cpu", "--quiet"]
    assert main([*refine, "--segmentation", "maps/egg0.nii.gz", "--output-segmentation", "out.nii.gz"]) == 0
    warned = capsys.readouterr().err.splitlines()
    doubts = ("The result differs considerably from the segmentation", "closest typical egg")  # two epochs are few
    assert all(any(doubt in line for doubt in doubts) for line in warned), warned
    truth = read_label_map(tmp_path / "maps" / "egg0.nii.gz")
    assert read_mesh(tmp_path / "egg.stl").volume == pytest.approx(truth.volume, rel=0.35)
    assert read_label_map(tmp_path / "out.nii.gz").array.shape == truth.array.shape
    assert main(["evaluate", "egg.stl", "maps/egg0.nii.gz", "--samples", "5000"]) == 0

    monkeypatch.setenv("DALS_PRIORS", os.pathsep.join([str(tmp_path), os.environ.get("DALS_PRIORS", "")]))
    assert main(["info"]) == 0
    assert "egg\t" in capsys.readouterr().out


def _write_egg(path: Path, radii: np.ndarray) -> None:
    template = icosphere(3)
    mesh = TriangleMesh(template.vertices * radii + [5.0, -8.0, 12.0], template.faces)
    matrix = np.diag([1.5, 1.5, 2.0, 1.0])
    matrix[:3, 3] = [-27.0, -35.0, -12.0]
    write_label_map(path, mesh_to_label_map(mesh, LabelMap(np.zeros((25, 36, 44), dtype=bool), matrix, "grid")))
