"""Working with the panel: what it says and does from the first curve to the segment. On stand-ins, not Slicer."""

from __future__ import annotations

import types

import numpy as np
import pytest
from panel_driver import model_of, refine, slice_node, wait_for
from scene_nodes import CENTRE, circle, curve_node, sphere


@pytest.fixture
def with_views(slicer, panel):
    """Slice nodes of the three views, and a surface with curves on two planes."""
    nodes = {
        view: slice_node(slicer, view, orientation)
        for view, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
    }
    for node, orientation in zip(nodes.values(), ("Axial", "Sagittal", "Coronal"), strict=True):
        node.SetOrientation(orientation)
        node.JumpSlice(*CENTRE)
    for axis in (0, 1):
        panel.source.add_curve(curve_node(slicer.mrmlScene, circle(axis), name=f"drawn {axis}"))
    panel.parameters.result = model_of(sphere(), slicer)
    panel.parameters.autoRefine = False
    panel.update()
    return nodes


def rows_of(panel):
    table = panel.ui.contourTable
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]


# --- what it says


def test_the_reason_under_a_grey_button_is_text(panel, sample):
    label = panel.ui.obstacleLabel
    assert "two planes" in label.text
    assert not label.isHidden()
    for curve in sample[1:4]:
        panel.source.add_curve(curve)
    assert label.text == ""
    assert label.isHidden()


def test_the_bar_is_empty_after_a_cancelled_fit(with_contours, slicer):
    panel = with_contours
    panel.parameters.iterations = 2000
    panel.ui.refineButton.click()
    wait_for(slicer, lambda: panel.ui.progressBar.value > 0)
    panel.ui.refineButton.click()
    assert panel.ui.progressBar.value == 0
    assert "Cancelled" in panel.ui.statusLabel.text


def test_volume_and_confidence_stand_beside_the_button(with_contours, slicer):
    panel = with_contours
    assert panel.ui.summaryLabel.isHidden()
    refine(slicer, panel)
    text = panel.ui.summaryLabel.text
    assert not panel.ui.summaryLabel.isHidden()
    assert " ml" in text
    assert ", confidence " in text
    assert panel.ui.refineCollapsibleButton.isAncestorOf(panel.ui.summaryLabel)
    assert panel.ui.refineCollapsibleButton.isAncestorOf(panel.ui.segmentButton)
    assert panel.ui.refineCollapsibleButton.isAncestorOf(panel.ui.exportButton)


def test_the_choice_of_the_organ_makes_room_once(panel, sample, slicer):
    section = panel.ui.priorCollapsibleButton
    assert not section.collapsed
    assert section.text == "Prior: Liver"
    panel.source.add_curve(sample[1])
    assert section.collapsed
    section.collapsed = False  # the user wants it open
    panel.source.add_curve(sample[2])
    assert not section.collapsed


def test_the_worst_place_is_marked_and_shown(with_contours, slicer):
    from DALSRefineLib.nodes import marks

    panel, red = with_contours, slice_node(slicer, "Red", "Axial")
    refine(slicer, panel)
    button = panel.ui.worstPlaceButton
    assert button.enabled
    assert button.text.startswith("Worst: ")
    mark = marks.mark_of(slicer.mrmlScene)
    distance = float(button.text.split()[1])
    assert (mark is not None) == (distance > 4.0)
    button.click()
    mark = marks.mark_of(slicer.mrmlScene)
    place = mark.GetNthControlPointPosition(0)
    assert red.GetSliceOffset() == pytest.approx(place[2], abs=1e-3)
    assert f"{distance:.1f} mm" in panel.ui.statusLabel.text
    row = next(i for i, (name, _value) in enumerate(panel.result._rows) if "contours' planes" in name)
    panel.ui.resultTable.cellClicked.emit(row, 0)
    assert "on its plane" in panel.ui.statusLabel.text


