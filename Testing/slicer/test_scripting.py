"""Refining from scripts: nodes of every kind in, a model node out, the same as on the command line."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from refine_cases import clicks_on, curves_on, full_segment, painted_segment, point_list
from scene_nodes import (
    CENTRE,
    LINEAR,
    add_segment,
    circle,
    curve_node,
    oblique_grid,
    rasterised,
    segmentation_node,
    sphere,
    under_linear_transform,
    volume_node,
)
from scripted_runner import ScriptedRunner, finished, progress
from vtkmodules.util.numpy_support import numpy_to_vtk

from dals.errors import DalsError, DalsWarning, FitCancelledError, InputError, PriorError
from dals.evaluation.metrics import compare
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.io.meshes import read_mesh, write_mesh
from dals.model.template import icosphere
from DALSRefineLib.priors import organ_of
from DALSRefineLib.process.jobs import FitFailed, FitProgress

PACKAGE = Path(__file__).resolve().parents[2] / "DALSRefine"
SETTINGS = {"level": 3, "seed": 3}
SHORT = {"shared_steps": 8, "local_steps": 4, "shared_level": 2, "level": 2}
KINDS = ("contours", "sparse_segmentation", "segmentation", "points", "model")
FLIP = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def modules(app):
    """The modules under test: they can be imported only where Slicer is."""
    from DALSRefineLib import scripting, session

    return scripting, session


@pytest.fixture
def refiner(scene, modules, process):
    """Refines for real."""
    scripting, session = modules
    refiner = scripting.Refiner(session.RefineSession(scene, process))
    yield refiner
    refiner.session.forget()


@pytest.fixture
def scripted(scene, modules):
    """Makes refiners whose fits give events, one tuple of them at each breath."""

    def make(*polls):
        scripting, session = modules
        runner = ScriptedRunner()
        left = list(polls)
        refiner = scripting.Refiner(
            session.RefineSession(scene, runner), breathe=lambda: runner.say(*left.pop(0)) if left else None
        )
        return refiner, runner

    return make


@pytest.fixture(scope="module")
def truth() -> TriangleMesh:
    """Neither of the prior's ellipsoids nor far from them."""
    template = icosphere(4)
    vertices = np.asarray(template.vertices) * [95.0, 70.0, 60.0]
    vertices[:, 2] += 0.0015 * vertices[:, 0] ** 2
    return TriangleMesh(vertices + CENTRE, np.asarray(template.faces))


def nodes_of(scene, truth: TriangleMesh) -> dict:
    """The truth as each kind of input."""
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "cloud")
    from DALSRefineLib.nodes.outputs import show_mesh

    show_mesh(model, truth)
    return {
        "contours": curves_on(scene, truth),
        "sparse_segmentation": painted_segment(scene, truth),
        "segmentation": full_segment(scene, truth),
        "points": point_list(scene, truth.vertices[::9]),
        "model": model,
    }


def refine(refiner, kind: str, node, **options):
    if kind == "contours":
        return refiner.refineContours(node, **options)
    if kind == "sparse_segmentation":
        return refiner.refinePaintedSlices(node.node, node.identifier, **options)
    if kind == "segmentation":
        return refiner.refineSegmentation(node.node, node.identifier, **options)
    return refiner.refinePoints(node, **options)


def surface(node) -> TriangleMesh:
    from DALSRefineLib.nodes.outputs import mesh_of_model

    return mesh_of_model(node)


def save(node, path: Path, *, space="LPS") -> Path:
    """Write a node as Slicer does."""
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    if node.IsA("vtkMRMLMarkupsNode"):
        storage.SetCoordinateSystem(storage.CoordinateSystemRAS if space == "RAS" else storage.CoordinateSystemLPS)
    storage.SetFileName(str(path))
    assert storage.WriteData(node) == 1
    return path


def load_curve(scene, path: Path):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", path.name)
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(path))
    assert node.GetStorageNode().ReadData(node) == 1
    return node


