"""Odd input and output: one clear sentence and status 2, or the right thing; never a lost file, never a hang."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from command import PRECIOUS, Refused, circle, contents, write_markups, write_table
from liver_case import LIVER_LABEL, LiverCase

from dals.cli import main, refine
from dals.io import meshes
from dals.io.atomic import atomic_path

THREE = [circle(0), circle(1), circle(2)]
HAS_PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name on this system")


@pytest.fixture
def refined(
    ellipsoid_prior_file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run `dals refine` for a step or two; returns the status and what it says on standard error."""
    settings = refine._settings

    def hasty(*given: Any) -> Any:
        return settings(*given).changed(shared_steps=1, local_steps=1, initial_shapes=0, level=2)

    monkeypatch.setattr(refine, "_settings", hasty)

    def run(*arguments: object) -> tuple[int, str]:
        capfd.readouterr()
        given = ["refine", "--prior", ellipsoid_prior_file, "--device", "cpu", "--quiet", *arguments]
        return main([*map(str, given)]), capfd.readouterr().err

    return run


# --- what is written ----------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-o", "--report", "--output-segmentation", "--disagreement"])
@pytest.mark.parametrize("link", ["itself", "link"])
def test_an_output_that_is_an_input(option: str, link: str, refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    suffix = ".ply" if option == "-o" else ".nrrd"
    source = tmp_path / f"mine{suffix}"
    source.write_bytes((liver.mesh if option == "-o" else liver.segmentation).read_bytes())
    target = source
    if link == "link":
        target = tmp_path / f"other{suffix}"
        target.hardlink_to(source)
    given = ["--points", source] if option == "-o" else ["--segmentation", source, "--label", LIVER_LABEL]
    # of two options -o the last one counts
    assert f"would overwrite the input {source}" in refused(*given, option, target)


@pytest.mark.parametrize("option", ["--report", "--output-segmentation"])
def test_an_output_that_is_another_input(option: str, refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nrrd"
    scan.write_bytes(liver.segmentation.read_bytes())
    outputs = {"--output-segmentation": "out.nii.gz", option: scan}
    given = [text for pair in outputs.items() for text in pair]
    assert "would overwrite" in refused("--contours", *liver.contours, "--reference", scan, *given)


def test_a_report_that_is_the_prior(
    refused: Refused, liver: LiverCase, ellipsoid_prior_file: Path, tmp_path: Path
) -> None:
    prior = tmp_path / "mine.safetensors"
    prior.write_bytes(ellipsoid_prior_file.read_bytes())
    assert "would overwrite" in refused("--points", liver.points, "--report", prior, prior=prior)


def test_a_report_in_the_place_of_the_mesh(refused: Refused, liver: LiverCase) -> None:
    assert "the same file" in refused("--points", liver.points, "--report", "./out.stl")


def test_one_mesh_of_several_in_the_place_of_the_report(refused: Refused, liver: LiverCase) -> None:
    labels = ["--label", f"{LIVER_LABEL}:x", "--label", "7:x"]
    error = refused("--segmentation", liver.segmentation, *labels, "--report", "out_7.stl")
    assert "the same file" in error


def test_figures_in_the_place_of_the_truth(
    liver: LiverCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = tmp_path / "truth.ply"
    truth.write_bytes(liver.mesh.read_bytes())
    assert main(["evaluate", str(liver.mesh), str(truth), "--json", str(truth)]) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert truth.read_bytes() == liver.mesh.read_bytes()


@HAS_PIPES
def test_a_pipe_as_output(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.stl")
    assert "pipe or a device" in refused("--points", liver.points, output=tmp_path / "pipe.stl")


def test_a_reference_of_another_place(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    image = sitk.Image(20, 20, 20, sitk.sitkInt16)
    image.SetOrigin((5000.0, 5000.0, 5000.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    given = ["--output-segmentation", "out.nii.gz", "--reference", tmp_path / "scan.nii.gz"]
    assert "No voxel of the image" in refused("--contours", *liver.contours, *given)
    labelled = ["--segmentation", liver.segmentation, "--label", LIVER_LABEL, *given]
    assert "No voxel of the image" in refused(*labelled)


def test_a_reference_that_shows_a_part(refined: Any, liver: LiverCase, tmp_path: Path) -> None:
    middle = liver.truth.vertices.mean(axis=0) * (-1, -1, 1)
    image = sitk.Image(30, 30, 30, sitk.sitkInt16)
    image.SetOrigin((middle - 30).tolist())
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    out = tmp_path / "out.nii.gz"
    given = ["-o", tmp_path / "out.stl", "--output-segmentation", out, "--reference", tmp_path / "scan.nii.gz"]
    status, error = refined("--points", liver.points, *given)
    assert status == 0
    assert "reaches beyond the image" in error
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(out))).any()


@pytest.mark.parametrize("failing", ["report", "label map", "mesh"])
def test_a_disk_that_is_full_leaves_all_outputs_as_they_were(
    failing: str, refined: Any, liver: LiverCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"-o": "out.stl", "--report": "out.json", "--output-segmentation": "out.nii.gz"}
    for name in list(outputs.values())[:2]:
        (tmp_path / name).write_bytes(PRECIOUS)
    before = contents(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    if failing == "mesh":
        monkeypatch.setitem(meshes._WRITERS, ".stl", full)
    elif failing == "report":
        monkeypatch.setattr("dals.cli.cases.json.dumps", full)
    else:
        monkeypatch.setattr("dals.io.label_maps.sitk.WriteImage", full)
    named = [text for option, name in outputs.items() for text in (option, tmp_path / name)]
    status, error = refined("--points", liver.points, "--reference", liver.segmentation, *named)
    assert status == 2
    assert "no space left" in error
    assert contents(tmp_path) == before


# --- options that mean nothing, or too much -----------------------------------------------------


@pytest.mark.parametrize("seed", [str(2**64), "9" * 5000])
def test_a_seed_that_is_too_large(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["refine", "-o", "x.stl", "--points", "a.ply", "--seed", seed])
    assert exit_info.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("dals refine: error: argument --seed")
    assert len(last) < 200


def test_the_largest_seed(refined: Any, liver: LiverCase, tmp_path: Path) -> None:
    status, _ = refined("--points", liver.points, "-o", tmp_path / "out.stl", "--seed", 2**64 - 1)
    assert status == 0


@pytest.mark.parametrize("label", ["0", "-0", "+0", ""])
def test_a_label_of_nothing(label: str, refused: Refused, liver: LiverCase) -> None:
    error = refused("--segmentation", liver.segmentation, f"--label={label}")
    assert ("background" if label else "empty") in error


def test_a_label_of_many_digits(refused: Refused, liver: LiverCase) -> None:
    assert "no segment" in refused("--segmentation", liver.segmentation, "--label", "9" * 5000)


def test_a_label_where_there_is_no_label_map(refused: Refused, liver: LiverCase) -> None:
    assert "--label" in refused("--contours", *liver.contours, "--label", "1")
    assert "--label" in refused("--points", liver.points, "--label", "1")


def test_a_reference_without_a_label_map_to_write(refused: Refused, liver: LiverCase) -> None:
    assert "--output-segmentation" in refused("--points", liver.points, "--reference", liver.segmentation)


# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("output,points", ["a.stl,b.ply", "c.stl,d.ply,e.ply"], "Row 2"),
        ("output,points,points", ["a.stl,b.ply,c.ply"], "points twice"),
        ("output,points", ["a.stl,b.ply", "./A.stl,c.ply"], "the same file"),
        ("output,points", ["a.ply,b.ply", "c.stl,a.ply"], "would overwrite"),
        ("output,points,report", ["a.stl,b.ply,cases.csv"], "would overwrite"),
    ],
)
def test_a_table_that_contradicts_itself(
    header: str, rows: list[str], words: str, refused: Refused, tmp_path: Path
) -> None:
    assert words in refused("--batch", write_table(tmp_path / "cases.csv", header, rows))


@pytest.mark.parametrize("option", ["-o", "--report", "--output-segmentation", "--reference"])
def test_an_option_of_one_case_beside_a_table(option: str, refused: Refused, tmp_path: Path) -> None:
    table = write_table(tmp_path / "cases.csv", "output,points", ["a.stl,b.ply"])
    assert "in its column" in refused("--batch", table, option, "x.nii.gz")


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("output,contours", "a.stl,;", "No file of contours"),
        ("output,points,label", "a.stl,b.ply,1", "label"),
        ("output,segmentation,label", "a.stl,b.nii,0", "background"),
        ("output,points,reference", "a.stl,b.ply,c.nii", "output-segmentation"),
    ],
)
def test_a_row_that_makes_no_sense(header: str, row: str, words: str, refined: Any, tmp_path: Path) -> None:
    status, error = refined("--batch", write_table(tmp_path / "cases.csv", header, [row, ""]))
    assert status == 2
    assert words in error
    assert "Traceback" not in error


def test_cells_of_a_spreadsheet_that_are_empty(refined: Any, liver: LiverCase, tmp_path: Path) -> None:
    rows = [f"{tmp_path / 'out.stl'},{liver.points},,,", ""]
    status, _ = refined("--batch", write_table(tmp_path / "cases.csv", "output,points", rows))
    assert status == 0
    assert (tmp_path / "out.stl").is_file()


# --- files that are none ------------------------------------------------------------------------


@HAS_PIPES
@pytest.mark.parametrize(
    ("option", "suffix"),
    [
        ("--contours", ".mrk.json"),
        *(("--points", suffix) for suffix in (".ply", ".stl", ".xyz", ".npy", ".mrk.json")),
        *(("--segmentation", suffix) for suffix in (".nii.gz", ".nrrd", ".mha")),
        ("--sparse-segmentation", ".nii"),
        ("--batch", ".csv"),
    ],
)
def test_a_pipe_as_input(option: str, suffix: str, refused: Refused, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    assert "pipe or a device" in refused(option, tmp_path / f"pipe{suffix}")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device on this system")
@pytest.mark.parametrize(("option", "suffix"), [("--contours", ".mrk.json"), ("--batch", ".csv"), ("--points", ".xyz")])
def test_a_device_as_input(option: str, suffix: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    assert "pipe or a device" in refused(option, tmp_path / f"zero{suffix}")


@pytest.mark.parametrize(
    ("option", "suffix"), [("--contours", ".mrk.json"), ("--points", ".ply"), ("--segmentation", ".nii")]
)
def test_a_file_that_is_too_large(option: str, suffix: str, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path.parent / f"{tmp_path.name}{suffix}"  # elsewhere: `refused` reads all files of its folder
    with path.open("wb") as file:
        file.truncate(5 << 30)  # sparse: takes no space
    try:
        assert "no more than" in refused(option, path)
    finally:
        path.unlink()


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--segmentation", "--sparse-segmentation", "--reference"])
def test_a_voxel_size_of_zero(option: str, refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    path = tmp_path / "zero.nii"
    sitk.WriteImage(sitk.ReadImage(str(liver.sparse)), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 80, 0.0)
    path.write_bytes(bytes(content))
    given: list[object] = [option, path]
    if option == "--reference":
        given += ["--points", liver.points, "--output-segmentation", "out.nii.gz"]
    assert "voxel size of 0 x" in refused(*given)


def test_probabilities_that_are_no_numbers(refused: Refused, liver: LiverCase, tmp_path: Path) -> None:
    image = sitk.Cast(sitk.ReadImage(str(liver.segmentation)) == LIVER_LABEL, sitk.sitkFloat32)
    image[0, 0, 0] = float("nan")
    sitk.WriteImage(image, str(tmp_path / "p.nii.gz"))
    given = ["--segmentation", liver.segmentation, "--label", LIVER_LABEL, "--probabilities", tmp_path / "p.nii.gz"]
    assert "p.nii.gz holds values that are not finite" in refused(*given)


def test_a_picture_in_colours(refused: Refused, tmp_path: Path) -> None:
    picture = sitk.GetImageFromArray(np.full((9, 9, 9, 3), 200, np.uint8), isVector=True)
    sitk.WriteImage(picture, str(tmp_path / "photo.nii.gz"))
    assert "as colours do" in refused("--segmentation", tmp_path / "photo.nii.gz")


@pytest.mark.parametrize("name", ["photo.nii.gz", "photo.nrrd", "photo.mha"])
def test_a_png_under_another_name(name: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"junk" * 100)
    assert name in refused("--segmentation", tmp_path / name)  # and `refused` sees that there is one line only


@pytest.mark.parametrize("named", ["plain.nii.gz", "compressed.nii"])
def test_a_segmentation_under_the_wrong_name(named: str, refined: Any, liver: LiverCase, tmp_path: Path) -> None:
    written = tmp_path / ("a.nii" if named.endswith(".gz") else "a.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(liver.segmentation)) == LIVER_LABEL, str(written))
    written.rename(tmp_path / named)
    given = ["--points", liver.points, "--reference", tmp_path / named, "--output-segmentation", tmp_path / "out.nrrd"]
    status, _ = refined(*given, "-o", tmp_path / "out.stl")
    assert status == 0


def test_voxels_outside_the_folder_of_their_header(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "secret.raw").write_bytes(bytes(1000))
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 10 10 10\nencoding: raw\ndata file: ../secret.raw\n\n"
    (tmp_path / "case" / "a.nrrd").write_text(header)
    assert "outside its folder" in refused("--segmentation", tmp_path / "case" / "a.nrrd")


# --- contours and points ------------------------------------------------------------------------


def test_a_contour_that_crosses_itself(refused: Refused, tmp_path: Path) -> None:
    eight = circle(2)
    eight[:, 1] *= np.sign(eight[:, 0])
    path = write_markups(tmp_path / "eight.mrk.json", [*THREE[:2], eight])
    assert "'curve 3' crosses itself" in refused("--contours", path)


def test_clicks_in_no_order(refused: Refused, tmp_path: Path) -> None:
    shuffled = np.random.default_rng(1).permutation(circle(2))
    path = write_markups(tmp_path / "shuffled.mrk.json", [*THREE[:2], shuffled])
    assert "'curve 3' crosses itself" in refused("--contours", path)


def test_the_loops_of_a_tremor(refined: Any, tmp_path: Path) -> None:
    shaky = circle(2, count=400) + np.random.default_rng(0).normal(0, 1.0, (400, 3)) * [1, 1, 0]
    path = write_markups(tmp_path / "shaky.mrk.json", [*THREE[:2], shaky])
    status, _ = refined("--contours", path, "-o", tmp_path / "out.stl")
    assert status == 0


def test_points_on_one_plane(refused: Refused, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "flat.xyz", circle(1, count=100))
    assert "on one plane" in refused("--points", tmp_path / "flat.xyz")


def test_an_stl_that_promises_billions_of_triangles(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "huge.stl").write_bytes(bytes(80) + struct.pack("<I", 4_000_000_000) + bytes(500))
    assert "4,000,000,000 triangles" in refused("--points", tmp_path / "huge.stl")


# --- data sets ----------------------------------------------------------------------------------


def prepared(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments), "--workers", "1"])


def test_a_data_set_that_came_to_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "junk.nii.gz").write_bytes(b"junk")
    before = contents(tmp_path)
    assert prepared(tmp_path / "new" / "set", tmp_path / "junk.nii.gz") == 2
    assert "No case could be used" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_disk_that_is_full_at_the_first_shape(
    tmp_path: Path, liver: LiverCase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dals.dataset.cases.normalise", lambda *_, **__: None)
    monkeypatch.setattr("dals.dataset.cases.write_shape", _written_with(full))
    assert prepared(tmp_path / "new" / "set", liver.mesh) == 2
    assert "no space left" in capsys.readouterr().err
    assert contents(tmp_path) == {}


def _written_with(save: Callable[..., None]) -> Callable[..., None]:
    def write(_shape: Any, path: Path, **_: Any) -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half a shape")
            save()

    return write


def test_a_data_set_in_the_folder_of_another_program(
    tmp_path: Path, liver: LiverCase, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "CT"}, "numTraining": 131}')
    before = contents(tmp_path)
    assert prepared(tmp_path, liver.mesh) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert contents(tmp_path) == before


@HAS_PIPES
def test_a_pipe_in_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.nii.gz")
    assert prepared(tmp_path / "set", tmp_path / "pipe.nii.gz") == 2
    assert "pipe or a device" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["0", "liver"])
def test_a_data_set_of_the_background(label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        prepared(tmp_path / "set", "a.nrrd", "--label", label)
    assert exit_info.value.code == 2
    assert "--label" in capsys.readouterr().err.splitlines()[-1]
