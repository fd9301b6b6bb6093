"""The Python that runs fits is found, and is never Slicer itself; no Slicer is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dals.errors import DalsError
from DALSRefineLib.process import interpreter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs are faked by files with an executable bit")


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def slicer(tmp_path, monkeypatch) -> Path:
    """An installation of Slicer with nothing in it, and nothing else anywhere."""
    root = tmp_path / "Slicer"
    monkeypatch.setattr(sys, "executable", str(program(root / "bin" / "SlicerApp-real")))
    for name in ("prefix", "exec_prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(root / "lib" / "Python"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return root


def test_the_python_of_this_installation_can_do_it():
    found = interpreter.worker_python()
    code = "import sys; print(sys.version_info[:2])"
    done = subprocess.run([found, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sys.version_info[:2])


def test_slicers_launcher_of_python_comes_first(slicer, tmp_path, monkeypatch):
    program(slicer / "lib" / "Python" / "bin" / "python3")
    expected = program(tmp_path / "elsewhere" / "PythonSlicer")
    monkeypatch.setenv("PATH", str(expected.parent))
    assert interpreter.worker_python() == str(expected)


def test_it_is_found_beside_slicer_without_a_path(slicer):
    expected = program(slicer / "bin" / "PythonSlicer")
    program(slicer / "lib" / "Python" / "bin" / "python3")
    assert interpreter.worker_python() == str(expected)


def test_slicer_itself_is_never_started(slicer):
    with pytest.raises(DalsError, match="install Slicer again"):
        interpreter.worker_python()
    plain = program(slicer / "lib" / "Python" / "bin" / "python3")
    assert interpreter.worker_python() == str(plain)


def test_what_cannot_be_executed_is_passed_over(slicer):
    program(slicer / "bin" / "PythonSlicer").chmod(0o644)
    (slicer / "lib" / "Python" / "bin" / "python3").mkdir(parents=True)
    if os.access(slicer / "bin" / "PythonSlicer", os.X_OK):
        pytest.skip("whoever runs this may execute everything")
    with pytest.raises(DalsError):
        interpreter.worker_python()


def test_an_unknown_executable_is_no_error(slicer, monkeypatch):
    monkeypatch.setattr(sys, "executable", None)
    with pytest.raises(DalsError):
        interpreter.worker_python()
