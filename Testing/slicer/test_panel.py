"""The panel, driven on slicer-core with stand-ins for the application: they are not Slicer.

Real are the scene, its nodes and files, the fitting process and every line of the panel. Imitated are the widgets
(Qt's own, with PythonQt's habits), Slicer's node selectors, `parameterNodeWrapper` and `slicer.util`, as Slicer's
source describes them. What passes here can still fail in Slicer; `DALSRefineTest` runs the same self tests there.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import subprocess
import sys
import types
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest
import scene_nodes
from panel_driver import model_of, nodes_in, refine, slice_node, wait_for
from vtkmodules.util.numpy_support import numpy_to_vtk

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

SELF_TESTS = (
    *("contours", "segmentation", "edits", "several_organs"),
    *("points_cancel_and_undo", "choices_are_saved_with_the_scene"),
    *("a_traced_curve", "outlines_in_advance", "curves_at_once"),
    *("following_and_undo", "place_look_and_segment", "view_keys_and_ticks", "rounds"),
)


# --- what runs in Slicer as well


@pytest.mark.slow
@pytest.mark.parametrize("name", SELF_TESTS)
def test_self_test(widget, application, name):
    import DALSRefine
    from DALSRefineLib import self_test

    (test,) = (test for test in self_test.TESTS if test.__name__ == f"test_{name}")
    test(DALSRefine.DALSRefineTest())
    assert application.MESSAGES == [], "the user was shown an error"


def test_all_self_tests_are_run():
    from DALSRefineLib import self_test

    assert {test.__name__ for test in self_test.TESTS} == {f"test_{name}" for name in SELF_TESTS}


@pytest.mark.parametrize("signs", [True, False])
def test_a_self_test_waits_as_long_as_there_are_signs_of_life(panel, monkeypatch, signs):
    import time

    from DALSRefineLib.self_test import common

    began, limit = time.monotonic(), 0.2
    monkeypatch.setattr(common, "PATIENCE_S", limit)

    def reached():
        if signs:
            for listener in list(panel.session.listeners)[1:]:
                listener(None)
        return time.monotonic() - began > 3 * limit

    with contextlib.nullcontext() if signs else pytest.raises(TimeoutError):
        common.wait_for(panel, reached)


def test_a_self_test_installs_nothing(widget, slicer, monkeypatch):
    import unittest

    from DALSRefineLib import install
    from DALSRefineLib.self_test import fits

    asked = []
    monkeypatch.setattr(install, "missing_packages", lambda **_: ["torch", "safetensors"])
    monkeypatch.setattr(install, "install", asked.append)
    monkeypatch.setattr(slicer.util, "pip_install", asked.append, raising=False)
    with pytest.raises(unittest.SkipTest, match="torch, safetensors"):
        fits.test_contours(unittest.TestCase())
    assert asked == []


# --- choices


def test_another_tab_brings_its_defaults(panel):
    from DALSRefineLib.panel.fit_options import POINTS, SOURCES, default_options

    for index, source in enumerate(SOURCES):
        panel.ui.sourceTabWidget.setCurrentIndex(index)
        assert panel.parameters.source == source
        assert panel.advanced.options == default_options(source)
    assert panel.ui.iterationsSpinBox.value == default_options(POINTS).iterations


def test_another_tab_leaves_changed_settings_alone(panel):
    panel.ui.seedSpinBox.setValue(5)
    before = panel.advanced.options
    panel.ui.sourceTabWidget.setCurrentIndex(1)
    assert panel.advanced.options == before
    panel.ui.resetButton.click()
    assert panel.parameters.seed == 0


def test_latents_are_chosen_and_shown(panel):
    from DALSRefineLib.panel.fit_options import LATENTS

    panel.ui.latentsComboBox.setCurrentIndex(1)
    assert panel.parameters.latents == LATENTS[1]
    assert not panel.ui.lambdaDirSpinBox.enabled
    panel.parameters.latents = LATENTS[0]
    assert panel.ui.latentsComboBox.currentIndex == 0
    assert panel.ui.lambdaDirSpinBox.enabled


def test_a_prior_is_added_from_a_file(panel, ellipsoid_prior_file):
    from stand_ins.pythonqt import CHOSEN_FILES

    from DALSRefineLib.panel.prior_chooser import user_folder

    CHOSEN_FILES.append(str(ellipsoid_prior_file))
    panel.ui.addPriorButton.click()
    assert panel.parameters.prior == "ellipsoid"
    assert panel.ui.priorComboBox.currentText == "Ellipsoid"
    assert [path.name for path in user_folder().iterdir()] == ["ellipsoid.safetensors"]


def test_a_missing_prior_of_a_scene_is_told_of_and_not_replaced(with_contours, application):
    panel = with_contours
    assert panel.ui.refineButton.enabled
    panel.parameters.prior = "no such organ"
    assert panel.parameters.prior == "no such organ"
    assert panel.ui.priorComboBox.currentIndex == -1
    assert not panel.ui.refineButton.enabled
    assert "'no such organ'" in panel.ui.refineButton.toolTip
    assert panel.ui.priorNoteLabel.text == panel.ui.refineButton.toolTip
    panel.guarded(panel.refine)
    (message,) = application.MESSAGES
    assert message == panel.ui.refineButton.toolTip
    assert not panel.session.running
    panel.ui.priorComboBox.setCurrentIndex(panel.ui.priorComboBox.findText("Liver"))
    assert panel.parameters.prior == "liver"
    assert panel.ui.priorNoteLabel.text == ""
    assert panel.ui.refineButton.enabled


def test_a_prior_of_one_side_of_the_body_says_so(panel):
    assert panel.ui.priorNoteLabel.text == ""
    panel.ui.priorComboBox.setCurrentIndex(panel.ui.priorComboBox.findText("Hippocampus"))
    assert panel.parameters.prior == "hippocampus"
    assert "Fits left and right organs." in panel.ui.priorNoteLabel.text
    panel.parameters.prior = "liver"
    assert panel.ui.priorNoteLabel.text == ""


def test_a_deleted_segmentation_is_no_longer_chosen(panel, sample, slicer):
    panel.ui.sourceTabWidget.setCurrentIndex(1)
    panel.ui.segmentSelector.setCurrentNode(sample[-1])
    (identifier,) = sample[-1].GetSegmentation().GetSegmentIDs()
    assert panel.parameters.segmentation is sample[-1]
    assert panel.parameters.segment == identifier
    assert panel.ui.refineButton.enabled
    slicer.mrmlScene.RemoveNode(sample[-1])
    assert panel.parameters.segmentation is None
    assert not panel.ui.refineButton.enabled


@pytest.fixture
def kidneys(slicer):
    """A segmentation with the left and the right organ in one segment, and another one alone."""
    grid = scene_nodes.oblique_grid((100, 50, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    apart = np.array([45.0, 0.0, 0.0])
    right, left = (
        scene_nodes.rasterised(grid, scene_nodes.sphere(radius=radius, centre=scene_nodes.CENTRE + shift))
        for radius, shift in ((30.0, apart), (26.0, -apart))
    )
    node = scene_nodes.segmentation_node(slicer.mrmlScene, grid)
    both = scene_nodes.add_segment(node, grid.with_array(right.array | left.array), name="kidneys")
    alone = scene_nodes.add_segment(node, left, name="left kidney")
    return types.SimpleNamespace(node=node, both=both, alone=alone, left=left)


def test_a_component_is_chosen(panel, kidneys):
    combo_box, selector = panel.ui.componentComboBox, panel.ui.segmentSelector
    panel.ui.sourceTabWidget.setCurrentIndex(1)
    assert combo_box.isHidden()
    selector.setCurrentNode(kidneys.node)
    selector.setCurrentSegmentID(kidneys.both)
    assert not combo_box.isHidden()
    assert not panel.ui.componentLabel.isHidden()
    texts = [combo_box.itemText(index) for index in range(combo_box.count)]
    assert texts == ["Largest", "right: 113 ml", "left: 74 ml"]
    combo_box.setCurrentIndex(2)
    assert panel.parameters.component == "left"
    observation = panel.source.observation()
    assert observation.notices == ()
    np.testing.assert_array_equal(observation.label_map.array, kidneys.left.array)
    selector.setCurrentSegmentID(kidneys.alone)
    assert panel.parameters.component == "", "it was the other segment's"
    assert combo_box.isHidden()


def test_without_a_choice_the_largest_component_is_taken_and_told(panel, kidneys):
    parameters = panel.parameters
    parameters.source, parameters.segmentation, parameters.segment = "segmentation", kidneys.node, kidneys.both
    observation = panel.source.observation()
    assert "Choose with the option component" in " ".join(observation.notices)
    assert not (observation.label_map.array & kidneys.left.array).any()


def test_a_choice_of_a_scene_is_shown_and_given_up_where_it_is_gone(panel, kidneys):
    parameters = panel.parameters
    parameters.source, parameters.segmentation, parameters.segment = "segmentation", kidneys.node, kidneys.both
    parameters.component = "left"
    assert panel.ui.componentComboBox.currentText == "left: 74 ml"
    segment = kidneys.node.GetSegmentation().GetSegment(kidneys.both)
    segment.AddRepresentation("Binary labelmap", scene_nodes.oriented_image(kidneys.left))  # edited elsewhere
    observation = panel.source.observation()
    np.testing.assert_array_equal(observation.label_map.array, kidneys.left.array)
    assert panel.ui.componentComboBox.isHidden()


def test_probabilities_are_chosen(panel, kidneys, slicer):
    parameters = panel.parameters
    parameters.source, parameters.segmentation, parameters.segment = "segmentation", kidneys.node, kidneys.alone
    volume = scene_nodes.volume_node(slicer.mrmlScene, kidneys.left, name="softmax")
    values = kidneys.left.array * np.float32(0.75)
    volume.GetImageData().GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    panel.ui.probabilitiesSelector.setCurrentNode(volume)
    assert parameters.probabilities is volume
    np.testing.assert_array_equal(panel.source.observation().probabilities, values)
    slicer.mrmlScene.RemoveNode(volume)
    assert panel.source.observation().probabilities is None


def test_a_parameter_node_that_is_no_longer_shown_is_left_alone(panel, slicer):
    from DALSRefineLib.panel.parameters import Parameters

    before = panel.parameters
    before.seed = 5
    other = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    panel.set_parameters(other)
    assert panel.ui.seedSpinBox.value == 0
    panel.ui.seedSpinBox.setValue(7)
    assert (before.seed, other.seed) == (5, 7)
    before.seed = 6
    assert panel.ui.seedSpinBox.value == 7
    panel.set_parameters(before)
    assert panel.ui.seedSpinBox.value == 6


# --- the button and its reasons


def test_the_button_says_what_is_missing(panel, sample):
    button = panel.ui.refineButton
    reasons = set()
    for index in range(3):
        panel.ui.sourceTabWidget.setCurrentIndex(index)
        assert not button.enabled
        reasons.add(button.toolTip)
    assert len(reasons) == 3
    panel.ui.sourceTabWidget.setCurrentIndex(0)
    panel.source.add_curve(sample[1])
    assert not button.enabled
    assert "two planes" in button.toolTip
    panel.source.add_curve(sample[2])
    assert button.enabled
    panel.ui.paintedCheckBox.click()
    assert not button.enabled
    assert "painted" in button.toolTip


@pytest.mark.parametrize("mistake", ["one contour", "contradiction", "empty segment"])
def test_what_is_wrong_is_told_in_a_sentence_and_changes_nothing(panel, sample, slicer, application, mistake):
    panel.source.add_curve(sample[1])
    if mistake == "contradiction":
        for index in range(sample[2].GetNumberOfControlPoints()):
            r, a, s = sample[2].GetNthControlPointPosition(index)
            sample[2].SetNthControlPointPosition(index, r, a + 400.0, s)
        panel.source.add_curve(sample[2])
    elif mistake == "empty segment":
        panel.ui.sourceTabWidget.setCurrentIndex(1)
        panel.parameters.segmentation = sample[-1]
        panel.parameters.segment = sample[-1].GetSegmentation().AddEmptySegment("nothing")
    before = nodes_in(slicer.mrmlScene)
    panel.guarded(panel.refine)
    (message,) = application.MESSAGES
    assert message.endswith(".")
    assert "unexpected" not in message
    assert not panel.session.running
    assert nodes_in(slicer.mrmlScene) == before
    assert panel.parameters.result is None


def test_what_nobody_expected_is_logged_and_told(panel, application, caplog):
    panel.guarded(lambda: 1 / 0)
    assert "unexpected" in application.MESSAGES[0]
    assert "ZeroDivisionError" in caplog.text


# --- while a fit runs


def test_torch_is_loaded_once_there_is_a_first_input(slicer, application, opened, monkeypatch):
    import DALSRefine
    from DALSRefineLib import sample_data

    slicer.mrmlScene.Clear()
    opened.panel.set_parameters(None)
    widget = application.open_module(DALSRefine.DALSRefineWidget)
    panel, calls = widget.panel, []
    try:
        monkeypatch.setattr(panel.session, "warm_up", lambda: calls.append(len(panel.source.curves)))
        curves = sample_data.load()[1:3]
        panel.update()
        assert calls == [], "nothing is chosen"
        monkeypatch.setattr(panel.packages, "missing", ["torch"])
        panel.source.add_curve(curves[0])
        panel.update()
        assert calls == [], "packages are missing"
        panel.look_for_packages()
        panel.update()
        assert calls == [1]
        panel.source.add_curve(curves[1])
        panel.update()
        assert calls == [1]
    finally:
        widget.cleanup()


def test_a_worker_that_cannot_be_started_early_is_told_of_when_it_is_needed(with_contours, monkeypatch, application):
    from dals.errors import DalsError

    def fail():
        raise DalsError("The fitting process could not be started.")

    monkeypatch.setattr(with_contours, "_warmed_up", False)
    monkeypatch.setattr(with_contours.session, "warm_up", fail)
    with_contours.update()
    assert application.MESSAGES == []


def test_a_scene_is_closed_during_a_fit(with_contours, slicer, application):
    panel = with_contours
    panel.parameters.iterations = 2000
    panel.ui.refineButton.click()
    assert panel.ui.refineButton.text == "Cancel"
    wait_for(slicer, lambda: panel.ui.progressBar.value > 0)
    slicer.mrmlScene.Clear()
    assert not panel.session.running
    wait_for(slicer, lambda: panel.ui.refineButton.text == "Refine")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 0
    assert (panel.ui.progressBar.value, panel.ui.statusLabel.text) == (0, "")
    assert panel.source.curves == []
    assert not application.MESSAGES


def test_the_result_is_deleted_during_a_fit(with_contours, slicer, application):
    panel = with_contours
    first = refine(slicer, panel)
    assert panel.ui.exportButton.enabled
    panel.ui.refineButton.click()
    slicer.mrmlScene.RemoveNode(first)
    assert panel.parameters.result is None
    assert not panel.ui.exportButton.enabled
    wait_for(slicer, lambda: not panel.session.running)
    second = panel.parameters.result
    assert second is not None
    assert second is not first
    assert second.GetPolyData().GetNumberOfPoints() == panel.session.result.report["vertices"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 1
    assert panel.ui.statusLabel.text
    assert not application.MESSAGES


def test_cancel_leaves_no_trace(with_contours, slicer):
    panel = with_contours
    before = nodes_in(slicer.mrmlScene)
    panel.parameters.iterations = 2000
    panel.ui.refineButton.click()
    wait_for(slicer, lambda: panel.ui.progressBar.value > 0)
    panel.ui.refineButton.click()
    assert panel.ui.refineButton.text == "Refine"
    assert nodes_in(slicer.mrmlScene) == before
    assert panel.parameters.result is None


def test_a_moved_point_refines_again_after_a_pause(with_contours, sample, slicer, monkeypatch):
    panel, starts, start = with_contours, [], with_contours.session.start
    monkeypatch.setattr(panel.session, "start", lambda *request, **how: (starts.append(how), start(*request, **how)))
    first = refine(slicer, panel)
    before = first.GetMTime()
    assert panel.parameters.autoRefine
    r, a, s = sample[1].GetNthControlPointPosition(0)
    sample[1].SetNthControlPointPosition(0, r + 6.0, a, s)
    slicer.app.processEvents()
    assert len(starts) == 1, "the hand has not come to rest"
    wait_for(slicer, lambda: len(starts) == 2)
    wait_for(slicer, lambda: not panel.session.running)
    assert [how["warm"] for how in starts] == [False, True]
    assert panel.parameters.result is first
    assert first.GetMTime() > before


def test_a_moved_point_starts_no_first_fit(with_contours, sample, slicer, monkeypatch):
    panel, requests = with_contours, []
    monkeypatch.setattr(panel.session, "start", lambda request, **_: requests.append(request))
    monkeypatch.setattr(panel.source, "changed", lambda: True)  # at each tick
    assert panel.ui.refineButton.enabled
    panel._on_tick()
    assert requests == []
    panel.parameters.result = model_of(scene_nodes.sphere(level=2), slicer)
    panel._on_tick()
    assert requests == [], "some model is no earlier result"


@pytest.mark.parametrize("where", ["an event", "the timer"])
def test_nothing_escapes_to_qt(with_contours, slicer, monkeypatch, application, caplog, where):
    panel = with_contours
    refine(slicer, panel)
    if where == "an event":
        monkeypatch.setattr(panel, "_show_event", lambda event: 1 / 0)
        panel.ui.refineButton.click()
        wait_for(slicer, lambda: not panel.session.running)
    else:
        monkeypatch.setattr(panel.source, "changed", lambda: True)
        monkeypatch.setattr(panel.source, "observation", lambda: 1 / 0)
        panel._on_tick()
        panel._on_tick()
    assert "unexpected" in panel.ui.statusLabel.text
    assert caplog.text.count("ZeroDivisionError") == 1
    assert application.MESSAGES == []


def shown_rows(panel):
    table = panel.ui.resultTable
    return [(table.item(row, 0).text(), table.item(row, 1).text()) for row in range(table.rowCount)]


def test_warnings_stay_with_their_result(with_contours, slicer, monkeypatch):
    panel, start, told = with_contours, with_contours.session.start, ["It touches the border.", "It looks unlike."]
    sentences = iter(told)
    monkeypatch.setattr(
        panel.session, "start", lambda *request, **how: start(*request, **{**how, "warnings": (next(sentences),)})
    )
    for sentence in told:
        refine(slicer, panel)
        assert sentence in panel.ui.statusLabel.text
        assert ("Please check", sentence) in shown_rows(panel)
    panel.ui.undoButton.click()
    assert ("Please check", told[0]) in shown_rows(panel)
    assert ("Please check", told[1]) not in shown_rows(panel)
    assert told[0] in panel.ui.statusLabel.text
    assert told[1] not in panel.ui.statusLabel.text


def test_only_the_model_that_is_shown_is_undone(with_contours, slicer):
    panel = with_contours
    refine(slicer, panel)
    model = refine(slicer, panel)
    assert panel.ui.undoButton.enabled
    panel.parameters.result = None
    assert not panel.ui.undoButton.enabled
    panel.parameters.result = model
    assert panel.ui.undoButton.enabled


def test_the_scale_of_the_colours_is_told(panel, sample, slicer):
    (identifier,) = sample[-1].GetSegmentation().GetSegmentIDs()
    panel.parameters.segmentation, panel.parameters.segment = sample[-1], identifier
    panel.parameters.result = model_of(scene_nodes.sphere(level=3), slicer)
    panel.update()
    panel.ui.colourButton.click()
    low, high = panel.parameters.result.GetDisplayNode().GetScalarRange()
    assert -low == high > 1.0
    assert f"The colours end at ±{high:.1f} mm" in panel.ui.statusLabel.text
    panel.ui.colourButton.click()
    assert panel.ui.statusLabel.text == ""


def test_the_result_is_exported_with_the_dialogue(panel, slicer, tmp_path, monkeypatch):
    from stand_ins import pythonqt

    panel.parameters.result = model_of(scene_nodes.sphere(level=2), slicer)
    pythonqt.CHOSEN_FILES.append(str(tmp_path / "liver"))
    panel.ui.exportButton.click()
    assert [path.name for path in tmp_path.iterdir()] == ["liver.stl"]
    panel.ui.exportButton.click()  # the dialogue is given up
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(pythonqt, "CHOSEN_FILTER", ["PLY"])
    for name in ("liver", "spleen.obj"):
        pythonqt.CHOSEN_FILES.append(str(tmp_path / name))
        panel.ui.exportButton.click()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["liver.ply", "liver.stl", "spleen.obj"]


@pytest.mark.parametrize("answer", [True, False])
def test_a_file_that_the_dialogue_knew_nothing_of_is_asked_about(panel, slicer, tmp_path, monkeypatch, answer):
    from stand_ins.pythonqt import CHOSEN_FILES

    questions = []
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, **_: questions.append(text) or answer)
    (tmp_path / "liver.stl").write_text("mine")
    panel.parameters.result = model_of(scene_nodes.sphere(level=2), slicer)
    CHOSEN_FILES.append(str(tmp_path / "liver"))
    panel.ui.exportButton.click()
    assert questions == ["liver.stl exists already. Replace it?"]
    assert ((tmp_path / "liver.stl").read_bytes() == b"mine") != answer
    CHOSEN_FILES.append(str(tmp_path / "liver.stl"))  # of this one the dialogue has asked itself
    panel.ui.exportButton.click()
    assert len(questions) == 1
    assert (tmp_path / "liver.stl").read_bytes() != b"mine"


def test_a_script_that_refines_leaves_the_panel_ready(widget, sample, slicer, ellipsoid_prior_file):
    texts = set()
    model = widget.logic.refineContours(
        sample[1:4],
        prior=str(ellipsoid_prior_file),
        settings={"shared_steps": 8, "local_steps": 4, "shared_level": 3, "level": 3},
        onProgress=lambda _progress: texts.add(widget.panel.ui.refineButton.text),
    )
    assert model.GetPolyData().GetNumberOfPoints() == widget.logic.session.result.report["vertices"]
    wait_for(slicer, lambda: widget.panel.ui.refineButton.text == "Refine")
    assert texts <= {"Refine", "Cancel"}


def test_a_segment_that_is_cut_at_the_border_is_told_of_each_time(panel, sample, slicer, application):
    panel.parameters.result = model_of(scene_nodes.sphere(radius=400.0, level=3), slicer)
    panel.parameters.referenceVolume = sample[0]
    panel.update()
    for count in (1, 2):
        panel.ui.segmentButton.click()
        assert panel.parameters.resultSegmentation is sample[-1], "the one on the volume"
        assert sample[-1].GetSegmentation().GetNumberOfSegments() == 1 + count
        assert [text for text in application.MESSAGES if "beyond the image" in text] == application.MESSAGES
        assert len(application.MESSAGES) == count


# --- contours


@pytest.mark.parametrize(
    ("name", "view", "orientation", "axis", "place", "told"),
    [
        ("axial", "Red", "Axial", 2, 11.0, "axial, S 11 mm"),
        ("sagittal", "Yellow", "Sagittal", 0, 5.0, "sagittal, R 5 mm"),
        ("coronal", "Green", "Coronal", 1, -7.0, "coronal, P 7 mm"),
    ],
)
def test_a_contour_is_drawn_on_the_plane_that_is_shown(panel, slicer, name, view, orientation, axis, place, told):
    from DALSRefineLib.nodes import drawing

    slice_node(slicer, view, orientation)
    getattr(panel.ui, f"{name}Button").click()
    (curve,) = panel.source.curves
    assert drawing.is_placing(slicer.mrmlScene)
    selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    assert selection.GetActivePlaceNodeID() == curve.GetID()
    assert selection.GetActivePlaceNodeClassName() == "vtkMRMLMarkupsClosedCurveNode"
    for point in np.random.default_rng(2).normal(scale=40.0, size=(5, 3)):
        curve.AddControlPoint(*point.tolist())
    curve.SetNthControlPointPosition(1, 30.0, 31.0, 32.0)
    placed = np.array([curve.GetNthControlPointPosition(i) for i in range(5)])
    np.testing.assert_allclose(placed[:, axis], place, atol=2e-3)
    assert np.ptp(placed, axis=0).max() > 10
    panel.update()
    table = panel.ui.contourTable
    assert [table.item(0, column).text() for column in (1, 2)] == [told, "5"]


@pytest.mark.parametrize(
    ("name", "position_mm", "text"),
    [
        ("sagittal", -35.4, "sagittal, L 35 mm"),
        ("coronal", 7.0, "coronal, A 7 mm"),
        ("axial", -0.6, "axial, I 1 mm"),
        ("axial", 0.0, "axial, S 0 mm"),
        ("oblique", None, "oblique"),
        ("", None, ""),
    ],
)
def test_a_plane_is_told_with_the_letter_of_its_side(panel, name, position_mm, text):
    from DALSRefineLib.nodes.inputs import CurvePlane
    from DALSRefineLib.panel.contour_table import plane_text

    assert plane_text(CurvePlane(name, position_mm, 5)) == text


def test_without_a_slice_view_a_sentence_says_so(panel, application):
    panel.ui.axialButton.click()
    assert application.MESSAGES == ["There is no Red slice view to draw in."]
    assert panel.source.curves == []


def test_the_table_renames_hides_and_deletes(with_contours, sample, slicer):
    from PySide6.QtCore import Qt

    panel, table = with_contours, with_contours.ui.contourTable
    assert table.rowCount == 3
    table.item(1, 0).setText("upper")
    assert sample[2].GetName() == "upper"
    table.item(1, 3).setCheckState(Qt.Unchecked)
    assert not sample[2].GetDisplayNode().GetVisibility()
    table.setCurrentCell(1, 0)
    assert panel.ui.deleteContourButton.enabled
    panel.ui.deleteContourButton.click()
    assert sample[2].GetScene() is None
    assert panel.source.curves == [sample[1], sample[3]]
    assert table.rowCount == 2
    slicer.mrmlScene.RemoveNode(sample[3])  # elsewhere, such as in the Data module
    assert table.rowCount == 1


def test_ticked_curves_of_the_scene_are_added_once(panel, sample):
    for curve in sample[2:4]:
        panel.ui.curveSelector.setCheckState(curve, True)
    panel.ui.addCurveButton.click()
    panel.ui.addCurveButton.click()
    assert panel.source.curves == sample[2:4]


def test_a_ticked_nothing_is_no_curve(panel, sample, monkeypatch, application):
    monkeypatch.setattr(panel.ui.curveSelector, "checkedNodes", lambda: [None, sample[2]])
    panel.ui.addCurveButton.click()
    assert panel.source.curves == [sample[2]]
    assert application.MESSAGES == []


def test_previews_that_come_and_go_do_not_make_the_panel_look_at_everything(widget, panel, sample, slicer, monkeypatch):
    from DALSRefineLib.nodes.preview import Preview

    looks, preview = [], Preview(slicer.mrmlScene)
    monkeypatch.setattr(panel, "update", lambda: looks.append(True))
    preview.show(scene_nodes.sphere(level=1), name="preview", colour=(1.0, 0.0, 0.0))
    preview.close()
    assert looks == []
    slicer.mrmlScene.RemoveNode(sample[3])
    assert looks == [True]
    widget.parent.isEntered = False
    slicer.mrmlScene.RemoveNode(sample[2])
    assert looks == [True], "the panel looks when it is opened again"


# --- what Slicer is told and asked for


def test_the_sample_is_offered_as_slicer_wants_it(panel, slicer, monkeypatch):
    from DALSRefineLib import sample_data

    offered = []
    logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **options: offered.append(options))
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    sample_data.register()
    (options,) = offered
    names = options["fileNames"]
    assert len(names) == len(options["uris"]) == len(options["nodeNames"]) == 5  # None would end Slicer's start
    assert all(
        Path(url2pathname(urlparse(uri).path)).name == name for uri, name in zip(options["uris"], names, strict=True)
    )
    assert Path(options["thumbnailFileName"]).is_file()
    assert [node.GetName() for node in options["customDownloader"](None)] == options["nodeNames"]


@pytest.mark.parametrize("newer", [True, False])
def test_packages_are_installed_as_slicer_wants_it(slicer, monkeypatch, newer):
    from DALSRefineLib import install

    asked = []
    packaging = types.ModuleType("slicer.packaging")
    if newer:
        packaging.pip_ensure = lambda requirements, **options: asked.append((requirements, options))
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer.util, "pip_install", asked.append, raising=False)
    install.install(["safetensors", "gpytoolbox"])
    if newer:  # in testing mode it installs nothing unless it is told to
        expected = ["safetensors>=0.4", "gpytoolbox>=0.3"], {"prompt_install": False, "requester": "DALSRefine"}
        assert asked == [expected]
    else:
        assert asked == ["safetensors>=0.4 gpytoolbox>=0.3"]


def test_a_failed_installation_is_told_in_a_sentence(slicer, monkeypatch):
    from dals.errors import DalsError
    from DALSRefineLib import install

    def fail(*_arguments, **_options):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setitem(sys.modules, "slicer.packaging", types.ModuleType("slicer.packaging"))
    monkeypatch.setattr(slicer.util, "pip_install", fail, raising=False)
    with pytest.raises(DalsError, match="safetensors"):
        install.install(["safetensors"])
    torch_utils = types.ModuleType("PyTorchUtils")
    torch_utils.__spec__ = importlib.machinery.ModuleSpec("PyTorchUtils", None)
    torch_utils.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=fail)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", torch_utils)
    with pytest.raises(DalsError, match="PyTorch could not be installed"):
        install.install(["torch"])


def test_torch_comes_through_the_extension_for_it(slicer, monkeypatch):
    from dals.errors import DalsError
    from DALSRefineLib import install

    with pytest.raises(DalsError, match="PyTorch extension"):
        install.install(["torch"])
    asked = []
    torch_utils = types.ModuleType("PyTorchUtils")
    torch_utils.__spec__ = importlib.machinery.ModuleSpec("PyTorchUtils", None)
    torch_utils.PyTorchUtilsLogic = lambda: types.SimpleNamespace(
        installTorch=lambda **options: asked.append(options) or torch_utils
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", torch_utils)
    install.install(["torch"])
    assert asked == [{"askConfirmation": False, "torchVersionRequirement": install.torch_requirement()}]


def test_torch_2_13_is_not_installed_on_windows(panel):
    # Its licences have paths that are too long there: https://github.com/Slicer/light-the-torch/issues/176
    from packaging.specifiers import SpecifierSet

    from DALSRefineLib.install import torch_requirement

    windows, linux, macos = (SpecifierSet(torch_requirement(name)) for name in ("win32", "linux", "darwin"))
    assert "2.12.1" in windows
    assert "2.13.0" not in windows
    assert "2.13.0" in linux
    assert "2.13.0" in macos
    assert "2.1.0" not in windows


@pytest.mark.parametrize("outcome", [True, False, RuntimeError("no network")])
def test_the_extensions_manager_asks_again_afterwards(slicer, monkeypatch, outcome):
    from dals.errors import DalsError
    from DALSRefineLib import install

    def fetch(name, *_):
        assert (name, manager.interactive) == ("PyTorch", False)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    manager = types.SimpleNamespace(
        interactive=True,
        updateExtensionsMetadataFromServer=lambda *_: True,
        downloadAndInstallExtensionByName=fetch,
    )
    monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: manager, raising=False)
    with contextlib.nullcontext() if outcome is True else pytest.raises((DalsError, RuntimeError)):
        install.install_pytorch_extension()
    assert manager.interactive is True


def test_a_reload_takes_everything(widget, application):
    def ours():
        return {name: sys.modules[name] for name in sys.modules if name.startswith(("dals", "DALSRefineLib"))}

    before = ours()
    assert {"dals.errors", "DALSRefineLib.panel.widget"} <= set(before)
    try:
        widget.onReload()
        assert ours() == {}
        assert application.MESSAGES == ["reloaded"]
    finally:
        sys.modules.update(before)


# --- a Slicer whose Python is too old


def test_a_slicer_with_an_old_python_gets_one_sentence(slicer, application, monkeypatch):
    import DALSRefine

    monkeypatch.setattr(DALSRefine, "_OLDEST_PYTHON", (99, 0))
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    parent, started = types.SimpleNamespace(), len(slicer.app.started)
    DALSRefine.DALSRefine(parent)
    assert len(slicer.app.started) == started, "the sample needs the library"
    monkeypatch.setitem(sys.modules, "DALSRefineLib.panel.widget", None)  # its import fails, as on an older Python
    widget = application.open_module(DALSRefine.DALSRefineWidget)
    (label,) = (widget.layout.itemAt(index).widget() for index in range(widget.layout.count()))
    assert (
        label.text == f"DALSRefine needs Python 99.0 or newer; this Slicer has Python {this}. Install a newer Slicer."
    )
    widget.enter()
    widget.cleanup()
    with pytest.raises(RuntimeError, match="needs Python 99"):
        DALSRefine.DALSRefineLogic()


# --- the end


def test_a_closed_panel_watches_nothing(slicer, application, opened):
    import DALSRefine
    from DALSRefineLib import sample_data

    slicer.mrmlScene.Clear()
    curve = sample_data.load()[1]
    slice_node(slicer, "Red", "Axial")
    markups, transformable = slicer.vtkMRMLMarkupsNode, slicer.vtkMRMLTransformableNode
    events = (markups.PointModifiedEvent, markups.PointRemovedEvent, transformable.TransformModifiedEvent)
    before = [curve.HasObserver(event) for event in events]
    widget = application.open_module(DALSRefine.DALSRefineWidget)
    try:
        opened.panel.set_parameters(None)
        widget.panel.source.add_curve(curve)
        assert [curve.HasObserver(event) for event in events] != before
    finally:
        widget.cleanup()
    assert [curve.HasObserver(event) for event in events] == before
    assert widget.Observations == []
    assert not widget.panel.session.running
