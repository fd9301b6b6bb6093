import numpy as np
import pytest

from dals.evaluation.metrics import self_intersection_percentage
from dals.fitting.fold_removal import remove_folds
from dals.geometry.mesh import TriangleMesh
from dals.model.template import icosphere


def sphere(level: int = 3) -> TriangleMesh:
    template = icosphere(level)
    return TriangleMesh(template.vertices, template.faces)


def folded_sphere() -> TriangleMesh:
    # Two neighbouring vertices that change places turn the faces around them over.
    mesh = sphere()
    neighbour = next(pair for pair in icosphere(3).edges.tolist() if 300 in pair)
    vertices = mesh.vertices.copy()
    vertices[neighbour] = vertices[neighbour[::-1]]
    return TriangleMesh(vertices, mesh.faces)


def test_a_surface_without_folds_stays_as_it_is() -> None:
    mesh = sphere()
    assert np.array_equal(remove_folds(mesh).vertices, mesh.vertices)


def test_a_fold_is_smoothed_away_and_the_rest_stays() -> None:
    pytest.importorskip("igl", reason="self-intersections are counted by libigl")
    mesh = folded_sphere()
    result = remove_folds(mesh)
    assert self_intersection_percentage(mesh) > 0
    assert self_intersection_percentage(result) == 0
    moved = np.any(result.vertices != mesh.vertices, axis=1)
    far = np.linalg.norm(mesh.vertices - sphere().vertices[300], axis=1) > 1.0
    assert moved.any()
    assert not moved[far].any()
    assert np.array_equal(result.faces, mesh.faces)
    assert np.linalg.norm(result.vertices, axis=1) == pytest.approx(1.0, abs=0.15)


def test_the_input_is_left_alone() -> None:
    mesh = folded_sphere()
    before = mesh.vertices.copy()
    remove_folds(mesh)
    assert np.array_equal(mesh.vertices, before)
