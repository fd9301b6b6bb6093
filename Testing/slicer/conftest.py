"""A Slicer without a window (slicer-core and trame-slicer), for tests that need nodes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import panel_driver
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
    panel_driver.empty(app.scene)  # tests of the panel have left something there
    yield app.scene
    panel_driver.empty(app.scene)


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


# --- the panel, on stand-ins for the application: they are not Slicer


@pytest.fixture(scope="module")
def application(app, tmp_path_factory):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")
    from stand_ins import application

    application.install(app, tmp_path_factory.mktemp("settings"))
    yield application
    application.remove()


@pytest.fixture(scope="module")
def slicer(application):
    import slicer

    return slicer


@pytest.fixture(scope="module")
def opened(application):
    """The module's widget; one for all tests, as starting a fitting process takes seconds."""
    import DALSRefine

    widget = application.open_module(DALSRefine.DALSRefineWidget)
    yield widget
    widget.cleanup()


@pytest.fixture
def widget(opened, slicer, application):
    panel_driver.empty(slicer.mrmlScene)
    application.MESSAGES.clear()
    return opened


@pytest.fixture
def panel(widget):
    return widget.panel


@pytest.fixture
def sample(panel):
    """Volume, three curves and segmentation."""
    from DALSRefineLib import sample_data

    return sample_data.load()


@pytest.fixture
def with_contours(panel, sample):
    for curve in sample[1:4]:
        panel.source.add_curve(curve)
    panel.parameters.iterations = panel_driver.FEW
    panel.parameters.level = 3
    panel.parameters.useImage = False  # with it, a fit takes seconds
    return panel
