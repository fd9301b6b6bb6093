"""An output is never an input, nor another output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dals.cli.output_files import Output, check_overwriting
from dals.errors import OutputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.ply").write_bytes(b"precious")
    (tmp_path / "sub").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", ["points.ply", "./points.ply", "sub/../points.ply", "POINTS.Ply"])
def test_other_spellings_of_an_input(name: str, folder: Path) -> None:
    for written, read in ((name, "points.ply"), ("points.ply", name), (folder / name, "points.ply")):
        with pytest.raises(OutputError, match=r"mesh .* would overwrite the input"):
            check_overwriting([Output("mesh", Path(written))], [Path("other"), Path(read)])


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("kind", ["symbolic", "hard", "folder"])
def test_links_to_an_input(kind: str, folder: Path) -> None:
    link = folder / "link.ply"
    if kind == "symbolic":
        link.symlink_to("points.ply")
    elif kind == "hard":
        os.link("points.ply", link)
    else:
        (folder / "here").symlink_to(folder, target_is_directory=True)
        link = folder / "here" / "points.ply"
    for written, read in ((link, "points.ply"), (Path("points.ply"), link)):
        with pytest.raises(OutputError, match="would overwrite"):
            check_overwriting([Output("mesh", written)], [Path(read)])


def test_names_in_composed_and_decomposed_letters(folder: Path) -> None:
    with pytest.raises(OutputError, match="same file"):
        check_overwriting([Output("mesh", folder / "f\u00fcr.stl"), Output("report", folder / "fu\u0308r.stl")], [])


def test_two_outputs_in_one_file(folder: Path) -> None:
    with pytest.raises(OutputError, match=r"The mesh new\.stl and the report sub/../New\.stl would be the same file"):
        check_overwriting([Output("mesh", Path("new.stl")), Output("report", Path("sub/../New.stl"))], [])


def test_different_files_are_fine(folder: Path) -> None:
    outputs = [Output("mesh", Path("a.stl")), Output("report", Path("a.json")), Output("mesh", Path("sub/a.stl"))]
    check_overwriting(outputs, [Path("points.ply"), Path("nowhere/a.stl")])
