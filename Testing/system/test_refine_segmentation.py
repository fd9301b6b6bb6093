"""`dals refine` on full segmentations: probabilities, several organs at once, parts, and what is odd about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from command import contents, dals, write_table

from dals.cli import main
from dals.evaluation.metrics import dice
from dals.geometry.components import Components
from dals.geometry.label_map import LabelMap
from dals.geometry.surface_distance import signed_distances
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.label_maps import Labelled, read_label_map, write_label_map, write_label_maps
from dals.io.meshes import read_mesh

RADII = np.array([95.0, 75.0, 60.0])
RIGHT, LEFT = np.array([90.0, 0.0, 0.0]), np.array([-90.0, 0.0, 10.0])
SPACING = np.array([4.0, 4.0, 5.0])
SIZE = np.array([110, 50, 36])


def grid() -> LabelMap:
    matrix = np.diag([*SPACING, 1.0])
    matrix[:3, 3] = -0.5 * SPACING * (SIZE - 1)
    return LabelMap(np.zeros(SIZE[::-1], dtype=bool), matrix, "grid")


def depth(centre: np.ndarray, radii: np.ndarray = RADII) -> np.ndarray:
    """About the distance from an ellipsoid in millimetres, positive inside, on the grid."""
    k, j, i = np.indices(grid().array.shape)
    ras = np.stack([i, j, k], axis=-1) * SPACING + grid().ijk_to_ras[:3, 3]
    return (1 - np.linalg.norm((ras - centre) / radii, axis=-1)) * radii.min()


def write_image(path: Path, array: np.ndarray, *, shift: float = 0.0) -> Path:
    vector = array.ndim == 4 and array.shape[-1] < 5
    image = sitk.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        lps = swap_lps_ras_matrix(grid().ijk_to_ras)
        image.SetOrigin((lps[:3, 3] + [shift, 0, 0]).tolist())
        image.SetSpacing(SPACING.tolist())
        image.SetDirection((lps[:3, :3] / SPACING).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


@dataclass(frozen=True)
class Files:
    folder: Path
    prior: Path
    organ: Path
    """One ellipsoid, on the left."""
    pair: Path
    """Two that do not touch, in one label."""
    neighbours: Path
    """Two that touch, the second with a bite of the first: segments `large organ` (4) and `small` (2)."""
    sure: np.ndarray
    """Probabilities of `organ`."""

    def probabilities(self, name: str, array: np.ndarray | None = None, **changed: float) -> Path:
        return write_image(self.folder / name, self.sure if array is None else array, **changed)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, ellipsoid_prior_file: Path) -> Files:
    folder = tmp_path_factory.mktemp("segmentations")
    left, right = depth(LEFT) > 0, depth(RIGHT, 0.95 * RADII) > 0
    write_label_map(folder / "organ.nii.gz", grid().with_array(left))
    far = depth(LEFT - np.array([5, 0, 10]), 0.9 * RADII) > 0
    write_label_map(
        folder / "pair.nii.gz", grid().with_array(far | (depth(RIGHT + np.array([15, 0, 0]), 0.85 * RADII) > 0))
    )
    labelled = [Labelled(grid().with_array(right), 4, "large organ"), Labelled(grid().with_array(left), 2, "small")]
    write_label_maps(folder / "two.seg.nrrd", labelled)
    sure = (1 / (1 + np.exp(-depth(LEFT) / 3))).astype(np.float32)
    return Files(
        folder, ellipsoid_prior_file, folder / "organ.nii.gz", folder / "pair.nii.gz", folder / "two.seg.nrrd", sure
    )


QUICK = ("--level", "2", "--device", "cpu", "--quiet")

Refused = Callable[..., str]


@pytest.fixture
def refused(
    files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Refused:
    """Run what must not work, and see that it says so in one line before any fit; returns that line."""
    for name in ("fit", "edited_fit"):
        monkeypatch.setattr(f"dals.organ_fit.{name}", lambda *_, **__: pytest.fail("it went as far as fitting"))

    def refuse(*arguments: object) -> str:
        given = ["refine", "-o", tmp_path / "out.stl", "--prior", files.prior, *QUICK, *arguments]
        capfd.readouterr()
        assert main(list(map(str, given))) == 2
        error = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("dals: warning:")]
        assert len(error) == 1
        assert error[0].startswith("dals refine: ")
        assert contents(tmp_path) == {}
        return error[0]

    return refuse


# --- probabilities ------------------------------------------------------------------------------


def test_probabilities_go_with_a_segmentation(files: Files, tmp_path: Path) -> None:
    probabilities = files.probabilities("sure.nii.gz")
    arguments = ["--segmentation", files.organ, "--probabilities", probabilities, "--prior", files.prior, *QUICK]
    done = dals("refine", "-o", "out.stl", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_mesh(tmp_path / "out.stl").volume == pytest.approx(4 / 3 * np.pi * RADII.prod(), rel=0.15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda sure: sure * 255, "divide them by 255"),
        (lambda sure: sure * 100, "divide them by 100"),
        (lambda sure: sure * 20 - 10, "softmax or sigmoid"),
        (lambda sure: np.where(sure > 0.9, np.float32(np.nan), sure), "not finite"),
        (lambda sure: np.stack([1 - sure, sure], axis=-1), "2 values for each voxel; hand over the organ's own"),
        (lambda sure: np.broadcast_to(sure, (5, *sure.shape)), "three-dimensional.*hand over the organ's own"),
        (lambda sure: sure[:, :-2], "110 x 48 x 36 voxels instead of 110 x 50 x 36"),
    ],
    ids=["grey", "percent", "logits", "nan", "channels", "4-D", "size"],
)
def test_probabilities_that_cannot_be_used(
    change: Callable[[np.ndarray], np.ndarray], words: str, files: Files, refused: Refused
) -> None:
    changed = files.probabilities("changed.nrrd", np.ascontiguousarray(change(files.sure)))
    error = refused("--segmentation", files.organ, "--probabilities", changed)
    assert "changed.nrrd" in error
    assert re.search(words, error)


def test_probabilities_of_another_place(files: Files, refused: Refused) -> None:
    shifted = files.probabilities("shifted.nrrd", shift=2.5)
    assert "2.5 mm away" in refused("--segmentation", files.organ, "--probabilities", shifted)


@pytest.mark.parametrize("kind", ["points", "contours", "sparse-segmentation"])
def test_probabilities_of_something_else(kind: str, files: Files, refused: Refused) -> None:
    error = refused(f"--{kind}", files.organ, "--probabilities", files.probabilities("sure.nii.gz"))
    assert "--probabilities can only be given with a full segmentation" in error


# --- several organs -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_organs(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organs")
    labels = ["--label", f"large organ:{files.prior}", "--label", f"2:{files.prior}"]
    outputs = ["--output-segmentation", "mask.nii.gz", "--report", "report.json"]
    done = dals(
        *("refine", "-o", "out.stl", "--segmentation", files.neighbours, *labels, *outputs, *QUICK[:-1]), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout, encoding="utf-8")
    (folder / "stderr").write_text(done.stderr, encoding="utf-8")
    return folder


def test_each_organ_is_written(files: Files, two_organs: Path) -> None:
    written = {"out_large_organ.stl", "out_2.stl", "mask.nii.gz", "report.json"}
    assert set(contents(two_organs)) == written | {"stdout", "stderr"}
    reports = json.loads((two_organs / "report.json").read_text(encoding="utf-8"))["labels"]
    assert list(reports) == ["large organ", "2"]
    for name, label in (("out_large_organ.stl", "large organ"), ("out_2.stl", "2")):
        assert read_mesh(two_organs / name).volume / 1e3 == pytest.approx(reports[label]["volume_ml"], rel=1e-3)
    values = np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(two_organs / "mask.nii.gz"))))
    assert values.tolist() == [0, 2, 4]
    for value in (2, 4):
        given, filled = (read_label_map(path, label=value) for path in (files.neighbours, two_organs / "mask.nii.gz"))
        assert dice(filled, given) > 0.85


def test_the_progress_names_the_organ(two_organs: Path) -> None:
    error = (two_organs / "stderr").read_text(encoding="utf-8")
    titles = ("Label large organ, 1 of 2: refining ellipsoid (cpu)", "Label 2, 2 of 2: refining ellipsoid (cpu)")
    first, second = (error.index(title) for title in titles)
    assert first < second
    assert (two_organs / "stdout").read_text(encoding="utf-8").count(" iterations in ") == 2


def test_the_organs_do_not_overlap(two_organs: Path) -> None:
    large, small = (read_mesh(two_organs / name) for name in ("out_large_organ.stl", "out_2.stl"))
    reports = json.loads((two_organs / "report.json").read_text(encoding="utf-8"))["labels"]
    assert min(report["gave_way_mm"] for report in reports.values()) > 0.05  # the surfaces did meet
    assert signed_distances(large.vertices, small).min() > 0
    assert signed_distances(small.vertices, large).min() > 0
    matrix = np.diag([1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = [-60, -90, -70]
    fine = LabelMap(np.zeros((140, 180, 120), dtype=bool), matrix, "fine")
    masks = [mesh_to_label_map(mesh, fine).array for mesh in (large, small)]
    assert min(mask.sum() for mask in masks) > 100_000
    assert not (masks[0] & masks[1]).any()
    for mesh, value in ((large, 4), (small, 2)):
        np.testing.assert_array_equal(
            read_label_map(two_organs / "mask.nii.gz", label=value).array, mesh_to_label_map(mesh, grid()).array
        )


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["4:PRIOR", "2"], "--label 2 must be a label, a colon and a prior"),
        (["4:PRIOR", "2:"], "--label 2: must be"),
        (["4", "2"], "need a prior each"),
        (["4:PRIOR", " 4:liver"], "The label 4 is named twice"),
        (["4:PRIOR", "large organ:PRIOR"], "are the same"),
        (["4:PRIOR", "9:PRIOR"], "does not hold the label 9; it holds 2 (small), 4 (large organ)"),
        (["4:PRIOR", "2:nobody's organ"], "a segment whose own name has a colon is given by its value"),
    ],
)
def test_labels_that_cannot_be_used(labels: list[str], words: str, files: Files, refused: Refused) -> None:
    given = [text for label in labels for text in ("--label", label.replace("PRIOR", str(files.prior)))]
    assert words in refused("--segmentation", files.neighbours, *given)


def test_organs_that_do_not_meet_keep_their_voxels(files: Files, tmp_path: Path) -> None:
    first = depth(LEFT - np.array([5, 0, 10]), 0.9 * RADII) > 0
    first[2:4, 2:4, 2:4] = True  # an island, of which it is only proposed that it goes
    second = depth(RIGHT + np.array([15, 0, 0]), 0.85 * RADII) > 0
    given, written = tmp_path / "given.nii.gz", tmp_path / "written.nii.gz"
    write_label_maps(given, [Labelled(grid().with_array(first), 1, "a"), Labelled(grid().with_array(second), 2, "b")])
    labels = ["--label", f"1:{files.prior}", "--label", f"2:{files.prior}", "--edits", "proposed"]
    outputs = ["-o", tmp_path / "out.stl", "--output-segmentation", written]
    assert main(list(map(str, ["refine", "--segmentation", given, *labels, *outputs, *QUICK]))) == 0
    arrays = [sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (given, written)]
    np.testing.assert_array_equal(*arrays)


def test_organs_need_a_full_segmentation_and_no_probabilities(files: Files, refused: Refused) -> None:
    organ = ["--label", f"4:{files.prior}"]
    assert "one at a time" in refused("--segmentation", files.neighbours, *organ, "--side", "left")
    assert "one organ at a time" in refused("--segmentation", files.neighbours, *organ, "--image", files.organ)
    assert "need --segmentation" in refused("--sparse-segmentation", files.neighbours, *organ)
    probabilities = files.probabilities("sure.nii.gz")
    assert "of one organ" in refused("--segmentation", files.neighbours, *organ, "--probabilities", probabilities)


def test_outputs_of_organs_are_checked_first(files: Files, refused: Refused, tmp_path: Path) -> None:
    organs = ["--segmentation", files.neighbours, "--label", f"4:{files.prior}", "--label", f"2:{files.prior}"]
    for option, name in (("-o", "a.stl"), ("--report", "a.json"), ("--output-segmentation", "a.nii.gz")):
        assert "nowhere does not exist" in refused(*organs, option, tmp_path / "nowhere" / name)


def test_nothing_is_written_when_the_second_fit_fails(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dals.edits import edited_fit
    from dals.errors import InputError

    fits = []

    def once(*arguments: object, **options: object) -> object:
        fits.append(arguments)
        if len(fits) == 2:
            raise InputError("The second one fails.")
        return edited_fit(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("dals.organ_fit.edited_fit", once)
    organs = ["--segmentation", files.neighbours, "--label", f"4:{files.prior}", "--label", f"2:{files.prior}"]
    outputs = ["-o", tmp_path / "a.stl", "--report", tmp_path / "a.json", "--output-segmentation", tmp_path / "a.nii"]
    assert main(list(map(str, ["refine", *organs, *outputs, *QUICK]))) == 2
    assert "The second one fails." in capsys.readouterr().err
    assert len(fits) == 2
    assert contents(tmp_path) == {}


# --- parts, and what is odd ---------------------------------------------------------------------


def test_left_and_right_in_one_label(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["refine", "--segmentation", files.pair, "--prior", files.prior, *QUICK]
    done = dals(*run, "-o", "any.stl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left and right in one label" in done.stderr
    assert "on the left (component 1)" in done.stderr
    assert "option component: left or right" in done.stderr
    chosen = ["-o", tmp_path / "right.stl", "--component", "right", "--output-segmentation", tmp_path / "right.nii.gz"]
    assert main(list(map(str, [*run, *chosen]))) == 0
    assert capsys.readouterr().err == ""
    sides = [read_mesh(tmp_path / name).vertices[:, 0].mean() for name in ("any.stl", "right.stl")]
    np.testing.assert_allclose(sides, [-95, 105], atol=10)
    right = Components(read_label_map(files.pair)).chosen("right")
    assert dice(read_label_map(tmp_path / "right.nii.gz"), right) > 0.85


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ("3", "There is no component 3 in the segmentation pair.nii.gz: it has 2 components"),
        ("0", "must be largest, left, right or a rank"),
        ("up", "must be largest, left, right or a rank"),
    ],
)
def test_components_there_are_not(component: str, words: str, files: Files, refused: Refused) -> None:
    assert words in refused("--segmentation", files.pair, "--component", component)


def test_a_side_with_nothing(files: Files, refused: Refused) -> None:
    error = refused("--segmentation", files.organ, "--component", "right")
    assert "The segmentation organ.nii.gz has no component on the right" in error
    assert "only one large component" in error


def test_a_component_of_something_else(files: Files, refused: Refused) -> None:
    assert "only be given with a full segmentation" in refused("--points", files.organ, "--component", "left")


def test_a_mask_of_everything(files: Files, refused: Refused, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("full") / "full.nii.gz"
    write_label_map(path, grid().with_array(np.ones(SIZE[::-1], dtype=bool)))
    assert "inverted mask" in refused("--segmentation", path)


def test_a_mask_that_the_border_cuts(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = read_label_map(files.organ)
    write_label_map(tmp_path / "cut.nii.gz", LabelMap(whole.array[:22], whole.ijk_to_ras))
    arguments = ["-o", tmp_path / "out.stl", "--segmentation", tmp_path / "cut.nii.gz", "--prior", files.prior]
    assert main(list(map(str, ["refine", *arguments, *QUICK]))) == 0
    error = capsys.readouterr().err
    assert "cut.nii.gz touches the image's border, superior: " in error
    assert "% of its surface" in error


def test_a_reference_of_another_grid(files: Files, tmp_path: Path) -> None:
    matrix = np.diag([7.0, 7.0, 7.0, 1.0])
    matrix[:3, 3] = [-220, -100, -90]
    write_label_map(tmp_path / "scan.nrrd", LabelMap(np.zeros((30, 30, 40), dtype=bool), matrix, "scan"))
    outputs = ["-o", tmp_path / "out.stl", "--output-segmentation", tmp_path / "mask.nrrd"]
    inputs = ["--segmentation", files.organ, "--reference", tmp_path / "scan.nrrd", "--prior", files.prior]
    assert main(list(map(str, ["refine", *inputs, *outputs, *QUICK]))) == 0
    mask = read_label_map(tmp_path / "mask.nrrd")
    assert mask.array.shape == (30, 30, 40)
    assert mask.volume == pytest.approx(read_mesh(tmp_path / "out.stl").volume, rel=0.02)


# --- tables -------------------------------------------------------------------------------------


def test_a_table_with_components_and_probabilities(files: Files, tmp_path: Path) -> None:
    files.probabilities("sure.nii.gz")
    table = write_table(
        files.folder / "cases.csv",
        "output,segmentation,label,component,probabilities,disagreement",
        [
            f"{tmp_path}/right.stl,pair.nii.gz,,right,,",
            f"{tmp_path}/sure.stl,organ.nii.gz,1,,sure.nii.gz,{tmp_path}/map.nii.gz",
            f"{tmp_path}/two.stl,two.seg.nrrd,4:liver,,,",
        ],
    )
    done = dals("refine", "--batch", table, "--prior", files.prior, *QUICK)
    assert done.returncode == 2
    assert "2 of 3 cases refined, 1 failed." in done.stdout
    assert "case 3" in done.stderr
    assert "A table holds one organ a row" in done.stderr
    assert set(contents(tmp_path)) == {"right.stl", "sure.stl", "map.nii.gz"}
    assert read_mesh(tmp_path / "right.stl").vertices[:, 0].mean() > 50


# --- edits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bitten(files: Files) -> Path:
    """The organ with a bite out of its top, and an island."""
    organ = read_label_map(files.organ)
    bite = depth(LEFT + np.array([0, 0, RADII[2]]), np.full(3, 26.0)) > 0
    island = depth(RIGHT, np.full(3, 8.0)) > 0
    path = files.folder / "bitten.nii.gz"
    write_label_map(path, organ.with_array((organ.array & ~bite) | island))
    return path


def edits_of(folder: Path, files: Files, source: Path, *options: str) -> dict[str, tuple[bool, float]]:
    """Refine as a process; which edits there are, whether they are applied, and their volumes."""
    arguments = ["-o", "out.stl", "--segmentation", source, "--prior", files.prior, "--report", "report.json"]
    maps = ["--output-segmentation", "out.nii.gz", "--disagreement", "map.seg.nrrd"]
    done = dals("refine", *arguments, *maps, *QUICK, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for edit in report["edits"]:
        assert edit["volume_ml"] < 0.5 or edit["kind"] in done.stdout
    return {edit["kind"]: (edit["applied"], edit["volume_ml"]) for edit in report["edits"]}


def test_edits_are_carried_out_reported_and_on_the_map(files: Files, bitten: Path, tmp_path: Path) -> None:
    found = edits_of(tmp_path, files, bitten)
    assert found["missing part restored"][0]
    assert found["island removed"] == (True, pytest.approx(2.2, abs=0.5))
    given, whole = read_label_map(bitten), read_label_map(files.organ)
    result = read_label_map(tmp_path / "out.nii.gz")
    assert dice(result, whole) > 0.995 > dice(given, whole)
    for name, changed in (("removed", given.array & ~result.array), ("added", result.array & ~given.array)):
        np.testing.assert_array_equal(read_label_map(tmp_path / "map.seg.nrrd", label=name).array, changed)


def test_edits_that_are_only_proposed_change_no_voxel(files: Files, bitten: Path, tmp_path: Path) -> None:
    found = edits_of(tmp_path, files, bitten, "--edits", "proposed")
    assert not any(applied for applied, _ in found.values())
    assert set(found) >= {"missing part restored", "island removed"}
    np.testing.assert_array_equal(read_label_map(tmp_path / "out.nii.gz").array, read_label_map(bitten).array)
    proposed = read_label_map(tmp_path / "map.seg.nrrd", label="addition proposed")
    assert proposed.volume / 1e3 == pytest.approx(found["missing part restored"][1], rel=0.2)


def test_an_organ_that_the_border_cuts_keeps_its_end_or_is_completed(files: Files, tmp_path: Path) -> None:
    organ = read_label_map(files.organ)
    k = int(np.argmax(organ.array.any(axis=(1, 2)))) + 5
    cut = organ.within((slice(k, SIZE[2]), slice(0, SIZE[1]), slice(0, SIZE[0])))
    border = float(cut.ijk_to_ras[2, 3]) - SPACING[2] / 2
    write_label_map(tmp_path / "cut.nii.gz", cut)
    kept, completed = tmp_path / "kept", tmp_path / "completed"
    for folder in (kept, completed):
        folder.mkdir()
    edits_of(kept, files, tmp_path / "cut.nii.gz")
    edits_of(completed, files, tmp_path / "cut.nii.gz", "--complete")
    assert read_mesh(kept / "out.stl").vertices[:, 2].min() == pytest.approx(border, abs=0.5)
    assert read_mesh(completed / "out.stl").vertices[:, 2].min() < border - 5.0
    for folder in (kept, completed):
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert report["cut_by_image_border"]
        assert report["confidence"]["level"] == "medium"
        assert any("border cuts the organ off" in reason for reason in report["confidence"]["reasons"])


@pytest.mark.parametrize("option", [("--edits", "all"), ("--complete",)])
def test_edits_are_those_of_a_full_segmentation(option: tuple[str, ...], files: Files, refused: Refused) -> None:
    assert f"{option[0]} can only be given with a full segmentation" in refused(
        "--points", files.folder / "p.ply", *option
    )


# --- confidence ---------------------------------------------------------------------------------


def test_a_leak_lowers_the_confidence_and_is_on_the_map(files: Files, tmp_path: Path) -> None:
    organ = read_label_map(files.organ)
    leak = depth(LEFT + np.array([RADII[0] + 35, 0, 0]), np.array([55.0, 22.0, 22.0])) > 0
    write_label_map(tmp_path / "leak.nii.gz", organ.with_array(organ.array | leak))
    done = dals(
        "refine", "-o", tmp_path / "out.stl", "--segmentation", tmp_path / "leak.nii.gz", "--prior", files.prior,
        "--disagreement", tmp_path / "map.seg.nrrd", "--report", tmp_path / "report.json", *QUICK,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["agreement"]
    assert found["confidence"] == "medium"
    assert f"Confidence: medium (Dice with the segmentation {found['dice']:.3f})" in done.stdout
    assert all(reason in done.stderr.replace("\n", " ") for reason in found["reasons"])
    removed = read_label_map(tmp_path / "map.seg.nrrd", label="removed")
    assert found["removed_ml"] == pytest.approx(removed.volume / 1e3)
    assert (removed.array & leak).sum() > 0.5 * removed.array.sum()


def test_another_organ_is_marked(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    k, j, i = np.indices(SIZE[::-1])
    cross = (abs(k - 18) < 3) & (abs(j - 25) < 4) & (abs(i - 55) < 45) | (abs(k - 18) < 3) & (abs(i - 55) < 5)
    write_label_map(tmp_path / "cross.nii.gz", grid().with_array(cross & (abs(j - 25) < 22)))
    arguments = ["-o", tmp_path / "out.stl", "--segmentation", tmp_path / "cross.nii.gz", "--prior", files.prior]
    assert main(list(map(str, ["refine", *arguments, *QUICK]))) == 0
    told = capsys.readouterr()
    assert "Confidence: low" in told.out
    assert "does not look like the organ of the prior ellipsoid" in told.err


@pytest.mark.parametrize(
    ("source", "arguments"),
    [("--points", ()), ("--segmentation", ("--label", "4:{prior}", "--label", "2:{prior}"))],
)
def test_a_map_of_disagreement_is_that_of_one_segmentation(
    source: str, arguments: tuple[str, ...], files: Files, refused: Refused, tmp_path: Path
) -> None:
    words = [word.format(prior=files.prior) for word in arguments]
    given = files.neighbours if source == "--segmentation" else files.organ
    assert "isagreement" in refused(source, given, *words, "--disagreement", tmp_path / "map.nrrd")