@pytest.fixture(scope="module")
def command_line(app, truth, ellipsoid_prior_file, tmp_path_factory) -> dict[str, TriangleMesh]:
    """What `dals refine` makes of the nodes' files."""
    folder = tmp_path_factory.mktemp("files")
    nodes = nodes_of(app.scene, truth)
    contours = [
        save(curve, folder / f"{curve.GetName()}.mrk.json", space="RAS" if curve.GetName() == "axial" else "LPS")
        for curve in nodes["contours"]
    ]
    files = {
        "contours": ";".join(path.name for path in contours),
        "sparse_segmentation": save(nodes["sparse_segmentation"].node, folder / "painted.seg.nrrd").name,
        "segmentation": save(nodes["segmentation"].node, folder / "full.seg.nrrd").name,
        "points": save(nodes["points"], folder / "points.mrk.json").name,
    }
    write_mesh(folder / "model.ply", truth)
    app.scene.Clear(False)
    rows = [{"output": f"{kind}.ply", kind: name} for kind, name in files.items()]
    rows.append({"output": "model_result.ply", "points": "model.ply"})
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, ["output", *files])
        writer.writeheader()
        writer.writerows(rows)
    arguments = ["refine", "--batch", "cases.csv", "--prior", str(ellipsoid_prior_file), "--device", "cpu", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "dals", *arguments, "--level", "3", "--seed", "3"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    outputs = dict(zip(KINDS, (row["output"] for row in rows), strict=True))
    return {kind: read_mesh(folder / name) for kind, name in outputs.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_gives_what_its_file_gives_on_the_command_line(
    kind, scene, refiner, truth, command_line, ellipsoid_prior_file
):
    node = nodes_of(scene, truth)[kind]
    heard = []
    model = refine(
        refiner,
        kind,
        node,
        prior=str(ellipsoid_prior_file),
        device="cpu",
        settings=SETTINGS,
        onProgress=heard.append,
    )
    assert model.GetScene() is scene
    assert model is refiner.session.model
    assert heard[-1].step == heard[-1].total
    mesh = surface(model)
    np.testing.assert_array_equal(mesh.faces, command_line[kind].faces)
    apart = surface_distances(mesh.vertices, command_line[kind])
    # The same numbers go in, but for the sampling of the curves and the digits of the files: 0.007 mm.
    assert apart.mean() < 0.05
    assert compare(mesh, truth, samples=20_000, self_intersections=False).mean_distance < 4.0


def test_curves_from_files_under_a_transform_give_a_result_in_the_world(
    scene, refiner, truth, ellipsoid_prior_file, tmp_path
):
    curves = []
    shift = LINEAR.copy()
    shift[:3, :3] = np.eye(3)  # the prior knows how its organ lies in the body
    for number, clicks in enumerate(clicks_on(truth)):
        space = ("LPS", "RAS", "LPS")[number]
        path = save(curve_node(scene, clicks, name=f"clicked {number}"), tmp_path / f"{number}.mrk.json", space=space)
        assert json.loads(path.read_text())["markups"][0]["coordinateSystem"] == space
        curves.append(load_curve(scene, path))
        under_linear_transform(scene, curves[-1], shift)
    model = refiner.refineContours(curves, prior=ellipsoid_prior_file, device="cpu", settings=SETTINGS)
    moved = TriangleMesh(truth.vertices + shift[:3, 3], truth.faces)
    assert compare(surface(model), moved, samples=20_000, self_intersections=False).mean_distance < 4.0
    files = {}
    for space in ("LPS", "RAS"):
        refiner.exportMesh(model, tmp_path / f"{space}.stl", space=space)
        files[space] = read_mesh(tmp_path / f"{space}.stl")
        np.testing.assert_allclose(files[space].vertices.mean(axis=0), surface(model).vertices.mean(axis=0), atol=0.5)
    assert b"SPACE=LPS" in (tmp_path / "LPS.stl").read_bytes()[:80]
    assert b"SPACE=RAS" in (tmp_path / "RAS.stl").read_bytes()[:80]


def test_an_unknown_coordinate_system_is_refused(scripted, scene, tmp_path):
    refiner, _ = scripted((finished(sphere(level=2)),))
    model = refiner.refinePoints(point_list(scene, sphere(level=1).vertices))
    with pytest.raises(InputError, match='not "RSA"'):
        refiner.exportMesh(model, tmp_path / "liver.stl", space="RSA")
    assert list(tmp_path.iterdir()) == []
    refiner.exportMesh(model, str(tmp_path / "liver.stl"), space="ras")
    assert b"SPACE=RAS" in (tmp_path / "liver.stl").read_bytes()[:80]


def test_the_options_reach_the_fit(scripted, scene, ellipsoid_prior_file):
    points = point_list(scene, sphere(level=1).vertices)
    target = scene.AddNewNodeByClass("vtkMRMLModelNode", "target")
    refiner, runner = scripted((finished(sphere(level=2)),))
    found = refiner.refinePoints(
        points, prior=str(ellipsoid_prior_file), model=target, device="cpu", remesh=True, settings=SHORT
    )
    assert found is target
    assert len(surface(target).vertices) == len(sphere(level=2).vertices)
    (request,) = runner.requests
    assert (request.prior, request.changes, request.device) == (ellipsoid_prior_file, SHORT, "cpu")
    assert request.remesh
    assert request.start is None


def test_a_component_and_probabilities_reach_the_fit(scripted, scene):
    grid = oblique_grid((100, 50, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    apart = np.array([45.0, 0.0, 0.0])
    right, left = (rasterised(grid, sphere(radius=26.0, centre=CENTRE + shift)) for shift in (apart, -apart))
    node = segmentation_node(scene, grid)
    both = grid.with_array(right.array | left.array)
    identifier, volume = add_segment(node, both), volume_node(scene, grid)
    volume.GetImageData().GetPointData().SetScalars(numpy_to_vtk(both.array.ravel() * np.float32(0.75), deep=True))
    refiner, runner = scripted((finished(sphere(level=2)),))
    refiner.refineSegmentation(node, identifier, component="left", probabilitiesNode=volume)
    observation = runner.requests[0].observation
    np.testing.assert_array_equal(observation.label_map.array, left.array)
    np.testing.assert_array_equal(observation.probabilities, left.array * np.float32(0.75))


def test_the_image_around_the_contours_reaches_the_fit(scripted, scene):
    grid = oblique_grid((160, 150, 90), (1.2, 1.5, 2.5), (10.0, 0.0, 20.0))
    volume = volume_node(scene, grid)
    values = np.arange(grid.array.size, dtype=np.int32)
    volume.GetImageData().GetPointData().SetScalars(numpy_to_vtk(values, deep=True))
    refiner, runner = scripted((finished(sphere(level=2)),))
    refiner.refineContours([curve_node(scene, circle(axis), name=f"{axis}") for axis in range(3)], imageNode=volume)
    image = runner.requests[0].image
    assert image.name == "CT"
    assert 0 < image.array.size < grid.array.size
    corner = np.rint((grid.ras_to_ijk @ image.ijk_to_ras)[:3, 3]).astype(int)[::-1]
    np.testing.assert_array_equal(image.array[0, 0, 0], values.reshape(grid.array.shape)[tuple(corner)])


def test_an_image_of_another_place_is_refused(scripted, scene):
    volume = volume_node(scene, oblique_grid())
    refiner, _ = scripted((finished(sphere(level=2)),))
    far = [curve_node(scene, circle(axis) + 900, name=f"{axis}") for axis in range(3)]
    with pytest.raises(InputError, match="does not show the place that was outlined"):
        refiner.refineContours(far, imageNode=volume)
    grid = oblique_grid((40, 40, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    node = segmentation_node(scene, grid)
    identifier = add_segment(node, rasterised(grid))
    volume.SetOrigin(3_000.0, 0.0, 0.0)
    with pytest.raises(InputError, match="does not show the place that was segmented; choose the image that was seg"):
        refiner.refineSegmentation(node, identifier, imageNode=volume)


def test_an_image_of_colours_is_refused(scripted, scene):
    grid = oblique_grid()
    volume = volume_node(scene, grid)
    colours = np.zeros((grid.array.size, 3), dtype=np.uint8)
    volume.GetImageData().GetPointData().SetScalars(numpy_to_vtk(colours, deep=True))
    refiner, _ = scripted((finished(sphere(level=2)),))
    with pytest.raises(InputError, match="no single value for each voxel"):
        refiner.refineContours([curve_node(scene, circle(axis), name=f"{axis}") for axis in range(3)], imageNode=volume)


def test_the_liver_prior_is_the_default(scripted, scene):
    refiner, runner = scripted((finished(sphere(level=2)),))
    model = refiner.refinePoints(point_list(scene, sphere(level=1).vertices))
    assert runner.requests[0].prior.name == "liver.safetensors"
    assert model.GetName() == "Liver"


def test_progress_is_told_up_to_the_end(scripted, scene):
    refiner, _ = scripted(
        (progress(step=1),), (progress(step=2), progress(step=3)), (progress(step=4), finished(sphere(level=2)))
    )
    heard = []
    model = refiner.refinePoints(point_list(scene, sphere(level=1).vertices), onProgress=heard.append)
    assert [event.step for event in heard] == [1, 2, 3, 4]
    assert model is refiner.session.model
    assert refiner.session.listeners == []


def test_warnings_come_as_warnings(scripted, scene):
    refiner, _ = scripted((progress(), finished(sphere(level=2), warnings=["perhaps another organ"])))
    with pytest.warns(DalsWarning, match="perhaps another organ") as caught:
        refiner.refinePoints(point_list(scene, sphere(level=1).vertices))
    assert caught[0].filename == __file__  # where the script asked for it


@pytest.mark.parametrize(("chosen", "count"), [("default", 2), ("ignore", 0)])
def test_each_case_of_a_batch_has_its_own_warnings(scripted, scene, chosen, count):
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        if chosen != "default":
            warnings.simplefilter(chosen, DalsWarning)
        for _ in range(2):
            refiner, _ = scripted((progress(), finished(sphere(level=2), warnings=["perhaps another organ"])))
            refiner.refinePoints(point_list(scene, sphere(level=1).vertices))
    assert [str(warning.message) for warning in caught] == count * ["perhaps another organ"]


def test_a_failure_is_raised_as_what_it_is(scripted, scene):
    refiner, _ = scripted((FitFailed("The liver is inside out.", "details", "InputError"),))
    with pytest.raises(InputError, match="inside out"):
        refiner.refinePoints(point_list(scene, sphere(level=1).vertices))
    assert not refiner.session.running
    assert refiner.session.listeners == []


def test_a_fit_that_fails_for_real_is_raised(refiner, scene, truth, ellipsoid_prior_file):
    points = point_list(scene, truth.vertices[::9])
    with pytest.raises(DalsError, match="no such device"):
        refiner.refinePoints(points, prior=ellipsoid_prior_file, device="no such device", settings=SHORT)
    model = refiner.refinePoints(points, prior=ellipsoid_prior_file, device="cpu", settings=SHORT)
    assert len(surface(model).vertices) == 642


def test_input_that_is_wrong_starts_nothing(scripted, scene):
    refiner, runner = scripted()
    (curve, *_) = curves_on(scene, sphere())
    with pytest.raises(InputError, match="same plane"):
        refiner.refineContours([curve])
    with pytest.raises(PriorError, match="available"):
        refiner.refinePoints(point_list(scene, sphere(level=1).vertices), prior="no such organ")
    assert runner.requests == []


def test_another_refinement_in_between_counts_as_cancelled(scene, modules, ellipsoid_prior_file):
    scripting, session = modules
    runner = ScriptedRunner()
    the_session = session.RefineSession(scene, runner)
    requests = []

    def window() -> None:
        """The user presses Refine while a script waits."""
        requests.append(dataclasses.replace(the_session.request))
        the_session.start(requests[-1], organ=organ_of("liver"))

    refiner = scripting.Refiner(the_session, breathe=window)
    with pytest.raises(FitCancelledError):
        refiner.refinePoints(point_list(scene, sphere(level=1).vertices), prior=ellipsoid_prior_file)
    assert the_session.request is requests[-1]
    assert the_session.running


@pytest.mark.parametrize("who", ["user", "interrupt", "callback"])
def test_a_cancelled_refinement_raises(who, scene, scripted):
    refiner, runner = scripted((progress(),), (progress(),))
    breathe, expected = refiner._breathe, FitCancelledError

    def stop(_event: FitProgress) -> None:
        if who == "user":
            refiner.session.cancel()
        else:
            raise expected

    if who != "user":
        expected = KeyboardInterrupt if who == "interrupt" else ZeroDivisionError
    assert breathe is not None
    with pytest.raises(expected):
        refiner.refinePoints(point_list(scene, sphere(level=1).vertices), onProgress=stop)
    assert not refiner.session.running
    assert not runner.running
    assert refiner.session.model is None
    assert refiner.session.listeners == []
