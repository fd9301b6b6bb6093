"""Bad input: one clear sentence, exit 2, nothing written, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from command import PRECIOUS, Refused, circle, contents, environment, write_markups, write_table
from liver_case import FLIP, LIVER_LABEL, LiverCase
from safetensors import safe_open
from safetensors.torch import save_file

from dals.cli import main
from dals.io.label_maps import read_label_map, write_label_map

THREE = [circle(0), circle(1), circle(2)]


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--contours", "--segmentation", "--sparse-segmentation", "--points"])
def test_a_missing_file(option: str, refused: Refused, tmp_path: Path) -> None:
    suffix = {"--contours": "mrk.json", "--points": "ply"}.get(option, "nii.gz")
    error = refused(option, tmp_path / f"nowhere.{suffix}")
    assert f"nowhere.{suffix}" in error
    assert "does not exist" in error


def test_one_missing_file_among_several(refused: Refused, liver: LiverCase) -> None:
    assert "nowhere.json" in refused("--contours", *liver.contours, "nowhere.json")


@pytest.mark.parametrize("option", ["--contours", "--segmentation", "--points"])
def test_a_folder_instead_of_a_file(option: str, refused: Refused, tmp_path: Path) -> None:
    suffix = {"--contours": ".mrk.json", "--points": ".ply"}.get(option, ".nii.gz")
    (tmp_path / f"folder{suffix}").mkdir()
    assert f"folder{suffix}" in refused(option, tmp_path / f"folder{suffix}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    locked = tmp_path / "locked.mrk.json"
    locked.write_bytes(liver.contours[0].read_bytes())
    locked.chmod(0)
    try:
        assert main(["refine", "-o", "x.stl", "--contours", str(locked)]) == 2
    finally:
        locked.chmod(0o600)


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[1, 2]", b'{"markups": 3}', b"\xff\xfe\x00\x01", b'{"a": {}}'])
def test_what_is_no_markups_file(content: bytes, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "curve.mrk.json"
    path.write_bytes(content)
    assert "not a Slicer markups file" in refused("--contours", path)


@pytest.mark.parametrize("kind", ["garbage", "empty", "truncated", "text"])
def test_an_unreadable_segmentation(kind: str, refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    whole = liver.sparse.read_bytes()
    content = {
        "garbage": bytes(np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8)),
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "text": b"this is no image\n",
    }[kind]
    path = tmp_path / "damaged.nii.gz"
    path.write_bytes(content)
    assert "damaged.nii.gz" in refused("--segmentation", path)


@pytest.mark.parametrize("name", ["points.ply", "points.stl", "points.npy", "points.csv", "points.docx"])
def test_unreadable_points(name: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nobody knows what this is")
    assert name in refused("--points", tmp_path / name)


# --- contours -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_curve_with_fewer_than_three_points(count: int, refused: Refused, tmp_path: Path) -> None:
    path = write_markups(tmp_path / "short.mrk.json", [*THREE[:2], THREE[2][:count]])
    error = refused("--contours", path)
    assert "curve 3" in error
    assert "at least 3" in error


def test_points_on_no_common_plane(refused: Refused, tmp_path: Path) -> None:
    bent = circle(2)
    bent[:, 2] += 25 * np.sin(2 * np.linspace(0, 2 * np.pi, len(bent), endpoint=False))
    error = refused("--contours", write_markups(tmp_path / "bent.mrk.json", [*THREE[:2], bent]))
    assert "curve 3" in error
    deviation = float(error.partition(" mm")[0].rpartition(" ")[2])
    assert deviation == pytest.approx(25, abs=3)


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_all_contours_on_one_plane(offset: float, refused: Refused, tmp_path: Path) -> None:
    path = write_markups(tmp_path / "flat.mrk.json", [circle(2), circle(2, offset, radius=60.0)])
    assert "same plane" in refused("--contours", path)


def test_a_single_contour(refused: Refused, liver: LiverCase) -> None:
    assert "same plane" in refused("--contours", liver.contours[0])


def test_contours_that_contradict_each_other(refused: Refused, tmp_path: Path) -> None:
    curves = [circle(0, radius=90.0), circle(1, radius=90.0), circle(2, radius=35.0)]
    error = refused("--contours", write_markups(tmp_path / "odd.mrk.json", curves))
    assert "contradict each other" in error
    assert "curve 3" in error
    assert "mm apart" in error


def test_contours_of_two_patients(refused: Refused, tmp_path: Path) -> None:
    path = write_markups(tmp_path / "two.mrk.json", [*THREE[:2], THREE[2] + [0, 900, 300]])
    assert "contradict each other" in refused("--contours", path)


def test_an_open_curve_of_two_points(refused: Refused, tmp_path: Path) -> None:
    path = write_markups(tmp_path / "open.mrk.json", [*THREE[:2], THREE[2][:2]], kind="Curve")
    assert "an open curve needs at least 3" in refused("--contours", path)


def test_an_open_plane_that_nobody_drew(refused: Refused, tmp_path: Path) -> None:
    path = write_markups(tmp_path / "three.mrk.json", THREE)
    assert "no contour named 'axial'" in refused("--contours", path, "--open-plane", "axial")


def test_an_open_plane_of_points(refused: Refused, tmp_path: Path) -> None:
    points = tmp_path / "points.txt"
    np.savetxt(points, np.concatenate(THREE))
    assert "--open-plane can only be given with contours" in refused("--points", points, "--open-plane", "axial")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_coordinates_that_are_no_numbers(value: str, refused: Refused, tmp_path: Path) -> None:
    path = write_markups(tmp_path / "nan.mrk.json", [*THREE[:2], THREE[2] + 12345.678])
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("12345.678", value, 1), encoding="utf-8")
    assert "finite" in refused("--contours", path)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_points_that_are_no_numbers(value: str, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text(f"x,y,z\n1,2,3\n4,5,{value}\n7,8,10\n", encoding="utf-8")
    assert "finite" in refused("--points", path)


@pytest.mark.parametrize("rows", ["", "1 2 3\n", "1 2 3\n1 2 3\n1 2 3\n"])
def test_too_few_points(rows: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "points.xyz").write_text(rows, encoding="utf-8")
    assert "point" in refused("--points", tmp_path / "points.xyz")


# --- label maps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--segmentation", "--sparse-segmentation"])
def test_an_empty_label_map(option: str, refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    write_label_map(tmp_path / "none.nii.gz", read_label_map(liver.sparse).empty_like())
    error = refused(option, tmp_path / "none.nii.gz")
    assert "none.nii.gz" in error
    assert "empty" in error


@pytest.mark.parametrize("label", ["5", "-1", "²"])
def test_an_absent_label(label: str, refused: Refused, liver: LiverCase) -> None:
    error = refused("--segmentation", liver.segmentation, f"--label={label}")
    assert label in error


def test_an_absent_label_says_which_there_are(refused: Refused, liver: LiverCase) -> None:
    assert "3, 7" in refused("--segmentation", liver.segmentation, "--label", "5")


def test_a_segmentation_that_is_no_label_map(refused: Refused, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((9, 9, 9), dtype=np.float32))
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    assert "no label map" in refused("--segmentation", tmp_path / "ct.nii.gz")
    array = np.ones((9, 9, 9), dtype=np.float32)
    array[4, 4, 4] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "nan.nrrd"))
    assert "finite" in refused("--segmentation", tmp_path / "nan.nrrd")


def test_a_full_segmentation_given_as_a_sparse_one(refused: Refused, liver: LiverCase) -> None:
    error = refused("--sparse-segmentation", liver.segmentation, "--label", LIVER_LABEL)
    assert "full segmentation" in error


# --- priors and devices -------------------------------------------------------------------------


def test_an_unknown_prior_lists_those_there_are(
    refused: Refused, liver: LiverCase, ellipsoid_prior_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALS_PRIORS", str(ellipsoid_prior_file.parent))
    error = refused("--points", liver.points, prior="pancreas")
    assert '"pancreas"' in error
    assert "available: " in error
    assert "ellipsoid" in error.partition("available: ")[2]


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "tampered", "newer", "foreign"])
def test_a_prior_that_cannot_be_used(
    damage: str, refused: Refused, liver: LiverCase, ellipsoid_prior_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.safetensors"
    whole = ellipsoid_prior_file.read_bytes()
    with safe_open(ellipsoid_prior_file, framework="pt") as file:
        metadata, tensors = dict(file.metadata()), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    words = "bad.safetensors"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) * 2 // 3])
        words = "damaged or incomplete"
    elif damage == "text":
        path.write_text("no prior at all" * 50)
    elif damage == "tampered":
        path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
        words = "changed after it was made"
    elif damage == "newer":
        save_file(tensors, path, {**metadata, "format_version": "99"})
        words = "update DALSRefine"
    elif damage == "foreign":
        save_file(tensors, path)
        words = "not a shape prior"
    assert words in refused("--points", liver.points, prior=path)


def test_cuda_asked_for_and_absent(refused: Refused, liver: LiverCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "CUDA" in refused("--points", liver.points, "--device", "cuda")


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "", "cpu:99x"])
def test_an_unknown_device(device: str, refused: Refused, liver: LiverCase) -> None:
    assert "device" in refused("--points", liver.points, "--device", device)


# --- outputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-o", "--report", "--output-segmentation"])
def test_a_missing_output_folder(option: str, refused: Refused, liver: LiverCase) -> None:
    name = {"-o": "liver.stl", "--report": "liver.json"}.get(option, "liver.nii.gz")
    place = Path("nowhere") / name
    error = refused("--segmentation", liver.segmentation, "--label", LIVER_LABEL, option, place)
    assert "nowhere does not exist" in error


def test_an_output_folder_that_is_a_file(refused: Refused, liver: LiverCase) -> None:
    assert "out.json is not a folder" in refused("--points", liver.points, output="out.json/liver.stl")


def test_an_output_that_is_a_folder(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    (tmp_path / "folder.stl").mkdir()
    assert "is a folder" in refused("--points", liver.points, output=tmp_path / "folder.stl")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root ignores permission bits")
def test_an_output_folder_that_is_not_writable(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    try:
        assert "not writable" in refused("--points", liver.points, output=locked / "out.stl")
    finally:
        locked.chmod(0o700)


@pytest.mark.parametrize("name", ["liver.xyz", "liver", "liver.vtk", "liver.stl.gz"])
def test_an_unknown_output_extension(name: str, refused: Refused, liver: LiverCase) -> None:
    assert ".stl, .ply, .obj, .vtp" in refused("--points", liver.points, output=name)


def test_an_unknown_label_map_extension(refused: Refused, liver: LiverCase) -> None:
    arguments = ["--segmentation", liver.segmentation, "--label", LIVER_LABEL, "--output-segmentation", "mask.png"]
    assert ".nii.gz" in refused(*arguments)


def test_a_label_map_without_a_grid(refused: Refused, liver: LiverCase) -> None:
    assert "--reference" in refused("--contours", *liver.contours, "--output-segmentation", "mask.nii.gz")


def test_a_reference_that_is_no_image(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(b"no image")
    arguments = ["--output-segmentation", "mask.nii.gz", "--reference", tmp_path / "scan.nii.gz"]
    assert "scan.nii.gz" in refused("--contours", *liver.contours, *arguments)


def test_no_output_named(liver: LiverCase, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", "--points", str(liver.points)]) == 2
    assert "-o OUT.stl" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "x.stl"],
        ["-o", "x.stl", "--points", "a.ply", "--segmentation", "b.nii"],
        ["-o", "x.stl", "--points", "a.ply", "--level", "9"],
        ["-o", "x.stl", "--points", "a.ply", "--seed", "one"],
        ["-o", "x.stl", "--points", "a.ply", "--seed", "-1"],
        ["-o", "x.stl", "--contours"],
    ],
)
def test_a_command_that_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["refine", *arguments])
    assert exit_info.value.code == 2
    assert "dals refine: error:" in capsys.readouterr().err


# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("output,points", []),
        ("output,points,colour", ["a.stl,b.ply,red"]),
        ("points", ["b.ply"]),
    ],
    ids=["empty", "unknown column", "no output"],
)
def test_a_table_that_cannot_be_used(header: str, rows: list[str], refused: Refused, tmp_path: Path) -> None:
    assert "cases.csv" in refused("--batch", write_table(tmp_path / "cases.csv", header, rows))


def test_a_table_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    assert "cases.csv" in refused("--batch", tmp_path / "cases.csv")


# --- what is odd but can be done: a warning, and the result -------------------------------------


def warned(arguments: list[object], out: Path, prior: Path, capfd: pytest.CaptureFixture[str]) -> str:
    given = ["refine", "-o", out, *arguments, "--prior", prior, "--device", "cpu", "--level", "2", "--quiet"]
    assert main([*map(str, given)]) == 0
    assert out.stat().st_size > 1000
    error = capfd.readouterr().err
    assert "Traceback" not in error
    return error


def test_a_segmentation_at_the_border_is_warned_of(
    liver: LiverCase, ellipsoid_prior_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = read_label_map(liver.segmentation, label=LIVER_LABEL)
    first = np.flatnonzero(whole.array.any(axis=(1, 2)))[0]
    image = sitk.ReadImage(str(liver.segmentation))
    sitk.WriteImage(image[:, :, int(first) + 3 :] == LIVER_LABEL, str(tmp_path / "cut.nii.gz"))
    error = warned(["--segmentation", tmp_path / "cut.nii.gz"], tmp_path / "out.stl", ellipsoid_prior_file, capfd)
    assert "warning" in error
    assert "touches the image's border" in error


@pytest.mark.parametrize("kind", ["contours", "points"])
def test_metres_are_warned_of(
    kind: str, liver: LiverCase, ellipsoid_prior_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if kind == "contours":
        metres = [points * FLIP / 1000 for points in liver.contours_ras]
        arguments: list[object] = ["--contours", write_markups(tmp_path / "metres.mrk.json", metres)]
    else:
        np.savetxt(tmp_path / "metres.xyz", np.loadtxt(liver.points) / 1000)
        arguments = ["--points", tmp_path / "metres.xyz"]
    error = warned(arguments, tmp_path / "out.stl", ellipsoid_prior_file, capfd)
    assert "metres instead of millimetres" in error


def test_another_organ_is_warned_of(
    liver: LiverCase, ellipsoid_prior_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    np.savetxt(tmp_path / "small.xyz", np.loadtxt(liver.points) / 8)
    error = warned(["--points", tmp_path / "small.xyz"], tmp_path / "out.stl", ellipsoid_prior_file, capfd)
    assert "another organ" in error


# --- interruptions and failures on the way ------------------------------------------------------


@pytest.mark.parametrize("failure", ["disk full", "cancelled"])
def test_a_failure_on_the_way_leaves_the_old_output(
    failure: str,
    liver: LiverCase,
    ellipsoid_prior_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.stl"
    out.write_bytes(PRECIOUS)

    def fail(*_: Any, **__: Any) -> None:
        if failure == "cancelled":
            raise KeyboardInterrupt
        raise OSError(28, "No space left on device")

    if failure == "disk full":
        monkeypatch.setitem(sys.modules["dals.io.meshes"]._WRITERS, ".stl", fail)
    else:
        monkeypatch.setattr("dals.organ_fit.fit", fail)
    arguments = ["refine", "-o", out, "--points", liver.points, "--prior", ellipsoid_prior_file, "--level", "2"]
    status = main([*map(str, arguments), "--quiet", "--device", "cpu"])
    assert status == (130 if failure == "cancelled" else 2)
    assert contents(tmp_path) == {"out.stl": PRECIOUS}
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("dals: warning:")]
    assert len(errors) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_during_a_fit(liver: LiverCase, tmp_path: Path) -> None:
    out = tmp_path / "out.stl"
    out.write_bytes(PRECIOUS)
    arguments = ["refine", "-o", out, "--contours", *liver.contours, "--device", "cpu", "--level", "5"]
    command = [sys.executable, "-m", "dals", *map(str, [*arguments, "--report", tmp_path / "out.json"])]
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # In a background job of a shell it is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(2)]  # the second one when the fit is under way
        assert all("Refining" in line for line in told)
        process.send_signal(signal.SIGINT)
        printed, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("dals refine: stopped;")
    assert contents(tmp_path) == {"out.stl": PRECIOUS}


def test_other_commands_refuse_as_politely(
    liver: LiverCase, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "card.json").write_text(json.dumps([1]), encoding="utf-8")
    commands: list[list[object]] = [
        ["info", "pancreas"],
        ["info", "none.safetensors"],
        ["evaluate", "none.stl", liver.mesh],
        ["evaluate", liver.mesh, "none.nii.gz"],
        ["evaluate", liver.mesh, liver.segmentation, "--label", "55"],
        ["evaluate", liver.mesh, liver.mesh, "--samples", "100", "--json", "none/figures.json"],
        ["prepare", "out", "nothing-*.nii.gz"],
        ["prepare", "file", liver.mesh],
        ["train", "nothing", "liver.safetensors"],
        ["train", "nothing", "liver.safetensors", "--card", "card.json"],
        ["demo", "--prior", "pancreas"],
        ["demo", "--output", "file"],
    ]
    before = contents(tmp_path)
    for command in commands:
        assert main([*map(str, command)]) == 2, command
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith(f"dals {command[0]}: "), error
        assert "Traceback" not in error
        assert contents(tmp_path) == before, command
