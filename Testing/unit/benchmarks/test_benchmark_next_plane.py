"""Where the benchmark of suggested slices puts its planes, and what its tables say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks import next_plane
from benchmarks.comparison.observations import planes_of
from benchmarks.next_plane import FIXED, RANDOM, START, SUGGESTED, Row, table

from dals.dataset.normalisation import NormalisedShape, normalise
from dals.evaluation.next_plane import SAME_PLANE_MM
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import TriangleMesh
from dals.model.template import icosphere
from dals.observations.contours import Plane


@pytest.fixture(scope="module")
def shape() -> NormalisedShape:
    template = icosphere(3)
    mesh = TriangleMesh(template.vertices * [90.0, 70.0, 60.0] + [10.0, -20.0, 1000.0], template.faces)
    return replace(normalise(mesh), name="ellipsoid")


@pytest.mark.parametrize("index", [3, 4, 5])
def test_fixed_planes_are_those_of_figure_6(shape, index):
    plane, expected = next_plane._fixed_plane(shape, index), planes_of(shape, index + 1)[-1].plane
    assert plane.angle_to(expected) == pytest.approx(0.0, abs=0.1)
    assert abs(float(expected.distances(plane.origin[None])[0])) < 0.01


def test_random_planes_are_the_same_each_time_and_apart(shape):
    sequences = []
    for _ in range(2):
        draw, contours = next_plane._random_planes(shape), planes_of(shape, 3)
        for number in range(3):
            plane = draw(contours)
            for other in contours:
                distance = abs(float(other.plane.distances(plane.origin[None])[0]))
                assert other.plane.angle_to(plane) > 45 or distance > SAME_PLANE_MM - 0.01
            outlines = next_plane._outlines(shape, plane, f"random {number}")
            assert outlines
            contours += outlines
        sequences.append(np.concatenate([contour.points for contour in contours]))
    np.testing.assert_array_equal(*sequences)


def test_a_suggested_plane_beside_the_organ_is_passed_over(shape, monkeypatch):
    given, asked = [0.0, 500.0, 20.0], []

    def suggest(_vertices, _faces, _deviation, drawn):
        asked.append(len(drawn))
        return Plane(shape.centre_mm + np.array([0.0, 0.0, given[len(asked)]]), np.array([0.0, 0.0, 1.0]))

    monkeypatch.setattr(next_plane, "suggested_plane", suggest)
    result = SimpleNamespace(mesh=shape.patient_mesh, uncertainty=SimpleNamespace(deviation_mm=None))
    plane, missed = next_plane._suggested_plane(shape, planes_of(shape, 3), result)
    assert (missed, asked) == (1, [3, 4])
    assert section_loops(shape.patient_mesh, plane.origin, plane.normal)


def test_the_tables_compare_the_same_livers():
    rows = []
    for number in range(6):
        for way, planes, distance in (
            (START, 3, 3.0),
            *((SUGGESTED, planes, 6.0 - planes) for planes in (4, 5, 6)),
            *((FIXED, planes, 6.5 - planes - 0.1 * number) for planes in (4, 5, 6)),
            *((RANDOM, planes, 7.0 - planes) for planes in (4, 5, 6)),
        ):
            rows.append(Row(f"liver {number}", way, planes, "axial", 1.0, 0, distance, 9.0, distance / 1e3, 2.0))
    lines = table(rows).splitlines()
    assert "| 5 | suggested | 6 | 1.00 / 1.00 / 1.00 | 1.00 / 1.00 / 1.00 |" in lines
    assert "| 4 | as in Figure 6 | 6 | 2.25 / 2.25 / 2.50 | 2.25 / 2.25 / 2.50 |" in lines
    (compared,) = (line for line in lines if line.startswith("| 4 suggested – 4 as in Figure 6 |"))
    assert "| 5 of 6 |" in compared
    (fewer,) = (line for line in lines if line.startswith("| 5 suggested – 6 as in Figure 6 |"))
    assert "| 0 of 6 |" in fewer
    assert lines[-1].endswith(": 0.")
    some = [row for row in rows if row.way != RANDOM or row.case != "liver 0"]
    lines = table(some).splitlines()
    assert any(line.startswith("| 6 | random | 5 |") for line in lines)
    assert any(line.startswith("| 4 suggested – 4 random | 5 of 5 |") for line in lines)


def test_only_what_is_missing_is_measured(shape, monkeypatch, tmp_path):
    asked = []

    def measure(shape, _prior, ways):
        asked.append(list(ways))
        places = [(START, 3), *((way, planes) for way in ways for planes in (4, 5, 6))]
        return [Row(shape.name, way, planes, "", 0.0, 0, 1.0, 1.0, 1.0, 1.0) for way, planes in places]

    monkeypatch.setattr(next_plane, "measure", measure)
    path = tmp_path / "cases" / "ellipsoid.json"
    for ways in ((SUGGESTED, FIXED), (SUGGESTED, FIXED, RANDOM), (RANDOM,)):
        rows = next_plane._cached(shape, None, ways, path)
    assert asked == [[SUGGESTED, FIXED], [RANDOM]]
    assert [row.way for row in rows].count(START) == 1
    assert len(rows) == 10