@pytest.mark.parametrize(
    "places",
    [None, 7, [7], [{}], [{"what": "missed", "name": "a", "mm": "far", "ras_mm": [1, 2, 3]}],
     [{"what": "missed", "name": "a", "mm": 3.0, "ras_mm": [1, 2]}],
     [{"what": "other", "name": "a", "mm": 3.0, "ras_mm": [1, 2, 3]}],
     [{"what": "missed", "name": "a", "mm": 3.0, "ras_mm": [1, 2, float("nan")]}]],
)  # fmt: skip
def test_a_report_that_was_edited_has_no_places(panel, places):
    from DALSRefineLib.panel.report_places import places_of

    assert places_of({"places": places}) == []
    assert places_of(None) == []


# --- undo


def test_undo_brings_the_moved_point_back_and_starts_nothing(with_contours, sample, slicer, monkeypatch):
    panel = with_contours
    refine(slicer, panel)
    first = sample[1].GetNthControlPointPosition(0)
    sample[1].SetNthControlPointPosition(0, first[0] + 6.0, *first[1:])
    moved = sample[1].GetNthControlPointPosition(0)
    wait_for(slicer, lambda: panel.session.running)
    wait_for(slicer, lambda: not panel.session.running)
    starts, start = [], panel.session.start
    monkeypatch.setattr(panel.session, "start", lambda *a, **k: (starts.append(k), start(*a, **k)))
    panel.ui.undoButton.click()
    assert sample[1].GetNthControlPointPosition(0) == pytest.approx(first)
    assert not panel.source.watcher.pending
    panel.ui.redoButton.click()
    assert sample[1].GetNthControlPointPosition(0) == pytest.approx(moved)
    assert not panel.ui.redoButton.enabled
    assert starts == []


# --- drawing


def test_proposed_outlines_are_bent_or_accepted(panel, with_views, slicer):
    with_views["Red"].Modified()
    panel.ui.predrawButton.click()
    (proposed,) = panel.source.drawing.proposals
    assert rows_of(panel)[-1][1] == "axial, S 40 mm (proposed)"
    assert panel.source.accepted == panel.source.curves[:2]
    assert panel.ui.acceptButton.enabled
    proposed.SetNthControlPointPosition(0, *(CENTRE + np.array([31.0, 0.0, 0.0])))
    assert panel.source.drawing.proposals, "a script may move it"
    proposed.InvokeEvent(proposed.PointStartInteractionEvent)
    proposed.InvokeEvent(proposed.PointEndInteractionEvent)
    assert panel.source.drawing.proposals == []
    assert len(panel.source.accepted) == 3
    with_views["Green"].Modified()
    panel.ui.predrawButton.click()
    panel.ui.acceptButton.click()
    assert panel.source.drawing.proposals == []
    assert len(panel.source.accepted) == 4
    assert not panel.ui.acceptButton.enabled


def test_without_a_surface_nothing_is_drawn_in_advance(panel, slicer, application):
    slice_node(slicer, "Red", "Axial")
    assert not panel.ui.predrawButton.enabled
    assert not panel.ui.suggestButton.enabled
    panel.guarded(panel.source.drawing.predraw)
    panel.guarded(panel.source.drawing.suggest)
    assert len(application.MESSAGES) == 2
    assert panel.source.curves == []


def test_the_suggested_slice_is_shown_and_enter_goes_on(panel, with_views, slicer):
    drawing = panel.source.drawing
    assert not drawing.awaits_enter
    panel.ui.suggestButton.click()
    assert panel.ui.suggestionLabel.text.startswith("Suggested: ")
    assert drawing.awaits_enter
    drawing.enter()
    assert len(drawing.proposals) == 1
    assert panel.ui.suggestionLabel.text == ""
    drawing.enter()
    assert drawing.proposals == []
    assert len(panel.source.accepted) == 3
    assert not drawing.awaits_enter


def test_the_button_draws_on_the_slice_that_was_suggested(panel, with_views, slicer):
    from DALSRefineLib.nodes import drawing

    for other in ("Red", "Yellow", "Green"):
        with_views[other].Modified()  # the last one of these was scrolled last
        panel.ui.suggestButton.click()
        view = panel.source.drawing.suggested
        panel.ui.predrawButton.click()
        (proposed,) = panel.source.drawing.proposals
        plane, shown = drawing.plane_of(proposed), drawing.plane_shown(with_views[view])
        assert abs(plane.normal @ shown.normal) == pytest.approx(1.0), (other, view)
        assert shown.distances(plane.origin[None])[0] == pytest.approx(0.0, abs=1e-6)
        slicer.mrmlScene.RemoveNode(proposed)


