"""The paper's metrics against naive loops and known values."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dals.dataset.normalisation import normalise
from dals.errors import DalsError, InputError
from dals.evaluation.metrics import (
    bounding_radius,
    compare,
    dice,
    f_score,
    sample_points,
    self_intersection_percentage,
)
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.io.meshes import read_mesh
from dals.model.template import icosphere

LIVERS = Path(__file__).parents[4] / "shared" / "data" / "livers" / "meshes"
TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def ball(radius: float, level: int = 5) -> TriangleMesh:
    template = icosphere(level)
    return TriangleMesh(radius * template.vertices, template.faces)


def tetrahedra(shift: float) -> TriangleMesh:
    one = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    return TriangleMesh(np.concatenate([one, one + shift]), np.concatenate([TETRAHEDRON, TETRAHEDRON + 4]))


def test_concentric_spheres() -> None:
    metrics = compare(ball(1.1), ball(1.0), self_intersections=False)
    assert metrics.hausdorff == pytest.approx(0.1, abs=0.005)
    assert metrics.mean_distance == pytest.approx(0.1, rel=0.01)
    assert metrics.chamfer == pytest.approx(2 * 0.1**2, rel=0.01)
    assert metrics.volume_error == pytest.approx(100 * (1.1**3 - 1), rel=1e-6)
    assert metrics.bounding_radius == pytest.approx(1)
    assert (metrics.f_score_1, metrics.f_score_2) == (0, 0)
    assert metrics.self_intersections is None


@pytest.mark.parametrize(("gap", "at_1", "at_2"), [(0.012, 100, 100), (0.03, 0, 100), (0.05, 0, 0)])
def test_f_scores_are_relative_to_the_diameter_of_the_truth(gap: float, at_1: float, at_2: float) -> None:
    for radius in (1.0, 80.0):
        metrics = compare(ball(radius * (1 + gap)), ball(radius), self_intersections=False)
        assert metrics.f_score_1 == pytest.approx(at_1, abs=0.5)
        assert metrics.f_score_2 == pytest.approx(at_2, abs=0.5)


def test_against_a_naive_loop() -> None:
    first, second = ball(1, level=2), ball(1.2, level=1)
    metrics = compare(first, second, samples=300, seed=7, self_intersections=False)
    rng = np.random.default_rng(7)
    a, b = sample_points(first, 300, rng), sample_points(second, 300, rng)
    there = np.array([min(float(np.linalg.norm(p - q)) for q in b) for p in a])
    back = np.array([min(float(np.linalg.norm(p - q)) for p in a) for q in b])
    assert metrics.chamfer == pytest.approx((there**2).mean() + (back**2).mean())
    assert metrics.hausdorff == pytest.approx(max(there.max(), back.max()))
    assert metrics.mean_distance == pytest.approx((there.mean() + back.mean()) / 2)
    precision = 100 * np.mean([d < 0.048 for d in there])
    recall = 100 * np.mean([d < 0.048 for d in back])
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert f_score(there, back, 0.048) == pytest.approx(expected)
    assert metrics.f_score_2 == pytest.approx(expected)


def test_f_score_of_nothing_is_zero() -> None:
    assert f_score(np.ones(3), np.ones(3), 0.5) == 0


def test_millimetres_and_canonical_units_agree() -> None:
    in_mm = compare(ball(88, level=3), ball(80, level=3), samples=5000, self_intersections=False)
    canonical = compare(ball(1.1, level=3), ball(1.0, level=3), samples=5000, self_intersections=False)
    for name in ("chamfer", "hausdorff", "mean_distance", "f_score_2", "quality", "volume_error", "bounding_radius"):
        assert getattr(in_mm.canonical, name) == pytest.approx(getattr(canonical, name), rel=1e-9)


def test_same_seed_same_figures() -> None:
    arguments = (ball(1.0, level=2), ball(1.1, level=2))
    first = compare(*arguments, samples=1000, seed=3, self_intersections=False)
    assert first == compare(*arguments, samples=1000, seed=3, self_intersections=False)
    assert first != compare(*arguments, samples=1000, seed=4, self_intersections=False)


def test_samples_are_uniform_and_on_the_surface() -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [3, 0, 0], [6, 0, 0], [3, 2, 0]])
    mesh = TriangleMesh(corners, np.array([[0, 1, 2], [3, 4, 5]]))
    points = sample_points(mesh, 40_000, np.random.default_rng(0))
    small = points[:, 0] <= 1
    assert small.mean() == pytest.approx(0.5 / 3.5, abs=0.01)
    np.testing.assert_allclose(points[small].mean(axis=0), [1 / 3, 1 / 3, 0], atol=0.02)
    assert (points[small][:, :2].sum(axis=1) <= 1 + 1e-12).all()


def test_bounding_radius_ignores_unused_vertices() -> None:
    mesh = ball(2, level=2)
    assert bounding_radius(TriangleMesh(np.vstack([mesh.vertices, [99.0, 0, 0]]), mesh.faces)) == pytest.approx(2)


def test_interpenetrating_tetrahedra_are_counted_by_pairs() -> None:
    pytest.importorskip("igl")
    # The corner of the second sticks out through the slanted face of the first: three pairs of faces.
    assert self_intersection_percentage(tetrahedra(0.2)) == pytest.approx(100 * 3 / 8)
    assert self_intersection_percentage(tetrahedra(5.0)) == 0


def test_neighbours_do_not_count() -> None:
    pytest.importorskip("igl")
    assert self_intersection_percentage(ball(1, level=2)) == 0
    # Folded over: faces that share an edge overlap, which the paper's figure leaves out.
    folded = TriangleMesh(
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.2, 0.5, 0]]), np.array([[0, 1, 2], [1, 0, 3]])
    )
    assert self_intersection_percentage(folded) == 0


def test_without_libigl_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igl.predicates", None)
    with pytest.raises(DalsError, match=r"pip install dalsrefine\[metrics\]"):
        self_intersection_percentage(ball(1, level=1))


def test_open_surfaces_have_no_volume_error() -> None:
    mesh = ball(1, level=2)
    opened = TriangleMesh(mesh.vertices, mesh.faces[1:])
    assert compare(opened, mesh, samples=100, self_intersections=False).volume_error is None
    assert compare(mesh, opened, samples=100, self_intersections=False).volume_error is None


def test_surfaces_without_area_are_refused() -> None:
    mesh = ball(1, level=1)
    flat = TriangleMesh(np.zeros_like(mesh.vertices), mesh.faces)
    nan = TriangleMesh(np.full_like(mesh.vertices, np.nan), mesh.faces)
    empty = TriangleMesh(mesh.vertices, np.zeros((0, 3), dtype=int))
    for bad in (flat, nan, empty):
        with pytest.raises(InputError, match="The mesh"):
            compare(bad, mesh)
        with pytest.raises(InputError, match="The true surface"):
            compare(mesh, bad)


def test_dice() -> None:
    left, right = np.zeros((4, 4, 4), dtype=bool), np.zeros((4, 4, 4), dtype=bool)
    left[:2], right[1:3] = True, True
    grid = np.diag([2.0, 1, 3, 1])
    assert dice(LabelMap(left, grid), LabelMap(right, grid)) == pytest.approx(0.5)
    assert dice(LabelMap(left, grid), LabelMap(left, grid)) == 1
    nothing = LabelMap(np.zeros((4, 4, 4), dtype=bool), grid)
    assert dice(nothing, nothing) == 1
    with pytest.raises(InputError, match="different grids"):
        dice(LabelMap(left, grid), LabelMap(left, np.eye(4)))


@pytest.mark.skipif(not LIVERS.is_dir(), reason="the real livers are not here (../shared/data)")
def test_floor_of_the_metric_on_a_real_liver() -> None:
    mesh = normalise(read_mesh(LIVERS / "msd_022.ply", space="RAS")).mesh
    metrics = compare(mesh, mesh, self_intersections=False)
    assert metrics.chamfer == pytest.approx(0.4e-4, rel=0.35)
    assert metrics.f_score_1 == 100
