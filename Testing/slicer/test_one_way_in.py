"""The Python interface, the command line and Slicer's worker come to the same surface, warnings and report."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid, grid, inside_ellipsoid

import dals
from dals.cli import main
from dals.io.label_maps import write_label_map
from dals.io.markups import write_contours
from dals.io.meshes import read_mesh
from DALSRefineLib.process.fitting_job import Fitter
from DALSRefineLib.process.jobs import FitFinished, Request
from DALSRefineLib.process.messages import event_message, event_of, job_message, job_of

RADII = (95.0, 75.0, 60.0)
LEVEL = 2
TIMES = ("seconds", "timings_s", "previews", "places", "settings")


def contours(folder: Path) -> tuple[list[str], dals.Observation]:
    paths = []
    for axis in range(3):
        outline = ellipse_contour(axis, 5.0, radii=RADII)
        clicked = dals.Contour(outline.points[::10], outline.points[::10], outline.name)
        paths.append(folder / f"{outline.name}.mrk.json")
        write_contours(paths[-1], [clicked])
    return ["--contours", *map(str, paths)], dals.read_contours(*paths)


def points(folder: Path) -> tuple[list[str], dals.Observation]:
    path = folder / "points.xyz"
    np.savetxt(path, ellipsoid(RADII).vertices[::3] * [-1, -1, 1], fmt="%.3f")
    return ["--points", str(path)], dals.read_points(path)


def segmentation(folder: Path) -> tuple[list[str], dals.Observation]:
    """Cut by the image's border, so that there is something to be told."""
    empty = grid((44, 50, 45), (4.0, 4.0, 4.0))
    path = folder / "network.nrrd"
    write_label_map(path, empty.with_array(inside_ellipsoid(empty, RADII)))
    return ["--segmentation", str(path), "--component", "largest"], dals.read_segmentation(path, component="largest")


def by_worker(observation: dals.Observation, prior: Path) -> FitFinished:
    """Through the messages of both ways, as between the two processes."""
    request = Request(observation=observation, prior=prior, changes={"level": LEVEL}, device="cpu")
    received = job_of(job_message(request, 1))
    finished = Fitter().run(received, tell=lambda _: None, wanted=lambda: True)
    told = event_of(event_message(finished, 1))
    assert isinstance(told, FitFinished)
    return told


def without_times(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in json.loads(json.dumps(report)).items() if name not in TIMES}


@pytest.mark.parametrize("given", [contours, points, segmentation], ids=lambda given: given.__name__)
def test_one_way_in(given, tmp_path: Path, ellipsoid_prior_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, observation = given(tmp_path)
    settings = observation.defaults.changed(level=LEVEL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is to be said is in the result
        result = dals.refine(observation, ellipsoid_prior_file, settings=settings, device="cpu")

    worker = by_worker(observation, ellipsoid_prior_file)
    np.testing.assert_array_equal(worker.mesh.vertices, result.mesh.vertices)
    assert worker.warnings == result.warnings
    assert without_times(worker.report) == without_times(result.report)
    assert worker.state.level == result.state.level
    if result.uncertainty is None:
        assert worker.deviation_mm is None
    else:
        np.testing.assert_array_equal(worker.deviation_mm, result.uncertainty.deviation_mm)

    out, report = tmp_path / "out.ply", tmp_path / "out.json"
    options = ["--prior", str(ellipsoid_prior_file), "--level", str(LEVEL), "--device", "cpu", "--quiet"]
    assert main(["refine", "-o", str(out), "--report", str(report), *options, *arguments]) == 0
    np.testing.assert_allclose(read_mesh(out).vertices, result.mesh.vertices, atol=1e-4)  # PLY holds single precision
    assert without_times(json.loads(report.read_text(encoding="utf-8"))) == without_times(result.report)
    said = [line.removeprefix("dals: warning: ") for line in capsys.readouterr().err.splitlines()]
    assert said == list(result.warnings)
    assert (given is segmentation) == any("touches the image's border" in sentence for sentence in result.warnings)
