"""A refinement in a scene: preview, result, cancel, undo; with a real fitting process and with a scripted one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import refine_cases
from refine_cases import clicks_on, curves_on
from scene_nodes import CENTRE, circle, curve_node, sphere, under_linear_transform
from scripted_runner import REPORT, ScriptedRunner, finished, progress

from dals.evaluation.metrics import compare
from dals.geometry.mesh import TriangleMesh
from dals.io.meshes import read_mesh
from dals.model.prior_files import find_prior
from dals.model.template import icosphere
from dals.observations import PointCloud
from DALSRefineLib.priors import organ_of
from DALSRefineLib.process.jobs import FitCancelled, FitFailed, FitFinished, FitProgress, Request

LIVERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "livers" / "meshes"
SPLITS = LIVERS.parent / "splits.json"
PATIENCE = 120.0
RADII = np.array([95.0, 70.0, 60.0])
ORGAN = organ_of("spleen")
ENDLESS = {"shared_steps": 10_000_000, "shared_level": 2, "level": 2}
SHORT = {"shared_steps": 8, "local_steps": 4, "shared_level": 2, "level": 2}


@pytest.fixture(scope="module")
def sessions(app):
    """The module under test: it can be imported only where Slicer is."""
    from DALSRefineLib import session

    return session


@pytest.fixture
def session(scene, sessions, process):
    """A session whose fits are real."""
    session = sessions.RefineSession(scene, process)
    yield session
    session.forget()


@pytest.fixture
def runner():
    return ScriptedRunner()


@pytest.fixture
def scripted(scene, sessions, runner):
    """A session whose fits say what a test tells them to."""
    return sessions.RefineSession(scene, runner)


@pytest.fixture
def start(ellipsoid_prior_file):
    """Starts to refine a few points in a session."""

    def begin(session, *, organ=ORGAN, model=None, warm=False, warnings=(), **options) -> Request:
        options = {"observation": PointCloud(sphere(level=1).vertices), "prior": ellipsoid_prior_file, **options}
        request = Request(**{"device": "cpu", **options})
        session.start(request, organ=organ, model=model, warm=warm, warnings=warnings)
        return request

    return begin


@pytest.fixture
def run(start):
    """Refines for real."""

    def to_its_end(session, **options) -> FitFinished:
        start(session, **options)
        until(session, FitFinished, FitFailed)
        assert isinstance(session.outcome, FitFinished), session.outcome
        return session.outcome

    return to_its_end


@pytest.fixture
def give(start, scripted, runner):
    """A refinement that is over at once."""

    def events(*told, **options) -> None:
        start(scripted, **options)
        runner.say(*told)

    return events


def ellipsoid(radii=RADII, centre=CENTRE) -> TriangleMesh:
    template = icosphere(4)
    return TriangleMesh(np.asarray(template.vertices) * radii + centre, np.asarray(template.faces))


def models(scene) -> list:
    return [
        scene.GetNthNodeByClass(i, "vtkMRMLModelNode") for i in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode"))
    ]


def previews(scene) -> list:
    return [node for node in models(scene) if "being refined" in node.GetName()]


def count_of_nodes(scene) -> int:
    return scene.GetNumberOfNodes()


def surface(node) -> TriangleMesh:
    from DALSRefineLib.nodes.outputs import mesh_of_model

    return mesh_of_model(node)


def same(node, mesh: TriangleMesh) -> bool:
    shown = surface(node).vertices
    return shown.shape == mesh.vertices.shape and np.allclose(shown, mesh.vertices, atol=1e-3)


def until(session, *kinds) -> object:
    """Wait for events of the kinds; the last of those that come together."""
    end, heard = time.monotonic() + PATIENCE, []
    session.listeners.append(heard.append)
    try:
        while time.monotonic() < end:
            session.wait(0.02)
            for event in reversed(heard):
                if isinstance(event, kinds):
                    return event
            heard.clear()
    finally:
        session.listeners.remove(heard.append)
    raise TimeoutError(kinds)


# --- with a real process ------------------------------------------------------------------------


def test_a_refinement_shows_previews_and_then_its_result(scene, session, start):
    before = count_of_nodes(scene)
    truth = ellipsoid()
    start(session, observation=PointCloud(truth.vertices[::5]))
    assert session.running
    assert session.outcome is None
    seen, event = 0, None
    while not isinstance(event, FitFinished):
        assert session.model is None
        event = until(session, FitProgress, FitFinished, FitFailed)
        seen += len(previews(scene))
        assert len(models(scene)) <= 1
    assert seen > 0
    assert previews(scene) == []
    assert models(scene) == [session.model]
    assert session.outcome is event
    assert not session.running
    assert count_of_nodes(scene) == before + 2  # the model and its display
    assert same(session.model, event.mesh)
    assert compare(surface(session.model), truth, samples=20_000, self_intersections=False).mean_distance < 3.0
    assert session.model.GetName() == "Spleen"
    assert session.model.GetDisplayNode().GetColor() == pytest.approx(ORGAN.colour)


def test_cancelling_leaves_everything_as_it_was(scene, session, start, run):
    run(session, changes=SHORT)
    model, mesh = session.model, surface(session.model)
    before = count_of_nodes(scene)
    start(session, changes=ENDLESS, model=model)
    while not previews(scene):
        until(session, FitProgress)
    assert same(model, mesh)
    session.cancel()
    assert not session.running
    assert session.outcome == FitCancelled()
    assert count_of_nodes(scene) == before
    for _ in range(10):
        session.wait(0.03)
    assert count_of_nodes(scene) == before
    assert same(model, mesh)
    run(session, changes=SHORT, model=model)  # and the next one works


def test_a_failure_leaves_everything_as_it_was(scene, session, start, run, tmp_path):
    run(session, changes=SHORT)
    model, mesh, report = session.model, surface(session.model), session.model.GetAttribute("DALSRefine.report")
    before = count_of_nodes(scene)
    start(session, prior=tmp_path / "missing.safetensors", model=model)
    failed = until(session, FitFailed, FitFinished)
    assert isinstance(failed, FitFailed)
    assert session.outcome is failed
    assert not session.running
    assert count_of_nodes(scene) == before
    assert same(model, mesh)
    assert model.GetAttribute("DALSRefine.report") == report


def test_a_new_refinement_replaces_the_one_that_runs(scene, session, start, run):
    start(session, changes=ENDLESS)
    while not previews(scene):
        until(session, FitProgress)
    found = run(session, changes={**SHORT, "seed": 7})
    assert found.report["settings"]["seed"] == 7
    assert models(scene) == [session.model]


def test_auto_refine_goes_on_from_the_last_state_when_the_hand_rests(scene, session, run, inputs):
    from DALSRefineLib.nodes.watching import ChangeWatcher

    now = [0.0]
    curves = curves_on(scene, ellipsoid())
    watcher = ChangeWatcher(pause_s=0.6, clock=lambda: now[0])
    watcher.watch(curves)
    settings = {"level": 3}
    first = run(session, observation=inputs.contours_from_curves(curves), changes=settings)
    assert not watcher.due()

    grown = clicks_on(ellipsoid(RADII * 1.04))
    for curve, clicks in zip(curves, grown, strict=True):
        for index, click in enumerate(clicks.tolist()):
            now[0] += 0.01
            curve.SetNthControlPointPosition(index, *click)
            assert not watcher.due()
    now[0] += 0.7
    assert watcher.due()
    watcher.close()

    model, state = session.model, session.result.state
    observation = inputs.contours_from_curves(curves)
    second = run(session, observation=observation, changes=settings, warm=True, model=model)
    assert second.report["iterations"] < first.report["iterations"]
    assert session.model is model
    assert models(scene) == [model]
    assert second.mesh.volume > 1.05 * first.mesh.volume
    assert session.result.state is not state


@pytest.mark.skipif(not LIVERS.is_dir(), reason="the real livers are not here (../shared/data)")
def test_a_real_liver_from_curves_on_oblique_planes_off_the_centre(scene, session, run, inputs):
    truth = read_mesh(LIVERS / f"{json.loads(SPLITS.read_text())['msd_test'][4]}.ply", space="RAS")
    low, high = truth.vertices.min(axis=0), truth.vertices.max(axis=0)
    curves = []
    for axis, (tilt, offset) in enumerate((((1, 0.15, -0.2), 0.05), ((0.2, 1, 0.15), -0.06), ((-0.1, 0.25, 1), 0.08))):
        origin = 0.5 * (low + high)
        origin[axis] += offset * (high - low)[axis]
        clicks = refine_cases.cut_contour(truth, origin, tilt, seed=axis)
        curves.append(curve_node(scene, clicks, name=refine_cases.AXES[axis]))
    assert {inputs.plane_of_curve(curve).name for curve in curves} == {"oblique"}
    run(
        session,
        observation=inputs.contours_from_curves(curves),
        prior=find_prior("liver"),
        organ=organ_of("liver"),
        changes={"level": 3},
    )
    figures = compare(surface(session.model), truth, samples=30_000, self_intersections=False)
    assert figures.mean_distance < 8.0
    assert {row["name"] for row in session.result.report["residuals_mm"]} == set(refine_cases.AXES)


# --- previews and the result, event by event ----------------------------------------------------


def test_the_result_changes_only_at_the_end(scene, scripted, runner, start, give):
    give(finished(sphere(level=2)))
    model = scripted.model
    start(scripted, model=model)
    runner.say(progress(), progress(sphere(level=2, radius=10.0)), progress(sphere(level=2, radius=20.0)))
    (preview,) = previews(scene)
    assert same(preview, sphere(level=2, radius=20.0))
    assert same(model, sphere(level=2))
    assert preview.GetDisplayNode().GetOpacity() < 1.0
    runner.say(progress(sphere(level=2, radius=25.0)))
    assert previews(scene) == [preview]
    assert same(preview, sphere(level=2, radius=25.0))
    assert same(model, sphere(level=2))
    runner.say(finished(sphere(level=2, radius=33.0)))
    assert previews(scene) == []
    assert same(model, sphere(level=2, radius=33.0))


def test_the_preview_of_another_organ_is_another_node(scene, scripted, runner, start):
    start(scripted)
    runner.say(progress(sphere(level=2)))
    (preview,) = previews(scene)
    start(scripted)
    assert previews(scene) == [preview]  # no flicker while contours are corrected
    start(scripted, organ=organ_of("liver"))
    assert previews(scene) == []
    runner.say(progress(sphere(level=2)))
    (preview,) = previews(scene)
    assert preview.GetName().startswith("Liver")


def test_listeners_hear_of_events_once_the_scene_is_up_to_date(scripted, runner, start):
    heard = []
    scripted.listeners.append(lambda event: heard.append((event, scripted.model)))
    end = finished(sphere(level=2))
    start(scripted)
    runner.say(progress(), end)
    assert heard[-1] == (end, scripted.model)
    assert scripted.model is not None


def test_warnings_of_input_and_fit_come_with_the_result(scripted, runner, give):
    assert scripted.warnings == ()
    give(finished(sphere(level=2), warnings=["too small"]), warnings=("cut off",))
    assert scripted.warnings == ("cut off", "too small")


def test_a_job_is_what_was_asked_for(scripted, runner, start, ellipsoid_prior_file):
    request = start(scripted, changes=SHORT, remesh=True, warm=True)
    assert runner.requests == [request]
    assert scripted.request is request
    assert request.start is None


def test_a_warm_start_needs_a_result_of_the_same_prior(scene, scripted, runner, start, give, tmp_path):
    give(finished(sphere(level=2)))
    state = scripted.result.state
    start(scripted, warm=True, model=scripted.model)
    assert runner.requests[-1].start is state
    start(scripted, warm=False, model=scripted.model)
    assert runner.requests[-1].start is None
    start(scripted, warm=True, model=scripted.model, prior=tmp_path / "other.safetensors")
    assert runner.requests[-1].start is None
    scene.RemoveNode(scripted.model)
    start(scripted, warm=True)
    assert runner.requests[-1].start is None


def test_each_refinement_without_a_node_makes_one(scene, scripted, runner, give):
    give(finished(sphere(level=2)))
    first = scripted.model
    give(finished(sphere(level=2, radius=20.0)))
    assert scripted.model is not first
    assert len(models(scene)) == 2
    assert same(first, sphere(level=2))


def test_a_result_node_under_a_transform_shows_the_result_in_the_world(scene, scripted, runner, give):
    give(finished(sphere(level=2)))
    under_linear_transform(scene, scripted.model)
    give(finished(sphere(level=2, radius=20.0)), model=scripted.model)
    assert same(scripted.model, sphere(level=2, radius=20.0))


# --- undo ---------------------------------------------------------------------------------------


def test_undo_brings_surface_and_report_back(sessions, scripted, runner, start, give):
    assert not scripted.can_undo
    scripted.undo()
    give(finished(sphere(level=2), volume_ml=1.0))
    model, state = scripted.model, scripted.result.state
    assert not scripted.can_undo
    give(finished(sphere(level=3, radius=20.0), volume_ml=2.0), model=model)
    give(finished(sphere(level=2, radius=10.0), volume_ml=3.0), model=model)
    scripted.undo()
    assert same(model, sphere(level=3, radius=20.0))
    assert sessions.report_of(model)["volume_ml"] == 2.0
    scripted.undo()
    assert same(model, sphere(level=2))
    assert sessions.report_of(model) == {**REPORT, "volume_ml": 1.0, "warnings": []}
    assert not scripted.can_undo
    start(scripted, model=model, warm=True)
    assert runner.requests[-1].start is state  # of what is shown
    assert not scripted.can_undo


def test_nothing_is_undone_while_a_refinement_runs(scripted, runner, start, give):
    give(finished(sphere(level=2)))
    give(finished(sphere(level=2, radius=20.0)), model=scripted.model)
    start(scripted, model=scripted.model)
    assert not scripted.can_undo
    scripted.undo()
    assert same(scripted.model, sphere(level=2, radius=20.0))
    scripted.cancel()
    assert scripted.can_undo


def test_results_of_another_node_are_not_undone(scene, scripted, runner, give):
    give(finished(sphere(level=2)))
    give(finished(sphere(level=2, radius=20.0)), model=scripted.model)
    other = scene.AddNewNodeByClass("vtkMRMLModelNode", "other")
    give(finished(sphere(level=2, radius=10.0)), model=other)
    assert scripted.model is other
    assert same(other, sphere(level=2, radius=10.0))
    assert not scripted.can_undo


def test_the_oldest_results_are_forgotten(scripted, runner, give):
    for radius in range(20, 50):
        give(finished(sphere(level=1, radius=radius)), model=scripted.model)
    undone = 0
    while scripted.can_undo:
        scripted.undo()
        undone += 1
    assert 5 < undone < 25
    assert same(scripted.model, sphere(level=1, radius=49 - undone))


# --- nodes that go away -------------------------------------------------------------------------


def test_a_deleted_input_does_not_stop_the_refinement(scene, session, start, inputs):
    curves = curves_on(scene, ellipsoid())
    start(session, observation=inputs.contours_from_curves(curves), changes=SHORT)
    for curve in curves:
        scene.RemoveNode(curve)
    assert isinstance(until(session, FitFinished, FitFailed), FitFinished)
    assert session.model is not None


def test_a_deleted_result_is_replaced_by_a_new_node(scene, scripted, runner, start, give):
    give(finished(sphere(level=2)))
    give(finished(sphere(level=2)), model=scripted.model)
    old = scripted.model
    start(scripted, model=old)
    scene.RemoveNode(old)
    assert scripted.model is None
    assert not scripted.can_undo
    runner.say(finished(sphere(level=2, radius=20.0)))
    assert scripted.model is not None
    assert scripted.model is not old
    assert scripted.model.GetScene() is scene
    assert same(scripted.model, sphere(level=2, radius=20.0))
    assert not scripted.can_undo


def test_a_deleted_preview_comes_back(scene, scripted, runner, start):
    start(scripted)
    runner.say(progress(sphere(level=2)))
    scene.RemoveNode(previews(scene)[0])
    runner.say(progress(sphere(level=2)))
    assert len(previews(scene)) == 1
    scripted.cancel()
    assert previews(scene) == []


@pytest.mark.parametrize("cleared", ["before forgetting", "after forgetting"])
def test_a_closed_scene_leaves_nothing(scene, scripted, runner, start, give, cleared):
    give(finished(sphere(level=2)))
    start(scripted, model=scripted.model)
    runner.say(progress(sphere(level=2)))
    runner.say(progress(sphere(level=2)), finished(sphere(level=2)))
    if cleared == "before forgetting":
        scene.Clear(False)
        scripted.forget()
    else:
        scripted.forget()
        assert previews(scene) == []
        scene.Clear(False)
    assert not scripted.running
    assert not runner.running
    assert (scripted.model, scripted.result, scripted.warnings) == (None, None, ())
    assert models(scene) == []
    give(finished(sphere(level=2)), warm=True)
    assert runner.requests[-1].start is None
    assert same(scripted.model, sphere(level=2))
    assert not scripted.can_undo


def test_a_closed_session_ends_its_process(scripted, runner, start):
    start(scripted)
    scripted.close()
    assert runner.closed
    assert not scripted.running


# --- saving -------------------------------------------------------------------------------------


def test_a_saved_scene_has_report_and_contours_and_no_preview(scene, sessions, scripted, runner, start, give, tmp_path):
    from DALSRefineLib.nodes.contour_list import ContourList
    from DALSRefineLib.nodes.drawing import PLANE_ATTRIBUTE, plane_of

    names = ['Umriß "axial"; 50%: a|b', "肝臓 <coronal>", "sagittal"]
    rows = [{"name": name, "mean": 0.5, "maximum": 1.0} for name in names]
    warned = ["Perhaps another organ."]
    give(finished(sphere(level=2), warnings=warned, residuals_mm=rows))
    report = {**REPORT, "residuals_mm": rows, "warnings": warned}
    assert sessions.report_of(scripted.model) == report
    name = scripted.model.GetName()
    curves = [curve_node(scene, circle(axis), name=f"curve {axis}") for axis in (2, 0, 1)]
    curves[0].SetAttribute(PLANE_ATTRIBUTE, "20 -30 40 0 0 1")
    parameters = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Choices")
    for curve in curves:
        ContourList(parameters).add(curve)
    start(scripted, model=scripted.model)
    runner.say(progress(sphere(level=2)))
    assert len(previews(scene)) == 1

    path = tmp_path / "case.mrb"
    assert scene.WriteToMRB(str(path))
    scripted.forget()
    scene.Clear(False)
    assert scene.ReadFromMRB(str(path))

    assert [node.GetName() for node in models(scene)] == [name]
    model = scene.GetFirstNodeByName(name)
    assert sessions.report_of(model) == report
    assert same(model, sphere(level=2))
    displays = scene.GetNumberOfNodesByClass("vtkMRMLModelDisplayNode")
    assert displays == 1
    restored = ContourList(scene.GetFirstNodeByName("Choices")).nodes
    assert [node.GetName() for node in restored] == ["curve 2", "curve 0", "curve 1"]
    assert plane_of(restored[0]) is not None
    assert plane_of(restored[1]) is None


@pytest.mark.parametrize("text", [None, "", "nonsense", "[1, 2]", "3", '{"volume_ml"'])
def test_a_report_that_is_none(scene, sessions, text):
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "model")
    model.SetAttribute(sessions.REPORT_ATTRIBUTE, text)
    assert sessions.report_of(model) is None
    assert sessions.report_of(None) is None


def test_the_report_is_plain_json(scene, scripted, runner, give):
    give(finished(sphere(level=2), settings={"lambda_dir": "inf"}))
    text = scripted.model.GetAttribute("DALSRefine.report")
    assert json.loads(text)["settings"] == {"lambda_dir": "inf"}


# --- undo of surface and curves, redo, movements of the hand ------------------------------------


def points_of(curve) -> np.ndarray:
    return np.array([curve.GetNthControlPointPosition(i) for i in range(curve.GetNumberOfControlPoints())])


def test_undo_and_redo_take_surface_and_curves_together(scene, sessions, scripted, runner, start):
    curve, other = curve_node(scene, circle(2)), curve_node(scene, circle(0))
    untouched, first = points_of(other), points_of(curve)
    request = {"curves": [curve, other]}

    def fit(mesh, **how):
        begin(scripted, start, runner, mesh, **request, **how)

    fit(sphere(level=2))
    model = scripted.model
    curve.SetNthControlPointPosition(0, *(first[0] + [0, 5.0, 0]))
    second = points_of(curve)
    fit(sphere(level=2, radius=20.0), model=model)
    assert not scripted.can_redo
    scripted.undo()
    assert same(model, sphere(level=2))
    np.testing.assert_array_equal(points_of(curve), first)
    assert scripted.can_redo
    assert not scripted.can_undo
    scripted.redo()
    assert same(model, sphere(level=2, radius=20.0))
    np.testing.assert_array_equal(points_of(curve), second)
    np.testing.assert_array_equal(points_of(other), untouched)
    assert not scripted.can_redo
    scripted.undo()
    fit(sphere(level=2, radius=25.0), model=model)
    assert not scripted.can_redo, "another way was taken"


def begin(session, start, runner, mesh, *, curves=(), gesture=None, model=None, warm=False):
    """A refinement that is over at once, with the session's own options."""
    request = Request(observation=PointCloud(sphere(level=1).vertices), prior=Path("prior.safetensors"), device="cpu")
    session.start(request, organ=ORGAN, model=model, warm=warm, curves=curves, gesture=gesture)
    runner.say(finished(mesh))


