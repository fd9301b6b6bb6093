"""The script behind the two commands of the README: when it makes its environment anew, what status it ends with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """Stands in for `subprocess.run`: remembers the commands, answers with the status set for a word in them."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.status: dict[str, int] = {}

    def __call__(self, command: list[str], **_: Any) -> Any:
        self.commands.append(command)
        if "venv" in command:
            python = Path(command[-1]) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
        code = next((code for word, code in self.status.items() if word in command), 0)
        return type("Finished", (), {"returncode": code})()

    def count(self, word: str) -> int:
        return sum(word in command for command in self.commands)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("subprocess.run", recorder)
    return recorder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("dals_run_script", ROOT / "Testing" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "constraints.txt").write_text("torch==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv-dals")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv-dals" / "dalsrefine.json")
    monkeypatch.setattr(module, "DEMO_OUTPUT", tmp_path / "work" / "demo")
    return module


def test_the_environment_is_made_once(run: ModuleType, recorder: Recorder) -> None:
    assert run.main(["test"]) == 0
    assert run.main(["test"]) == 0
    assert run.main(["demo"]) == 0
    assert recorder.count("venv") == 1
    assert recorder.count("--editable") == 1
    assert recorder.count("demo") == 1


def test_tests_after_a_demo_add_what_they_need(run: ModuleType, recorder: Recorder) -> None:
    run.main(["demo"])
    run.main(["test"])
    assert recorder.count("venv") == 1
    assert recorder.count("--editable") == 2
    assert recorder.count(f"{run.ROOT}[docs,lint,slicer,test]") == 1


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_changed_requirements_are_installed(run: ModuleType, recorder: Recorder, name: str) -> None:
    run.main(["test"])
    (run.ROOT / name).write_text("changed\n")
    run.main(["demo"])
    assert recorder.count("venv") == 1
    assert recorder.count(f"{run.ROOT}[docs,lint,slicer,test]") == 2, "the extras of the tests were lost"


def test_an_interrupted_installation_starts_afresh(run: ModuleType, recorder: Recorder) -> None:
    recorder.status["--editable"] = 1
    assert run.main(["test"]) == 1
    recorder.status.clear()
    assert run.main(["test"]) == 0
    assert recorder.count("venv") == 2


def test_a_damaged_stamp_starts_afresh(run: ModuleType, recorder: Recorder) -> None:
    run.main(["test"])
    run.STAMP.write_text('{"python":')
    run.main(["test"])
    assert recorder.count("venv") == 2


def test_another_python_starts_afresh(run: ModuleType, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    run.main(["test"])
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    run.main(["test"])
    assert recorder.count("venv") == 2


@pytest.mark.parametrize(
    ("failing", "expected"),
    [({}, 0), ({"mypy": 1}, 1), ({"sphinx": 2}, 1), ({"pytest": 3}, 3), ({"ruff": 1, "pytest": 5}, 5)],
)
def test_the_status_is_that_of_the_tests_or_the_checks(
    run: ModuleType, recorder: Recorder, failing: dict[str, int], expected: int
) -> None:
    recorder.status.update(failing)
    assert run.main(["test"]) == expected
    assert "pytest" in recorder.commands[-1], "the tests come last, whatever the checks say"


def test_checks_can_be_left_out_and_options_reach_pytest(run: ModuleType, recorder: Recorder) -> None:
    run.main(["test", "--no-lint", "-k", "contour"])
    assert recorder.count("ruff") == recorder.count("mypy") == recorder.count("sphinx") == 0
    command = recorder.commands[-1]
    assert command[command.index("pytest") :][-2:] == ["-k", "contour"]


@pytest.mark.parametrize(
    ("cores", "options", "workers"), [(1, [], None), (2, [], "2"), (64, [], "8"), (2, ["--pdb"], None)]
)
def test_each_core_runs_tests_of_its_own(
    run: ModuleType,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    options: list[str],
    workers: str | None,
) -> None:
    monkeypatch.setattr(run, "available_cores", lambda: cores)
    run.main(["test", "--no-lint", *options])
    command = recorder.commands[-1]
    assert (command[command.index("-n") + 1] if "-n" in command else None) == workers


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["lint"], 2), (["--help"], 0)])
def test_usage(
    run: ModuleType, recorder: Recorder, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    assert run.main(arguments) == status
    output = capsys.readouterr()
    assert "usage: run.py demo" in (output.err if status else output.out)
    assert not recorder.commands
