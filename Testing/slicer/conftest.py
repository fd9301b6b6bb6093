"""A Slicer without a window (slicer-core and trame-slicer), for tests that need nodes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_TESTING = Path(__file__).resolve().parent.parent


def _start_slicer():
    """Start it once; skips with the reason where it is not installed.

    The package `slicer` takes every folder of that name on the path for a part of itself: this one must not be found.
    """
    path = sys.path[:]
    sys.path[:] = [entry for entry in path if Path(entry).resolve() != _TESTING]
    try:
        core = pytest.importorskip("trame_slicer.core", reason="slicer-core and trame-slicer are not installed")
    finally:
        sys.path[:] = path
    return core.SlicerApp()


@pytest.fixture(scope="session")
def app():
    """Slicer's logics and factories."""
    return _start_slicer()


@pytest.fixture
def scene(app):
    """An empty scene with Slicer's default colours."""
    yield app.scene
    app.scene.Clear(False)


@pytest.fixture(scope="session")
def inputs(app):
    """The module under test: it can be imported only where Slicer is."""
    from DALSRefineLib.nodes import inputs

    return inputs


@pytest.fixture(scope="session")
def outputs(app):
    """The module under test: it can be imported only where Slicer is."""
    from DALSRefineLib.nodes import outputs

    return outputs


@pytest.fixture(scope="session")
def process():
    """One fitting process for all tests that fit for real: torch is loaded once."""
    from DALSRefineLib.process.plain_process import PlainProcess
    from DALSRefineLib.process.runner import ProcessRunner

    runner = ProcessRunner(PlainProcess, python=sys.executable)
    yield runner
    runner.close()