def test_redo_brings_back_what_was_moved_since_the_fit(scene, scripted, runner, start):
    curve = curve_node(scene, circle(2))
    for radius in (30.0, 20.0):
        begin(scripted, start, runner, sphere(level=2, radius=radius), curves=[curve], model=scripted.model)
    curve.SetNthControlPointPosition(3, 1.0, 2.0, 3.0)
    moved = points_of(curve)
    scripted.undo()
    np.testing.assert_array_equal(points_of(curve), circle(2))
    scripted.redo()
    np.testing.assert_array_equal(points_of(curve), moved)


def test_a_deleted_curve_does_not_stop_undo(scene, scripted, runner, start):
    curves = [curve_node(scene, circle(axis)) for axis in (0, 2)]
    for radius in (30.0, 20.0):
        begin(scripted, start, runner, sphere(level=2, radius=radius), curves=curves, model=scripted.model)
        curves[1].SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    scene.RemoveNode(curves[0])
    scripted.undo()
    assert same(scripted.model, sphere(level=2))
    assert points_of(curves[1])[0].tolist() == circle(2)[0].tolist()
    scripted.redo()
    assert same(scripted.model, sphere(level=2, radius=20.0))


def test_results_of_one_movement_are_undone_together(scene, scripted, runner, start):
    begin(scripted, start, runner, sphere(level=2))
    model = scripted.model
    for radius in (28.0, 26.0, 24.0):
        begin(scripted, start, runner, sphere(level=2, radius=radius), model=model, gesture=1)
    begin(scripted, start, runner, sphere(level=2, radius=20.0), model=model, gesture=2)
    scripted.undo()
    assert same(model, sphere(level=2, radius=24.0))
    scripted.undo()
    assert same(model, sphere(level=2))
    assert not scripted.can_undo


