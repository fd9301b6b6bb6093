"""Edits of a segmentation in a table that carries them out, and several organs at once. On stand-ins, not Slicer."""

from __future__ import annotations

import numpy as np
import pytest
from panel_driver import model_of, refine, seconds_of, slice_node, wait_for
from PySide6.QtCore import Qt
from scene_nodes import add_segment, sphere

from dals.geometry.voxelisation import mesh_to_label_map

SOON_S = 1.0
"""Processor time in which a tick is carried out."""


@pytest.fixture
def with_segmentation(panel, sample):
    panel.parameters.source = "segmentation"
    panel.parameters.segmentation = sample[-1]
    panel.parameters.segment = sample[-1].GetSegmentation().GetNthSegmentID(0)
    panel.update()
    return panel


@pytest.fixture
def with_edits(with_segmentation, slicer):
    refine(slicer, with_segmentation)
    assert with_segmentation.ui.editsTable.rowCount >= 2
    return with_segmentation


def ticks(panel):
    table = panel.ui.editsTable
    return [table.item(row, 0).checkState() == Qt.Checked for row in range(table.rowCount)]


def tick(panel, row, on):
    panel.ui.editsTable.item(row, 0).setCheckState(Qt.Checked if on else Qt.Unchecked)


def settled(slicer, panel):
    wait_for(slicer, lambda: panel.session._choice is None and not panel.session.running)


def volume_of(panel):
    from DALSRefineLib.nodes import outputs

    return outputs.mesh_of_model(panel.parameters.result).volume


def report_of(panel):
    from DALSRefineLib.session import report_of

    return report_of(panel.parameters.result)


def test_a_row_tells_of_its_edit(with_edits):
    panel, table = with_edits, with_edits.ui.editsTable
    edits = report_of(panel)["edits"]
    assert table.rowCount == len(edits)
    assert ticks(panel) == [edit["applied"] for edit in edits]
    for row, edit in enumerate(edits):
        kind, place, volume, depth, _unlikely = (table.item(row, column).text() for column in range(5))
        assert kind.startswith(edit["kind"])
        assert f" {abs(edit['centre_mm'][2]):.0f}" in place
        assert float(volume) == pytest.approx(edit["volume_ml"], rel=0.01, abs=0.5)
        assert float(depth) == pytest.approx(edit["depth_mm"], abs=0.06)
    applied = sum(edit["applied"] for edit in edits)
    assert panel.ui.editsCollapsibleButton.text == f"Edits: {applied} of {len(edits)} carried out"
    assert not panel.ui.editsCollapsibleButton.isHidden()


def test_without_edits_there_is_no_table(with_contours, slicer):
    assert with_contours.ui.editsCollapsibleButton.isHidden()
    refine(slicer, with_contours)
    assert with_contours.ui.editsCollapsibleButton.isHidden()


def test_a_tick_is_carried_out_at_once_and_back(with_edits, slicer):
    panel, before, volume = with_edits, report_of(with_edits), volume_of(with_edits)
    row = next(i for i, e in enumerate(before["edits"]) if not e["applied"] and e["kind"] == "leak cut")
    process = panel.session._runner.process_id
    began = seconds_of(process)
    tick(panel, row, True)
    assert not panel.session.running, "a tick is no fit"
    settled(slicer, panel)
    assert seconds_of(process) - began < SOON_S
    after = report_of(panel)
    assert volume - volume_of(panel) == pytest.approx(1e3 * before["edits"][row]["volume_ml"], rel=0.5)
    assert after["volume_ml"] == pytest.approx(volume_of(panel) / 1e3, rel=1e-3)
    assert f"{after['volume_ml']:.0f} ml" in panel.ui.summaryLabel.text
    assert ticks(panel)[row]
    assert f"{sum(ticks(panel))} of {len(ticks(panel))}" in panel.ui.statusLabel.text
    tick(panel, row, False)
    settled(slicer, panel)
    assert volume_of(panel) == pytest.approx(volume)
    assert report_of(panel)["edits"] == before["edits"]


def test_the_segment_follows_the_ticks_to_the_voxel(with_edits, sample, slicer):
    panel, segmentation = with_edits, sample[-1]
    voxels = []
    for choose in (panel.ui.suggestedEditsButton, panel.ui.noEditsButton):
        choose.click()
        settled(slicer, panel)
        panel.ui.segmentButton.click()
        identifier = segmentation.GetSegmentation().GetNthSegmentID(len(voxels) + 1)
        voxels.append(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifier, sample[0]) > 0)
    first = segmentation.GetSegmentation().GetNthSegmentID(0)
    given = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, first, sample[0]) > 0
    np.testing.assert_array_equal(voxels[1], given)
    assert (voxels[0] != given).any()
    holes = [edit for edit in report_of(panel)["edits"] if edit["kind"] == "hole filled"]
    assert holes, "which no surface shows"


