"""The table of cases: what a row means, and what happens when one fails."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from dals.cli import main, refine
from dals.cli.batch import run_batch
from dals.cli.cases import Case
from dals.cli.numbers import at_least, component_of, label_of
from dals.errors import DalsWarning, InputError
from dals.model.prior import ShapePrior

CPU = torch.device("cpu")


class Recorder:
    """Stands in for the fit."""

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.failing = failing
        self.seen: list[tuple[Case, ShapePrior]] = []

    def __call__(self, case: Case, prior: ShapePrior) -> dict[str, Any]:
        self.seen.append((case, prior))
        if case.output.name in self.failing:
            raise InputError("That cannot be used.")
        return {"volume_ml": 1500.0, "seconds": 2.0}

    @property
    def cases(self) -> list[Case]:
        return [case for case, _ in self.seen]


def options_of(table: Path, prior: object, **changed: Any) -> argparse.Namespace:
    defaults = {"batch": table, "prior": str(prior), "ras": False, "remesh": False, "side": "auto"}
    defaults |= {"label": None, "component": None, "probabilities": None, "disagreement": None}
    return argparse.Namespace(**{**defaults, **changed})


def table_of(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_rows_become_cases(tmp_path: Path, ellipsoid_prior_file: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "b.ply"
    table = table_of(
        tmp_path,
        "output,contours,segmentation,points,label,output_segmentation,reference,report",
        "a.stl,one.json; two.json ;sub/three.json,,,,mask.nii.gz,scan.nrrd,a.json",
        f"{elsewhere},,seg.nrrd,,3,,,",
        "c.vtp,,seg.seg.nrrd,,liver,,,",
        "d.obj,,,points.csv,,,,",
    )
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file, ras=True, label=["9"]), recorder, CPU) == 0
    a, b, c, d = recorder.cases
    assert a.kind == "contours"
    assert a.sources == tuple(tmp_path / name for name in ("one.json", "two.json", "sub/three.json"))
    assert a.output == tmp_path / "a.stl"
    assert a.output_segmentation == tmp_path / "mask.nii.gz"
    assert (a.reference, a.report) == (tmp_path / "scan.nrrd", tmp_path / "a.json")
    assert b.output == elsewhere  # an absolute path stays as it is
    assert (b.kind, b.label, c.label, d.label) == ("segmentation", 3, "liver", None)  # points have no label
    assert (d.kind, d.sources) == ("points", (tmp_path / "points.csv",))
    assert {case.space for case in recorder.cases} == {"RAS"}


def test_a_row_may_name_its_open_planes(tmp_path: Path, ellipsoid_prior_file: Path) -> None:
    table = table_of(tmp_path, "output,contours,open_plane", "a.stl,a.json,axial; axial 2", "b.stl,b.json,")
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file), recorder, CPU) == 0
    assert [case.open_planes for case in recorder.cases] == [("axial", "axial 2"), ()]
    with pytest.raises(InputError, match="in its column open_plane"):
        run_batch(options_of(table, ellipsoid_prior_file, open_plane=["axial"]), recorder, CPU)


def test_a_row_may_name_the_side(tmp_path: Path, ellipsoid_prior_file: Path) -> None:
    table = table_of(tmp_path, "output,points,side", "a.stl,a.ply,left", "b.stl,b.ply,", "c.stl,c.ply,up")
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file, side="right"), recorder, CPU) == 2
    assert [case.side for case in recorder.cases] == ["left", "right"]  # the third row fails


def test_probabilities_and_components(tmp_path: Path, ellipsoid_prior_file: Path) -> None:
    table = table_of(
        tmp_path,
        "output,segmentation,points,component,probabilities",
        "a.stl,a.nii,,right,sub/a.nrrd",
        "b.stl,b.nii,,,",
        "c.stl,,c.ply,,",
    )
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file, component="2"), recorder, CPU) == 0
    a, b, c = recorder.cases
    assert (a.component, b.component, c.component) == ("right", 2, None)
    assert (a.probabilities, b.probabilities) == (tmp_path / "sub" / "a.nrrd", None)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.stl,a.nii,,1:liver,,", "A table holds one organ a row"),
        ("a.stl,a.nii,,,up,", "must be largest, left, right"),
        ("a.stl,,a.ply,,left,", "component can only be given with a full segmentation"),
        ("a.stl,,a.ply,,,a.nii", "probabilities can only be given with a full segmentation"),
    ],
)
def test_a_row_whose_columns_do_not_go_together(
    row: str, words: str, tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_of(tmp_path, "output,segmentation,points,label,component,probabilities", row, "good.stl,g.nii,,,,")
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file), recorder, CPU) == 2
    assert [case.output.name for case in recorder.cases] == ["good.stl"]
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": ["1:liver"]}, "one organ a row"),
        ({"label": ["1", "2"]}, "a prior each"),
        ({"probabilities": Path("a.nii")}, "column probabilities"),
        ({"disagreement": Path("a.nrrd")}, "column disagreement"),
    ],
)
def test_options_that_a_table_does_not_take(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        run_batch(options_of(table_of(tmp_path, "output,points", "a.stl,a.ply"), "x", **changed), Recorder(), CPU)


def test_a_failing_case_does_not_stop_the_others(
    tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_of(tmp_path, "output,points", "a.stl,a.ply", "b.stl,b.ply", "c.stl,c.ply")
    recorder = Recorder(failing=("b.stl",))
    assert run_batch(options_of(table, ellipsoid_prior_file), recorder, CPU) == 2
    assert [case.output.name for case in recorder.cases] == ["a.stl", "b.stl", "c.stl"]
    printed = capsys.readouterr()
    assert "2 of 3 cases refined, 1 failed." in printed.out
    assert "a.stl: 1500 ml, 2.0 s" in printed.out
    assert printed.err == "dals refine: case 2 (b.stl): That cannot be used.\n"


class Writer(Recorder):
    """Stands in for the fit and leaves the files of a case."""

    def __call__(self, case: Case, prior: ShapePrior) -> dict[str, Any]:
        report = super().__call__(case, prior)
        for output in case.outputs:
            output.path.write_text("done", encoding="utf-8")
        return report


def test_a_run_goes_on_where_an_earlier_one_stopped(
    tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.ply").write_text(name, encoding="utf-8")
    rows = ("output,points,report", "a.stl,a.ply,a.json", "b.stl,b.ply,", "c.stl,c.ply,")
    table = table_of(tmp_path, *rows)

    def refined(**changed: Any) -> list[str]:
        writer = Writer(failing=changed.pop("failing", ()))
        run_batch(options_of(table, ellipsoid_prior_file, resume=True, **changed), writer, CPU)
        return [case.output.name for case in writer.cases]

    assert refined(failing=("b.stl",)) == ["a.stl", "b.stl", "c.stl"]
    capsys.readouterr()
    assert refined() == ["b.stl"]  # which failed
    assert "a.stl: 1500 ml, 2.0 s, already there\n" in capsys.readouterr().out
    assert refined() == []
    (tmp_path / "c.ply").write_text("another", encoding="utf-8")
    assert refined() == ["c.stl"]
    (tmp_path / "a.json").unlink()
    assert refined() == ["a.stl"]
    table_of(tmp_path, *rows, "d.stl,a.ply,")  # other rows of the table do not matter
    assert refined() == ["d.stl"]
    assert refined(seed=1) == ["a.stl", "b.stl", "c.stl", "d.stl"]
    assert refined(seed=1, side="left") == ["a.stl", "b.stl", "c.stl", "d.stl"]


def test_a_table_is_done_anew_unless_told_otherwise(tmp_path: Path, ellipsoid_prior_file: Path) -> None:
    table = table_of(tmp_path, "output,points", "a.stl,a.ply")
    for _ in range(2):
        writer = Writer()
        assert run_batch(options_of(table, ellipsoid_prior_file), writer, CPU) == 0
        assert len(writer.cases) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.stl", "cases.csv"]


def test_rows_on_a_cluster(
    tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its processes: a row is refined by a worker, or has been by one that was lost."""

    @contextmanager
    def no_cluster(scheduler: str, *, workers: int | None) -> Iterator[None]:
        assert (scheduler, workers) == ("tcp://host:1", None)
        yield

    def each_twice(_: None, function: Any, tasks: list[Any]) -> Iterator[Any]:
        for task in reversed(tasks):  # in any order, and each is begun twice
            function(task)
            yield task, function(task)

    writer = Writer(failing=("b.stl",))

    def refine_doubtfully(options: argparse.Namespace, case: Case, prior: ShapePrior) -> dict[str, Any]:
        assert options.quiet
        warnings.warn("Perhaps another organ.", DalsWarning, stacklevel=2)
        return writer(case, prior)

    monkeypatch.setattr("dals.cli.batch.cluster_client", no_cluster)
    monkeypatch.setattr("dals.cli.batch.each_done", each_twice)
    monkeypatch.setattr(refine, "refine_case", refine_doubtfully)
    monkeypatch.chdir(tmp_path)
    table_of(tmp_path, "output,points,prior", "a.stl,a.ply,", "b.stl,b.ply,", "c.stl,c.ply,nothing", ",d.ply,")
    command = ["refine", "--batch", "cases.csv", "--prior", str(ellipsoid_prior_file), "--device", "cpu"]
    assert main([*command, "--scheduler", "tcp://host:1"]) == 2
    printed = capsys.readouterr()
    assert [case.output.name for case in writer.cases] == ["b.stl", "b.stl", "a.stl"]  # what is done stays done
    assert all(case.output.is_absolute() for case in writer.cases)
    assert "1 of 4 cases refined, 3 failed." in printed.out
    assert "case 2 (b.stl): That cannot be used." in printed.err
    assert "case 4 (no output): Row 4 must name" in printed.err
    assert "case 2 (b.stl): Perhaps another organ." in printed.err
    assert main([*command, "--scheduler", "tcp://host:1"]) == 2
    assert "a.stl: 1500 ml, 2.0 s, already there" in capsys.readouterr().out


