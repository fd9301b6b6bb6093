"""Driving the panel in tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

FEW = 12
"""Iterations where the surface's accuracy does not matter."""


PATIENCE_S = 120.0
"""Without any sign of life: a fit's report gives none, and other programs run, too."""


def wait_for(slicer, reached, *, session=None):
    """Wait as long as a fit of the session gives signs of life."""
    heard = [time.monotonic()]

    def listen(_event):
        heard[0] = time.monotonic()

    if session is not None:
        session.listeners.append(listen)
    try:
        while not reached():
            assert time.monotonic() - heard[0] < PATIENCE_S, "nothing has happened"
            slicer.app.processEvents()
            time.sleep(0.01)
    finally:
        if session is not None:
            session.listeners.remove(listen)


def refine(slicer, panel):
    panel.ui.refineButton.click()
    assert panel.session.running, panel.ui.statusLabel.text
    wait_for(slicer, lambda: not panel.session.running, session=panel.session)
    return panel.parameters.result


def seconds_of(process: int) -> float:
    """Processor time of the fitting process, which other programs do not change; where it is not told, the clock."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def model_of(mesh, slicer):
    """A model of the scene that no refinement has made."""
    from DALSRefineLib.nodes import outputs

    return outputs.new_model(slicer.mrmlScene, mesh, name="model", colour=(1.0, 0.0, 0.0))


def nodes_in(scene):
    return sorted(scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes()))


def empty(scene):
    """Clear a scene, of its slice nodes, too: by itself it keeps them for Slicer's views."""
    scene.Clear(False)
    for identifier in nodes_in(scene):
        node = scene.GetNodeByID(identifier)
        if node is not None and node.IsA("vtkMRMLSliceNode"):
            scene.RemoveNode(node)


def slice_node(slicer, view, orientation):
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene, True)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetLayoutName(view)
    getattr(node, f"SetOrientationTo{orientation}")()
    node.JumpSlice(5.0, -7.0, 11.0)
    return node