def test_curves_that_were_loaded_are_added_at_once(panel, sample, application):
    panel.ui.addAllCurvesButton.click()
    assert panel.source.curves == sample[1:4]
    panel.ui.addAllCurvesButton.click()
    assert application.MESSAGES == ["The scene has no other closed curve."]


def test_an_incomplete_plane_is_ticked(panel, sample):
    from PySide6.QtCore import Qt

    from DALSRefineLib.nodes.incomplete import is_incomplete

    panel.source.add_curve(sample[1])
    panel.source.watcher.forget()
    panel.ui.contourTable.item(0, 4).setCheckState(Qt.Checked)
    assert is_incomplete(sample[1])
    assert panel.source.watcher.pending, "the fit follows"
    panel.update()
    assert panel.ui.contourTable.item(0, 4).checkState() == Qt.Checked


def test_freehand_takes_the_view_s_own_mouse(panel, slicer, with_views, monkeypatch):
    import vtkmodules.vtkRenderingUI  # noqa: F401
    from PySide6.QtCore import Qt
    from vtkmodules.vtkRenderingCore import vtkRenderWindowInteractor

    interactor, cursors, defaults = vtkRenderWindowInteractor(), [], []
    view = types.SimpleNamespace(
        interactor=lambda: interactor,
        setViewCursor=cursors.append,
        setDefaultViewCursor=defaults.append,
    )
    widget = types.SimpleNamespace(sliceView=lambda: view, visible=True)
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: types.SimpleNamespace(sliceWidget=lambda name: widget))
    panel.ui.freehandCheckBox.click()
    panel.ui.axialButton.click()
    assert panel.source.drawing.is_drawing
    assert [cursor.shape() for cursor in cursors] == [Qt.CrossCursor]
    curve = panel.source.curves[-1]
    interactor.InvokeEvent("LeftButtonPressEvent")
    interactor.InvokeEvent("LeftButtonReleaseEvent")
    assert curve.GetNumberOfControlPoints() == 1
    interactor.InvokeEvent("RightButtonPressEvent")
    interactor.InvokeEvent("RightButtonReleaseEvent")
    assert not panel.source.drawing.is_drawing
    assert cursors[-1].shape() == Qt.ArrowCursor
    assert defaults == cursors
    panel.ui.coronalButton.click()
    panel.set_parameters(None)
    assert not panel.source.drawing.is_drawing


# --- live


def test_the_surface_follows_while_a_point_is_dragged(with_contours, sample, slicer, monkeypatch):
    panel, starts, start = with_contours, [], with_contours.session.start
    refine(slicer, panel)
    before = panel.session.result
    monkeypatch.setattr(panel.session, "start", lambda *a, **k: (starts.append(k), start(*a, **k)))
    curve = sample[1]
    r, a, s = curve.GetNthControlPointPosition(0)
    curve.InvokeEvent(curve.PointStartInteractionEvent)
    shown = []
    panel.session.listeners.append(lambda event: shown.append(getattr(event, "mesh", None)))
    for step in range(1, 7):
        curve.SetNthControlPointPosition(0, r + step, a, s)
        count = len(starts)
        wait_for(slicer, lambda count=count: len(starts) > count)
    assert any(mesh is not None for mesh in shown), "something was seen before the hand came to rest"
    curve.SetNthControlPointPosition(0, r + 7.0, a, s)
    curve.InvokeEvent(curve.PointEndInteractionEvent)
    wait_for(slicer, lambda: len(starts) >= 7)
    wait_for(slicer, lambda: not panel.session.running)
    panel.session.listeners.pop()
    assert {how["gesture"] for how in starts} == {panel.source.watcher.gesture}
    assert all(how["warm"] for how in starts)
    panel.ui.undoButton.click()
    assert panel.session.result.mesh is before.mesh, "one movement of the hand is one step"
    assert curve.GetNthControlPointPosition(0) == pytest.approx((r, a, s))