def test_the_last_of_quick_ticks_counts(with_edits, slicer):
    panel = with_edits
    for button in (panel.ui.allEditsButton, panel.ui.noEditsButton, panel.ui.allEditsButton):
        button.click()
    settled(slicer, panel)
    assert all(ticks(panel))
    assert all(edit["applied"] for edit in report_of(panel)["edits"])
    panel.ui.suggestedEditsButton.click()
    settled(slicer, panel)
    assert not all(ticks(panel))


def test_a_click_goes_to_the_place(with_edits, slicer):
    from DALSRefineLib.nodes import marks

    panel, red = with_edits, slice_node(slicer, "Red", "Axial")
    place = report_of(panel)["edits"][1]["centre_mm"]
    panel.ui.editsTable.cellClicked.emit(1, 1)
    assert red.GetSliceOffset() == pytest.approx(place[2], abs=1e-3)
    assert marks.mark_of(slicer.mrmlScene).GetNthControlPointPosition(0) == pytest.approx(place)


def test_undo_and_redo_have_their_own_ticks(with_edits, slicer):
    panel = with_edits
    panel.ui.noEditsButton.click()
    settled(slicer, panel)
    first = volume_of(panel)
    panel.parameters.edits = "all"
    refine(slicer, panel)
    assert all(ticks(panel))
    tick(panel, 0, False)
    panel.ui.undoButton.click()  # while the tick is carried out
    assert not any(ticks(panel))
    wait_for(slicer, lambda: panel.session._choice is None)
    assert volume_of(panel) == pytest.approx(first)
    panel.ui.redoButton.click()
    assert all(ticks(panel))
    panel.ui.undoButton.click()
    panel.ui.allEditsButton.click()
    settled(slicer, panel)
    assert all(ticks(panel))


def test_another_fit_takes_the_place_of_a_tick(with_edits, slicer):
    panel = with_edits
    suggested = ticks(panel)
    panel.ui.noEditsButton.click()
    panel.ui.refineButton.click()
    assert panel.session.running
    assert not panel.ui.allEditsButton.enabled
    wait_for(slicer, lambda: not panel.session.running)
    assert ticks(panel) == suggested
    assert panel.ui.allEditsButton.enabled


def test_a_table_of_a_result_that_is_gone_is_gone(with_edits, slicer, widget):
    panel = with_edits
    slicer.mrmlScene.RemoveNode(panel.parameters.result)
    panel.update()
    assert panel.ui.editsCollapsibleButton.isHidden()
    refine(slicer, panel)
    panel.ui.noEditsButton.click()
    widget.onSceneStartClose()
    slicer.mrmlScene.Clear()
    widget.onSceneChanged()
    assert panel.ui.editsCollapsibleButton.isHidden()
    assert not panel.session.can_choose


def test_a_saved_result_shows_its_edits_but_changes_none(with_edits, slicer, widget, tmp_path):
    panel, known = with_edits, ticks(with_edits)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    widget.onSceneStartClose()
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(path)
    widget.onSceneChanged()
    assert ticks(panel) == known
    assert not panel.ui.editsTable.item(0, 0).flags() & Qt.ItemIsUserCheckable
    assert "Refine once more" in panel.ui.editsTable.item(0, 0).toolTip()
    assert not panel.ui.noEditsButton.enabled


def test_what_the_worker_has_forgotten_is_said(with_edits, slicer):
    panel, known, volume = with_edits, ticks(with_edits), volume_of(with_edits)
    assert panel.ui.editsNoteLabel.isHidden()
    panel.session._runner._discard()  # as if it had crashed
    panel.ui.noEditsButton.click()
    settled(slicer, panel)
    assert "Refine once more" in panel.ui.editsNoteLabel.text
    assert not panel.ui.noEditsButton.enabled
    assert ticks(panel) == known
    assert volume_of(panel) == pytest.approx(volume)


def test_edits_that_the_worker_no_longer_has_are_shown_only(with_edits, slicer, monkeypatch):
    monkeypatch.setattr("DALSRefineLib.session.KEPT", 1)
    panel, item = with_edits, with_edits.ui.editsTable.item(0, 0)
    assert item.flags() & Qt.ItemIsUserCheckable
    panel.parameters.edits = "all"
    refine(slicer, panel)
    assert panel.ui.noEditsButton.enabled
    panel.ui.undoButton.click()
    assert not panel.ui.noEditsButton.enabled
    assert not panel.ui.editsTable.item(0, 0).flags() & Qt.ItemIsUserCheckable
    assert "Refine once more" in panel.ui.editsNoteLabel.text
    panel.ui.redoButton.click()
    assert panel.ui.editsNoteLabel.isHidden()
    assert panel.ui.editsTable.item(0, 0) is item, "an item may be the one whose signal has led here"


