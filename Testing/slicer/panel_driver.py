"""Driving the panel in tests."""

from __future__ import annotations

import time

FEW = 12
"""Iterations where the surface's accuracy does not matter."""


def wait_for(slicer, reached, *, patience_s=60.0):
    began = time.monotonic()
    while not reached():
        assert time.monotonic() - began < patience_s, "nothing has happened"
        slicer.app.processEvents()
        time.sleep(0.01)


def refine(slicer, panel, *, patience_s=180.0):
    panel.ui.refineButton.click()
    assert panel.session.running, panel.ui.statusLabel.text
    wait_for(slicer, lambda: not panel.session.running, patience_s=patience_s)
    return panel.parameters.result


def model_of(mesh, slicer):
    """A model of the scene that no refinement has made."""
    from DALSRefineLib.nodes import outputs

    return outputs.new_model(slicer.mrmlScene, mesh, name="model", colour=(1.0, 0.0, 0.0))


def nodes_in(scene):
    return sorted(scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes()))


def slice_node(slicer, view, orientation):
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene, True)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetLayoutName(view)
    getattr(node, f"SetOrientationTo{orientation}")()
    node.JumpSlice(5.0, -7.0, 11.0)
    return node