def test_each_live_fit_is_seen_before_the_next_one_starts():
    from DALSRefineLib.panel.live_refit import LiveRefit

    now = [0.0]
    live = LiveRefit(least_s=0.2, clock=lambda: now[0])
    assert live.due
    live.started()
    now[0] = 5.0
    assert not live.due, "it has shown nothing yet"
    live.shown()
    assert live.due
    live.started()
    live.shown()
    assert not live.due, "so soon"
    now[0] += 0.2
    assert live.due


# --- sides, edits, borders


def test_side_edits_and_border_go_with_the_request(panel, sample, slicer, monkeypatch):
    requests = []
    monkeypatch.setattr(panel.session, "start", lambda request, **_: requests.append(request))
    (identifier,) = sample[-1].GetSegmentation().GetSegmentIDs()
    parameters = panel.parameters
    parameters.source, parameters.segmentation, parameters.segment = "segmentation", sample[-1], identifier
    assert panel.ui.sideComboBox.isHidden()
    panel.refine()
    assert not {"edits", "complete"} & set(requests[0].changes)
    panel.ui.completeCheckBox.click()
    panel.ui.editsComboBox.setCurrentIndex(2)
    parameters.prior = "hippocampus"
    assert not panel.ui.sideComboBox.isHidden()
    panel.ui.sideComboBox.setCurrentIndex(2)
    panel.refine()
    assert requests[1].changes["edits"] == "all"
    assert requests[1].changes["complete"] is True
    assert requests[1].side == "right"
    parameters.prior = "liver"
    panel.refine()
    assert requests[2].side == "auto", "its prior has no side"


# --- the image


def test_the_image_is_used_unless_the_user_unticks_it(panel):
    assert panel.parameters.useImage
    assert panel.ui.useImageCheckBox.checked


def test_the_image_that_is_shown_goes_with_the_contours(with_contours, sample, slicer, monkeypatch, application):
    panel, requests = with_contours, []
    panel.parameters.useImage = True
    monkeypatch.setattr(panel.session, "start", lambda request, **_: requests.append(request))
    panel.refine()
    image = requests[0].image
    low, high = requests[0].observation.bounds
    corner = np.linalg.inv(image.ijk_to_ras) @ [*(0.5 * (low + high)), 1.0]
    assert all(0 <= index < size for index, size in zip(corner[:3], image.array.shape[::-1], strict=True))
    panel.ui.useImageCheckBox.click()
    panel.refine()
    assert requests[1].image is None
    panel.ui.useImageCheckBox.click()
    slicer.mrmlScene.RemoveNode(sample[0])
    panel.guarded(panel.refine)
    assert requests[2].image is None
    assert application.MESSAGES == []


def test_an_image_of_another_place_is_left_out_with_a_warning(with_contours, sample, monkeypatch):
    panel, told = with_contours, []
    monkeypatch.setattr(panel.session, "start", lambda request, **given: told.append((request, given["warnings"])))
    panel.parameters.useImage = True
    sample[0].SetOrigin(5000.0, 5000.0, 5000.0)
    panel.refine()
    (request, warnings), *_ = told
    assert request.image is None
    assert len(warnings) == 1
    assert "was not used" in warnings[0]
    assert "does not show the place" in warnings[0]


def test_the_image_that_is_shown_goes_with_one_segmentation(panel, sample, slicer, monkeypatch):
    requests, parameters = [], panel.parameters
    monkeypatch.setattr(panel.session, "start", lambda request, **_: requests.append(request))
    (identifier,) = sample[-1].GetSegmentation().GetSegmentIDs()
    parameters.source, parameters.segmentation, parameters.segment = "segmentation", sample[-1], identifier
    panel.refine()
    low, high = requests[0].observation.bounds
    corners = np.linalg.inv(requests[0].image.ijk_to_ras) @ np.array([[*low, 1.0], [*high, 1.0]]).T
    assert corners[:3].min() >= -0.5
    assert (corners[:3].max(axis=1) <= requests[0].image.array.shape[::-1]).all()
    monkeypatch.setattr(type(panel.source), "other_organs", [("Spleen", "spleen", identifier)])
    panel.refine()
    assert requests[1].image is None, "several organs have no use for it"
    parameters.source, parameters.points = "points", model_of(sphere(), slicer)
    panel.refine()
    assert requests[2].image is None


