"""Many cases on a cluster: nothing is lost or done twice when a worker is, and a run goes on where it stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from dals.cli import main
from dals.cli.cluster import cluster_client, each_done
from dals.dataset.storage import load_dataset
from dals.errors import InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.io.label_maps import write_label_map


def deadly_once(task: tuple[int, Path]) -> int:
    """Number 3 ends the process of its worker the first time."""
    number, folder = task
    with (folder / "log").open("a", encoding="utf-8") as log:
        log.write(f"{number}\n")
    if number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * number


def failing(number: int) -> int:
    if number == 1:
        raise ValueError("odd")
    if number == 2:
        raise OutputError("The disk is full.")
    return number


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_lost_worker_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    tasks = [(number, tmp_path) for number in range(8)]
    with cluster_client("local", workers=2) as client:
        results = {task[0]: result for task, result in each_done(client, deadly_once, tasks)}
        assert results == {number: 10 * number for number in range(8)}
        begun = (tmp_path / "log").read_text(encoding="utf-8").split()
        assert begun.count("3") == 2
        # One bad case does not end the run; an error that would be everyone's does.
        seen = dict(each_done(client, failing, [0, 1]))
        assert seen[0] == 0
        assert str(seen[1]) == "Unexpected ValueError: odd"
        with pytest.raises(OutputError, match="disk is full"):
            list(each_done(client, failing, [2]))


@pytest.mark.slow
def test_shapes_are_prepared_on_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps").mkdir()
    grid = np.indices((20, 20, 20)) - 9.5
    for number in range(3):
        array = np.hypot(np.hypot(*grid[:2]), grid[2]) < 5.5 + number
        write_label_map(tmp_path / "maps" / f"ball{number}.nii.gz", LabelMap(array, np.eye(4)))
    (tmp_path / "maps" / "broken.nii.gz").write_bytes(b"no image")
    command = ["prepare", "set", "maps", "--scheduler", "local", "--workers", "1"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "3 shapes in set: 3 made now, 0 already there, 1 not usable." in printed.out
    assert "not usable: broken: " in printed.err
    assert [shape.name for shape in load_dataset("set")] == ["ball0", "ball1", "ball2"]


def test_without_dask_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'dalsrefine\[cluster\]'"), cluster_client("local"):
        pass


def test_an_address_where_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("dals.cli.cluster._PATIENCE_SECONDS", 0.2)
    with pytest.raises(InputError, match="No Dask scheduler answers at"), cluster_client("tcp://127.0.0.1:1"):
        pass


@pytest.mark.parametrize("option", [["--scheduler", "local"], ["--workers", "2"], ["--resume"]])
def test_options_of_tables_need_one(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", "-o", "a.stl", "--points", "a.ply", "--device", "cpu", *option]) == 2
    assert "give it with --batch" in capsys.readouterr().err