def test_slicer_s_own_undo_can_take_an_undo_back(scene, scripted, runner, start):
    curve = curve_node(scene, circle(2))
    curve.SetUndoEnabled(True)
    scene.SetUndoOn()
    try:
        for radius in (30.0, 20.0):
            begin(scripted, start, runner, sphere(level=2, radius=radius), curves=[curve], model=scripted.model)
            curve.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
        scripted.undo()
        assert points_of(curve)[0].tolist() == circle(2)[0].tolist()
        scene.Undo()
        assert points_of(curve)[0].tolist() == [1.0, 2.0, 3.0]
    finally:
        scene.SetUndoOff()


def test_a_preview_of_a_correction_stands_in_for_the_result(scene, scripted, runner, start):
    begin(scripted, start, runner, sphere(level=2))
    model = scripted.model
    request = start(scripted, model=model, warm=False)
    runner.say(progress(sphere(level=2, radius=10.0)))
    assert model.GetDisplayNode().GetVisibility(), "a fit from scratch leaves the last result to be seen"
    scripted.cancel()
    for event in (FitCancelled(), FitFailed("It failed."), finished(sphere(level=2, radius=12.0))):
        request = Request(observation=PointCloud(sphere(level=1).vertices), prior=Path("prior.safetensors"))
        scripted.start(request, organ=ORGAN, model=model, warm=True)
        assert model.GetDisplayNode().GetVisibility(), "there is nothing to show yet"
        runner.say(progress(sphere(level=2, radius=10.0)))
        assert not model.GetDisplayNode().GetVisibility()
        assert len(previews(scene)) == 1
        runner.say(event)
        assert model.GetDisplayNode().GetVisibility()
        assert previews(scene) == []