@pytest.mark.parametrize(
    "edits",
    [7, [7], [{}], [{"kind": "leak cut", "centre_mm": [1, 2], "volume_ml": 1, "depth_mm": 1, "applied": True}],
     [{"kind": "magic", "centre_mm": [1, 2, 3], "volume_ml": 1, "depth_mm": 1, "applied": True}]],
)  # fmt: skip
def test_a_report_that_was_edited_has_no_rows(app, edits):
    from DALSRefineLib.panel.edit_rows import edit_rows

    assert edit_rows({"edits": edits}) == []
    assert edit_rows(None) == []


# --- several organs


@pytest.fixture
def with_neighbour(with_segmentation, sample):
    """A second segment that overlaps the first one a little."""
    from DALSRefineLib.nodes.inputs import segment_label_map

    panel, node = with_segmentation, sample[-1]
    liver = segment_label_map(node, panel.parameters.segment)
    _low, high = liver.marked_bounds
    centre = 0.5 * sum(liver.marked_bounds)
    centre[0] = high[0] + 30.0
    spleen = mesh_to_label_map(sphere(radius=38.0, centre=centre), liver.empty_like())
    add_segment(node, spleen, name="Spleen, guessed")
    panel.update()
    return panel


def test_a_prior_is_guessed_from_the_segment_s_name(app):
    from DALSRefineLib.priors import guessed_prior, guessed_side

    names = ["liver", "kidney", "spleen"]
    assert guessed_prior("Left Kidney", names) == "kidney"
    assert guessed_prior("liver_vessels 2", names) == "liver"
    assert guessed_prior("Segment_1", names) == ""
    assert [guessed_side(name) for name in ("Left Kidney", "kidney_right", "kidney", "leftover")] == [
        "left", "right", "auto", "auto",
    ]  # fmt: skip


def test_other_segments_are_offered(with_neighbour):
    panel, table = with_neighbour, with_neighbour.ui.organsTable
    assert table.rowCount == 1
    assert table.item(0, 0).text() == "Spleen, guessed"
    assert table.cellWidget(0, 1).currentText == "Spleen"
    assert panel.source.other_organs == []
    table.item(0, 0).setCheckState(Qt.Checked)
    assert [name for name, _prior, _id in panel.source.other_organs] == ["Spleen, guessed"]
    table.cellWidget(0, 1).currentIndex = 0
    assert "Choose a prior for Spleen, guessed" in panel.ui.obstacleLabel.text
    assert not panel.ui.refineButton.enabled


def test_two_organs_make_two_models_that_do_not_overlap(with_neighbour, slicer, sample):
    from DALSRefineLib.nodes import outputs

    panel, node = with_neighbour, sample[-1]
    panel.ui.organsTable.item(0, 0).setCheckState(Qt.Checked)
    refine(slicer, panel)
    models = panel.session.models.nodes
    assert [model.GetName() for model in models] == ["Liver", "Spleen, guessed"]
    meshes = [outputs.mesh_of_model(model) for model in models]
    grid = mesh_to_label_map(meshes[0], _grid(panel))
    assert not (grid.array & mesh_to_label_map(meshes[1], _grid(panel)).array).any()
    assert panel.ui.organComboBox.count == 2
    volume = panel.ui.summaryLabel.text
    panel.ui.organComboBox.currentIndex = 1
    assert panel.parameters.result is models[1]
    assert panel.ui.summaryLabel.text != volume
    panel.ui.noEditsButton.click()
    settled(slicer, panel)
    assert not any(ticks(panel))
    assert not (
        mesh_to_label_map(outputs.mesh_of_model(models[0]), _grid(panel)).array
        & mesh_to_label_map(outputs.mesh_of_model(models[1]), _grid(panel)).array
    ).any()
    count = node.GetSegmentation().GetNumberOfSegments()
    panel.ui.segmentButton.click()
    assert node.GetSegmentation().GetNumberOfSegments() == count + 2
    refine(slicer, panel)  # with the second organ's model shown
    assert panel.session.models.nodes == models
    panel.ui.undoButton.click()
    assert panel.session.models.nodes == models
    panel.ui.organsTable.item(0, 0).setCheckState(Qt.Unchecked)
    refine(slicer, panel)
    assert panel.session.models.nodes == models[:1]
    assert panel.ui.organComboBox.isHidden()


def test_the_choice_of_organs_is_saved(with_neighbour, slicer, widget, tmp_path):
    panel = with_neighbour
    panel.ui.organsTable.item(0, 0).setCheckState(Qt.Checked)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear()
    widget.onSceneChanged()
    slicer.util.loadScene(path)
    widget.onSceneChanged()
    assert [(name, prior) for name, prior, _id in panel.source.other_organs] == [("Spleen, guessed", "spleen")]
    assert panel.ui.organsTable.item(0, 0).checkState() == Qt.Checked


def test_a_model_that_is_no_result_has_no_organ(panel, slicer):
    assert panel.session.models.index_of(model_of(sphere(), slicer)) is None
    assert panel.session.models.index_of(None) is None


def _grid(panel):
    from DALSRefineLib.nodes.inputs import segment_label_map

    return segment_label_map(panel.parameters.segmentation, panel.parameters.segment).empty_like()
