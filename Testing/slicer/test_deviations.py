"""How far a surface may be off: through the worker's pipe, on the model, as colour and as a band."""

from __future__ import annotations

import numpy as np
import pytest
from scene_nodes import CENTRE, RADIUS, sphere
from scripted_runner import REPORT, ScriptedRunner, finished

from DALSRefineLib.process.jobs import FitFinished
from DALSRefineLib.process.messages import event_message, event_of
from DALSRefineLib.process.wire import pack, unpack


@pytest.fixture
def uncertainty(app):
    from DALSRefineLib.nodes import uncertainty

    return uncertainty


@pytest.fixture
def model(scene, outputs):
    return outputs.new_model(scene, sphere(level=3), name="Liver", colour=(1.0, 0.0, 0.0))


def deviations():
    """From 0.5 mm at the bottom to 4.5 mm at the top of a sphere."""
    up = (sphere(level=3).vertices[:, 2] - CENTRE[2]) / RADIUS
    return 2.5 + 2.0 * up


def test_it_travels_from_the_worker(tmp_path):
    end = finished(sphere(level=3))
    told = FitFinished(end.mesh, end.report, end.state, (), deviations())
    arrived = event_of(unpack(pack(event_message(told, 3), tmp_path), tmp_path))
    np.testing.assert_array_equal(arrived.deviation_mm, deviations())
    arrived = event_of(unpack(pack(event_message(end, 3), tmp_path), tmp_path))
    assert arrived.deviation_mm is None


def test_it_is_kept_with_the_points_and_goes_with_the_surface(uncertainty, outputs, model):
    assert uncertainty.deviation_of(model) is None
    uncertainty.set_deviation(model, deviations())
    np.testing.assert_array_equal(uncertainty.deviation_of(model), deviations())
    outputs.show_mesh(model, sphere(level=3, radius=20.0))
    assert uncertainty.deviation_of(model) is None, "it was the former surface's"
    uncertainty.set_deviation(model, deviations()[:5])
    assert uncertainty.deviation_of(model) is None
    assert uncertainty.deviation_of(None) is None


def test_bright_is_a_guess(uncertainty, outputs, model):
    uncertainty.set_deviation(model, deviations())
    limit = uncertainty.colour_by_deviation(model)
    display = model.GetDisplayNode()
    assert display.GetScalarVisibility()
    assert display.GetActiveScalarName() == uncertainty.DEVIATION_ARRAY
    assert display.GetScalarRange() == pytest.approx((0.0, limit))
    assert 4.0 < limit <= 4.5
    outputs.colour_plainly(model)
    assert not display.GetScalarVisibility()
    assert uncertainty.deviation_of(model) is not None
    uncertainty.set_deviation(model, None)
    with pytest.raises(ValueError, match="no standard deviations"):
        uncertainty.colour_by_deviation(model)


def test_the_band_lies_on_either_side(scene, uncertainty, outputs, model):
    uncertainty.set_deviation(model, deviations())
    before = scene.GetNumberOfNodes()
    uncertainty.show_band(scene, model, names=("inner", "outer"))
    uncertainty.show_band(scene, model, names=("inner", "outer"))
    assert scene.GetNumberOfNodes() == before + 4
    for name, sign in (("inner", -1), ("outer", 1)):
        node = scene.GetFirstNodeByName(name)
        radii = np.linalg.norm(outputs.mesh_of_model(node).vertices - CENTRE, axis=1)
        np.testing.assert_allclose(radii, RADIUS + sign * uncertainty.BAND * deviations(), atol=0.05)
        assert not node.GetDisplayNode().GetVisibility3D()
        assert node.GetDisplayNode().GetVisibility2D()
        assert not node.GetSaveWithScene()
    uncertainty.remove_band(scene)
    assert scene.GetNumberOfNodes() == before


def test_undo_brings_the_former_uncertainty_back(scene, app, uncertainty):
    from pathlib import Path

    from dals.observations import PointCloud
    from DALSRefineLib.priors import organ_of
    from DALSRefineLib.process.jobs import Request
    from DALSRefineLib.session import RefineSession

    runner = ScriptedRunner()
    session = RefineSession(scene, runner)
    for factor in (1.0, 2.0):
        request = Request(observation=PointCloud(sphere(level=1).vertices), prior=Path("prior.safetensors"))
        session.start(request, organ=organ_of("liver"), model=session.model)
        end = finished(sphere(level=3))
        runner.say(FitFinished(end.mesh, end.report, end.state, (), factor * deviations()))
    np.testing.assert_array_equal(uncertainty.deviation_of(session.model), 2.0 * deviations())
    session.smoothing = 0.3
    np.testing.assert_array_equal(uncertainty.deviation_of(session.model), 2.0 * deviations())
    session.undo()
    np.testing.assert_array_equal(uncertainty.deviation_of(session.model), deviations())


def test_the_volume_is_told_with_its_interval():
    from DALSRefineLib.panel.report_rows import report_rows, summary_of

    figures = {
        "expected_distance_mm": 2.1,
        "deviation_mm": {"mean": 1.5, "maximum": 6.25, "maximum_at_ras_mm": [1.0, 2.0, 3.0]},
        "volume_interval_ml": [1430.2, 1589.7],
    }
    report = {**REPORT, "volume_ml": 1511.3, "uncertainty": figures, "confidence": {"level": "high", "reasons": []}}
    assert summary_of(report) == "1511 ml (1430 to 1590), confidence high"
    assert ("Expected error", "2.1 mm on average, standard deviation at most 6.2 mm") in report_rows(report)
    assert summary_of({**report, "uncertainty": {"volume_interval_ml": "wide"}}) == "1511 ml, confidence high"


def test_the_button_shows_and_hides_it(panel, slicer, outputs, uncertainty):
    button = panel.ui.uncertaintyButton
    panel.parameters.result = outputs.new_model(slicer.mrmlScene, sphere(level=3), name="Liver", colour=(1.0, 0.0, 0.0))
    panel.update()
    assert not button.enabled
    assert "No uncertainty is known" in button.toolTip
    uncertainty.set_deviation(panel.parameters.result, deviations())
    panel.update()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    button.click()
    assert panel.parameters.result.GetDisplayNode().GetScalarVisibility()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == before + 2
    assert "one standard deviation" in panel.ui.statusLabel.text
    button.click()
    assert not panel.parameters.result.GetDisplayNode().GetScalarVisibility()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == before
