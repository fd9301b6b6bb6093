"""A long session: fits, cancels and scenes that are saved and opened, ten times over, leave nothing behind."""

from __future__ import annotations

import gc
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import pytest
from panel_driver import refine, seconds_of, wait_for

ROUNDS = 10
SLOWER = 2.0
"""Times the median of the first rounds."""
FIRST_CHANGE_S, TICK_S = 0.5, 0.05
"""On a processor of one's own, and how often the panel looks."""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    """The folders of the panels in other processes of pytest are not counted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def observers(thing) -> int:
    """How many observers a VTK object has; their tags count up."""
    last = thing.AddObserver("AnyEvent", lambda *_: None)
    thing.RemoveObserver(last)
    return sum(thing.GetCommand(tag) is not None for tag in range(last))


def wrappers() -> int:
    """How many parameter nodes' wrappers are alive."""
    gc.collect()
    return sum(type(each).__name__ == "Parameters" for each in gc.get_objects())


class Census:
    """What could grow."""

    def __init__(self, panel, slicer) -> None:
        scene, node = slicer.mrmlScene, panel.parameters.parameterNode
        self.nodes = scene.GetNumberOfNodes()
        self.scene_observers = observers(scene)
        self.parameter_observers = observers(node)
        self.curve_observers = [observers(curve) for curve in panel.source.curves]
        self.wrappers = wrappers()
        self.threads = threading.active_count()
        self.process = panel.session._runner.process_id
        self.listeners = len(panel.session.listeners)
        self.folders = len(list(Path(panel.session._runner._folder.name).parent.glob("dals-*")))


def test_observers_are_counted(slicer):
    node = slicer.vtkMRMLModelNode()
    before = observers(node)
    tags = [node.AddObserver("ModifiedEvent", lambda *_: None) for _ in range(3)]
    assert observers(node) == before + 3
    for tag in tags:
        node.RemoveObserver(tag)
    assert observers(node) == before


@pytest.mark.slow
def test_ten_rounds_leave_nothing_behind_and_take_as_long_each(widget, with_contours, slicer, tmp_path):
    panel, times, counts = with_contours, [], []
    for number in range(ROUNDS):
        panel.session.warm_up()
        process = panel.session._runner.process_id
        began = seconds_of(process)
        panel.ui.refineButton.click()
        wait_for(slicer, lambda: not panel.session.running, session=panel.session)
        times.append(seconds_of(process) - began)
        assert panel.session.result is not None, panel.ui.statusLabel.text
        panel.parameters.iterations = 2000
        panel.ui.refineButton.click()
        wait_for(slicer, lambda: panel.ui.progressBar.value > 0)
        panel.ui.refineButton.click()
        panel.parameters.iterations = 12
        path = str(tmp_path / f"scene {number % 2}.mrb")
        assert slicer.util.saveScene(path)
        slicer.mrmlScene.Clear()
        widget.onSceneStartClose()
        widget.onSceneChanged()
        slicer.util.loadScene(path)
        widget.initializeParameterNode()
        panel.update()
        assert len(panel.source.curves) == 3
        folder = Path(panel.session._runner._folder.name)
        wait_for(slicer, lambda folder=folder: not any(folder.iterdir()))  # what the cancelled fit still had to say
        counts.append(vars(Census(panel, slicer)))
    for name in counts[0]:
        assert {str(count[name]) for count in counts[2:]} == {str(counts[1][name])}, name
    # The first round loads torch and the prior.
    assert median(times[-3:]) < SLOWER * median(times[1:4]), times


def test_a_parameter_node_keeps_no_observer_of_a_panel_that_has_left_it(panel, slicer):
    from DALSRefineLib.panel.parameters import Parameters

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    shown, bare = panel.parameters, observers(node)
    panel.set_parameters(Parameters(node))
    assert observers(node) > bare
    panel.set_parameters(shown)
    gc.collect()
    assert observers(node) == bare


def test_slicer_s_own_disconnection_would_leave_some(panel, slicer):
    """The reason for `Binding`; without it this is what would happen with each scene."""
    from DALSRefineLib.panel.parameters import Parameters, bound_widgets

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    bare = observers(node)
    parameters = Parameters(node)
    tag = parameters.connectParametersToGui(bound_widgets(panel.ui))
    parameters.disconnectGui(tag)
    del parameters
    gc.collect()
    assert observers(node) > bare
    node.RemoveAllObservers()


@pytest.mark.slow
def test_the_surface_follows_a_dragged_point_soon(panel, sample, slicer):
    """A change of a surface at rest is seen within half a second of both processes' time and one tick of the panel."""
    for curve in sample[1:4]:
        panel.source.add_curve(curve)
    refine(slicer, panel)
    process, curve, seen = panel.session._runner.process_id, sample[1], []
    panel.session.listeners.append(lambda event: seen.append(getattr(event, "mesh", None)))
    curve.InvokeEvent(curve.PointStartInteractionEvent)
    for _move in range(3):
        wait_for(slicer, lambda: not panel.session.running, session=panel.session)
        place = curve.GetNthControlPointPosition(3)
        seen.clear()
        fitting, here = seconds_of(process), 0.0
        curve.SetNthControlPointPosition(3, place[0] + 2.0, *place[1:])
        while not any(mesh is not None for mesh in seen):
            began = time.process_time()
            slicer.app.processEvents()
            here += time.process_time() - began
            time.sleep(0.005)
        assert here + seconds_of(process) - fitting + TICK_S < FIRST_CHANGE_S
    curve.InvokeEvent(curve.PointEndInteractionEvent)
    panel.session.listeners.pop()
    panel.session.cancel()