def test_an_image_is_cut_out_anew_only_where_it_has_to_be(scene, inputs):
    from scene_nodes import oblique_grid, volume_node

    from dals.observations import PointCloud
    from DALSRefineLib.nodes.volume_nodes import ImageParts

    node, parts = volume_node(scene, oblique_grid()), ImageParts()
    around = PointCloud(CENTRE + 5.0 * np.concatenate([np.eye(3), -np.eye(3)]))
    first = parts.shown(node, around)
    assert parts.shown(node, PointCloud(around.points + 0.5)) is first, "there is half of the diagonal around it"
    grown = parts.shown(node, PointCloud(CENTRE + 1.5 * (around.points - CENTRE)))
    assert grown is not first
    node.GetImageData().Modified()
    changed = parts.shown(node, PointCloud(CENTRE + 1.5 * (around.points - CENTRE)))
    assert changed is not grown
    node.SetOrigin(*(np.array(node.GetOrigin()) + 1.0))
    assert parts.shown(node, PointCloud(CENTRE + 1.5 * (around.points - CENTRE))) is not changed
    assert parts.shown(None, around) is None


def test_voxels_of_the_image_are_where_they_are_in_the_world(scene, inputs):
    from scene_nodes import oblique_grid, under_linear_transform, volume_node

    from dals.observations import PointCloud
    from DALSRefineLib.nodes.volume_nodes import image_around

    node = volume_node(scene, oblique_grid())
    move = under_linear_transform(scene, node)
    where = move(CENTRE[None])[0]
    image = image_around(node, PointCloud(where + 5.0 * np.concatenate([np.eye(3), -np.eye(3)])))
    index = np.linalg.inv(image.ijk_to_ras) @ [*where, 1.0]
    assert all(0 <= i < size for i, size in zip(index[:3], image.array.shape[::-1], strict=True))


# --- the result


def test_one_click_adds_the_segment_where_it_belongs(panel, sample, slicer):
    panel.parameters.result = model_of(sphere(centre=np.array([60.0, -20.0, -150.0])), slicer)
    panel.update()
    assert "SyntheticLiver-network" in panel.ui.segmentButton.toolTip
    panel.ui.segmentButton.click()
    assert sample[-1].GetSegmentation().GetNumberOfSegments() == 2
    assert panel.parameters.resultSegmentation is sample[-1]


def test_without_a_segmentation_one_is_made_on_the_volume_that_is_shown(panel, sample, slicer):
    slicer.mrmlScene.RemoveNode(sample[-1])
    panel.parameters.result = model_of(sphere(centre=np.array([60.0, -20.0, -150.0])), slicer)
    panel.update()
    panel.ui.segmentButton.click()
    made = panel.parameters.resultSegmentation
    assert made.GetSegmentation().GetNumberOfSegments() == 1
    assert made.GetNodeReference(made.GetReferenceImageGeometryReferenceRole()) is sample[0]


def test_the_look_of_the_result_is_changed(panel, slicer):
    ui = panel.ui
    assert not ui.opacitySlider.enabled
    panel.parameters.result = model_of(sphere(level=2), slicer)
    panel.update()
    display = panel.parameters.result.GetDisplayNode()
    assert (ui.opacitySlider.value, ui.thicknessSpinBox.value) == (100, 2)
    assert not ui.smoothingSlider.enabled, "it is no result of this session"
    ui.opacitySlider.setValue(40)
    ui.thicknessSpinBox.setValue(5)
    ui.showSlicesCheckBox.click()
    assert display.GetOpacity() == pytest.approx(0.4)
    assert display.GetSliceIntersectionThickness() == 5
    assert (bool(display.GetVisibility3D()), bool(display.GetVisibility2D())) == (True, False)
    display.SetOpacity(0.7)  # in the Data module
    panel.update()
    assert ui.opacitySlider.value == 70