def test_a_result_that_the_user_has_hidden_stays_hidden(scripted, runner, start):
    begin(scripted, start, runner, sphere(level=2))
    scripted.model.GetDisplayNode().SetVisibility(False)
    request = Request(observation=PointCloud(sphere(level=1).vertices), prior=Path("prior.safetensors"))
    scripted.start(request, organ=ORGAN, model=scripted.model, warm=True)
    runner.say(progress(sphere(level=2, radius=10.0)), finished(sphere(level=2)))
    assert not scripted.model.GetDisplayNode().GetVisibility()


def test_smoothing_changes_what_is_shown_and_nothing_else(sessions, scripted, runner, start):
    rough = sphere(level=3)
    rough = TriangleMesh(rough.vertices + np.random.default_rng(0).normal(scale=1.0, size=(642, 3)), rough.faces)
    begin(scripted, start, runner, rough)
    model, report = scripted.model, sessions.report_of(scripted.model)
    scripted.smoothing = 0.5
    assert not same(model, rough)
    assert sessions.report_of(model) == report
    np.testing.assert_array_equal(scripted.result.mesh.vertices, rough.vertices)
    scripted.smoothing = 0.0
    assert same(model, rough)


def test_the_3d_view_turns_to_the_first_preview_and_never_again(scene, scripted, runner, start):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    try:
        far = CENTRE + np.array([0.0, 0.0, -1500.0])
        start(scripted)
        assert camera.GetFocalPoint() == (0.0, 0.0, 0.0)
        runner.say(progress(sphere(level=2, centre=far)))
        np.testing.assert_allclose(camera.GetFocalPoint(), far, atol=1.0)
        camera.SetFocalPoint(0.0, 0.0, 0.0)
        camera.SetPosition(0.0, 500.0, 0.0)
        runner.say(progress(sphere(level=2, centre=far)), finished(sphere(level=2, centre=far)))
        begin(scripted, start, runner, sphere(level=2, centre=far))
        assert camera.GetFocalPoint() == (0.0, 0.0, 0.0), "the user has turned it away"
        scripted.forget()
        begin(scripted, start, runner, sphere(level=2, centre=far))
        np.testing.assert_allclose(camera.GetFocalPoint(), far, atol=1.0)
    finally:
        scene.RemoveNode(camera)


def test_edits_of_the_last_few_results_can_be_chosen(scripted, runner, give):
    for key in "abcd":
        give(replace(finished(ellipsoid()), key=key), model=scripted.model)
    for expected in (True, True, True, False):
        assert scripted.can_choose is expected
        scripted.undo()
    for _ in range(3):
        scripted.redo()
    assert scripted.can_choose
    runner.process_id = 8  # the worker has died, and with it what it remembered
    assert not scripted.can_choose


def test_the_depth_of_the_views_is_fitted_once_the_surface_is_drawn(scene, scripted, runner, start):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    fitted = []
    camera.AddObserver(camera.ResetCameraClippingEvent, lambda *_: fitted.append(True))
    far = ellipsoid(centre=np.array([0.0, 0.0, 3000.0]))
    start(scripted)
    runner.say(progress(far))
    assert len(fitted) == 1, "when the camera was turned"
    runner.say(progress(far), progress(far), finished(far))
    assert len(fitted) == 2
    scene.RemoveNode(camera)