def test_workers_need_a_scheduler(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs --scheduler"):
        run_batch(options_of(table_of(tmp_path, "output,points", "a.stl,a.ply"), "x", workers=2), Recorder(), CPU)


def test_each_case_has_its_own_warnings_and_confidence(
    tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refine_doubtfully(_options: argparse.Namespace, case: Case, _prior: ShapePrior) -> dict[str, Any]:
        warnings.warn("Perhaps another organ.", DalsWarning, stacklevel=2)
        confident = {"confidence": {"level": "low", "reasons": []}} if case.kind == "segmentation" else {}
        return {"volume_ml": 1500.0, "seconds": 2.0, **confident}

    monkeypatch.setattr(refine, "refine_case", refine_doubtfully)
    table = table_of(tmp_path, "output,segmentation,points", "a.stl,a.nii,", "b.stl,,b.ply")
    assert main(["refine", "--batch", str(table), "--prior", str(ellipsoid_prior_file), "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "dals: warning: case 1 (a.stl): Perhaps another organ.",
        "dals: warning: case 2 (b.stl): Perhaps another organ.",
    ]
    assert "a.stl: 1500 ml, 2.0 s, confidence low\n" in printed.out
    assert "b.stl: 1500 ml, 2.0 s\n" in printed.out


@pytest.mark.parametrize("row", [",a.ply,", "a.stl,,", "a.stl,a.ply,b.nii"], ids=["no output", "nothing", "two kinds"])
def test_a_row_that_says_too_little_or_too_much_fails_alone(
    row: str, tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_of(tmp_path, "output,points,segmentation", row, "good.stl,good.ply,")
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file), recorder, CPU) == 2
    assert [case.output.name for case in recorder.cases] == ["good.stl"]
    assert "Row 1 must name an output and exactly one of" in capsys.readouterr().err


def test_each_prior_is_loaded_once(
    tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{name}.stl,{name}.ply,{prior}" for name, prior in (("a", ""), ("b", "pancreas"), ("c", ""))]
    recorder = Recorder()
    table = table_of(tmp_path, "output,points,prior", *rows)
    assert run_batch(options_of(table, ellipsoid_prior_file), recorder, CPU) == 2
    assert [case.output.name for case in recorder.cases] == ["a.stl", "c.stl"]
    assert recorder.seen[0][1] is recorder.seen[1][1]
    assert '"pancreas"' in capsys.readouterr().err


def test_a_table_from_a_spreadsheet(tmp_path: Path, ellipsoid_prior_file: Path) -> None:
    table = table_of(tmp_path, "output,points", '"a, with comma.stl", b.ply ', encoding="utf-8-sig")
    recorder = Recorder()
    assert run_batch(options_of(table, ellipsoid_prior_file), recorder, CPU) == 0
    assert recorder.cases[0].output == tmp_path / "a, with comma.stl"
    assert recorder.cases[0].sources == (tmp_path / "b.ply",)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["output,points"], "no cases"),
        ([""], "no cases"),
        (["points", "a.ply"], "needs the column output"),
        (["output,points,colour", "a.stl,a.ply,red"], "'colour'"),
    ],
)
def test_a_table_that_cannot_be_used(lines: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        run_batch(options_of(table_of(tmp_path, *lines), "x"), Recorder(), CPU)


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"output,points\n\xe9.stl,a.ply\n")
    for name, words in (("none.csv", "does not exist"), ("latin.csv", "cannot be read")):
        with pytest.raises(InputError, match=words):
            run_batch(options_of(tmp_path / name, "x"), Recorder(), CPU)


@pytest.mark.parametrize(
    ("text", "label"),
    [("3", 3), ("-1", -1), (" 4 ", 4), ("liver", "liver"), ("--5", "--5"), ("²", "²"), ("", None), (None, None)],
)
def test_labels(text: str | None, label: int | str | None) -> None:
    assert label_of(text) == label


def test_numbers_have_a_least_value() -> None:
    assert at_least(2)("2") == 2
    for text in ("1", "two", "2.5"):
        with pytest.raises(argparse.ArgumentTypeError):
            at_least(2)(text)


@pytest.mark.parametrize(
    ("text", "component"), [("largest", "largest"), ("left", "left"), ("right", "right"), ("2", 2), ("", None)]
)
def test_components(text: str, component: int | str | None) -> None:
    assert component_of(text) == component


@pytest.mark.parametrize("text", ["0", "-1", "Left", "two", "²"])
def test_components_there_cannot_be(text: str) -> None:
    with pytest.raises(InputError, match="rank by volume"):
        component_of(text)