def test_a_result_is_smoothed(with_contours, slicer):
    panel = with_contours
    model = refine(slicer, panel)
    before = model.GetPolyData().GetBounds()
    assert panel.ui.smoothingSlider.enabled
    panel.ui.smoothingSlider.setValue(80)
    panel.ui.smoothingSlider.sliderReleased.emit()
    assert model.GetPolyData().GetBounds() != before
    panel.ui.smoothingSlider.setValue(0)
    panel.ui.smoothingSlider.sliderReleased.emit()
    assert model.GetPolyData().GetBounds() == pytest.approx(before)


def test_a_click_beside_the_slider_s_handle_smooths_and_keeps_the_colours(with_contours, slicer):
    panel = with_contours
    model = refine(slicer, panel)
    before = model.GetPolyData().GetBounds()
    panel.ui.uncertaintyButton.click()
    assert model.GetDisplayNode().GetScalarVisibility()
    panel.ui.smoothingSlider.setValue(80)  # as the style does it: no handle is pressed, none released
    assert model.GetPolyData().GetBounds() != before
    assert model.GetDisplayNode().GetScalarVisibility()
    panel.ui.smoothingSlider.setSliderDown(True)
    smooth = model.GetPolyData().GetBounds()
    panel.ui.smoothingSlider.setValue(20)
    panel.update()
    assert panel.ui.smoothingSlider.value == 20, "the hand has it"
    assert model.GetPolyData().GetBounds() == smooth
    panel.ui.smoothingSlider.setSliderDown(False)
    assert model.GetPolyData().GetBounds() != smooth


# --- keys


def test_keys_work_while_the_module_is_open(widget, slicer, application, monkeypatch):
    from PySide6.QtWidgets import QWidget

    import DALSRefine

    window = QWidget()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: window)
    monkeypatch.setattr(slicer.util, "getModuleWidget", slicer.util.getModuleWidget)
    other = application.open_module(DALSRefine.DALSRefineWidget)
    try:
        keys, waiting = other.panel.shortcuts._keys, {"Return", "Enter", "Escape"}
        assert set(keys) == {"Alt+1", "Alt+2", "Alt+3", "Alt+N", "Alt+D", "Alt+R", *waiting}
        assert not any(key.isEnabled() for key in keys.values())
        other.enter()
        assert {key for key, shortcut in keys.items() if not shortcut.isEnabled()} == waiting
        pressed = []
        monkeypatch.setattr(other.panel.source.drawing, "draw", pressed.append)
        for key in ("Alt+1", "Alt+2", "Alt+3"):
            keys[key].activated.emit()
        assert pressed == ["axial", "sagittal", "coronal"]
        other.exit()
        assert not any(key.isEnabled() for key in keys.values())
    finally:
        other.cleanup()


def test_enter_waits_for_a_suggestion_and_leaves_fields_alone(widget, with_views, slicer, application, monkeypatch):
    from PySide6.QtWidgets import QWidget

    import DALSRefine

    window, focus = QWidget(), []
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: window)
    monkeypatch.setattr(slicer.util, "getModuleWidget", slicer.util.getModuleWidget)
    monkeypatch.setattr(slicer.app, "focusWidget", lambda: focus[-1] if focus else None)
    other = application.open_module(DALSRefine.DALSRefineWidget)
    try:
        other.enter()
        panel = other.panel
        active = lambda: {key for key in ("Return", "Enter", "Escape") if panel.shortcuts.active(key)}  # noqa: E731
        panel.ui.suggestButton.click()
        assert active() == {"Return", "Enter"}
        other.exit()
        assert active() == set()
        other.enter()
        assert active() == {"Return", "Enter"}, "the suggestion is still there"
        focus.append(panel.ui.seedSpinBox)
        panel._on_tick()
        assert active() == set(), "Enter ends the writing of a number"
        focus.append(window)
        panel._on_tick()
        assert active() == {"Return", "Enter"}
    finally:
        other.cleanup()


@pytest.mark.parametrize(
    ("name", "key"),
    [("axialButton", "Alt+1"), ("sagittalButton", "Alt+2"), ("coronalButton", "Alt+3"), ("suggestButton", "Alt+N"),
     ("predrawButton", "Alt+D"), ("acceptButton", "Enter")],
)  # fmt: skip
def test_a_tool_tip_tells_the_key(panel, name, key):
    assert f"Key: {key}." in getattr(panel.ui, name).toolTip
