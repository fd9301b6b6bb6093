"""The icosphere, its subdivision and its Laplacian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dals.geometry.mesh import TriangleMesh
from dals.model.template import MAX_LEVEL, Template, icosphere, uniform_laplacian, unique_edges


@pytest.mark.parametrize(("level", "count"), [(0, 12), (1, 42), (2, 162), (3, 642), (4, 2562)])
def test_counts(level: int, count: int) -> None:
    template = icosphere(level)
    assert template.level == level
    assert len(template.vertices) == count
    assert len(template.faces) == 20 * 4**level
    assert len(template.edges) == 30 * 4**level


@pytest.mark.parametrize("level", [0, 1, 3])
def test_closed_sphere_of_unit_vectors(level: int) -> None:
    template = icosphere(level)
    mesh = TriangleMesh(template.vertices, template.faces)
    assert np.allclose(np.linalg.norm(template.vertices, axis=1), 1, atol=1e-14)
    assert mesh.is_closed
    assert mesh.euler_characteristic == 2
    assert len(np.unique(template.vertices.round(9), axis=0)) == len(template.vertices)


@pytest.mark.parametrize("level", [0, 2, 4])
def test_every_face_faces_outwards(level: int) -> None:
    template = icosphere(level)
    a, b, c = np.moveaxis(template.vertices[template.faces], 1, 0)
    assert np.all(np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) > 0)


def test_area_and_volume_converge_to_the_sphere() -> None:
    meshes = [TriangleMesh(t.vertices, t.faces) for t in map(icosphere, range(6))]
    area_errors = np.array([4 * np.pi - mesh.area for mesh in meshes])
    volume_errors = np.array([4 / 3 * np.pi - mesh.volume for mesh in meshes])
    for errors in (area_errors, volume_errors):
        assert np.all(errors > 0)  # an inscribed polyhedron is smaller
        assert errors[-2:] == pytest.approx(errors[-3:-1] / 4, rel=0.05)  # second order
    assert area_errors[5] < 5e-3 * 4 * np.pi


def test_levels_are_nested() -> None:
    for level in range(1, 5):
        coarse, fine = icosphere(level - 1), icosphere(level)
        assert np.array_equal(fine.vertices[: len(coarse.vertices)], coarse.vertices)


def test_new_vertices_halve_their_parents_edge() -> None:
    fine = icosphere(3)
    middle = fine.vertices[fine.parents].mean(axis=1)
    assert np.allclose(middle / np.linalg.norm(middle, axis=1, keepdims=True), fine.vertices)
    count = len(icosphere(2).vertices)
    assert np.array_equal(fine.parents[count:], icosphere(2).edges)


def test_prolong_is_exact_for_constant_and_linear_fields() -> None:
    coarse, fine = icosphere(2), icosphere(3)
    constant = torch.full((len(coarse.vertices), 2), 3.5)
    assert torch.equal(fine.prolong(constant), torch.full((len(fine.vertices), 2), 3.5))
    positions = torch.as_tensor(coarse.vertices)
    assert np.allclose(fine.prolong(positions).numpy(), fine.vertices[fine.parents].mean(axis=1))
    assert torch.equal(fine.prolong(positions)[: len(positions)], positions)


def test_prolong_carries_gradients() -> None:
    field = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(icosphere(1).prolong, field)


@pytest.mark.parametrize("level", [-1, MAX_LEVEL + 1])
def test_levels_out_of_range_are_refused(level: int) -> None:
    with pytest.raises(ValueError, match="subdivision level"):
        icosphere(level)


def test_unique_edges_of_two_triangles() -> None:
    edges = unique_edges(np.array([[0, 1, 2], [2, 1, 3]]))
    assert edges.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]


def _dense_laplacian(template: Template) -> np.ndarray:
    """I - D^-1 A from the definition."""
    count = len(template.vertices)
    adjacency = np.zeros((count, count))
    for a, b, c in template.faces:
        for i, j in ((a, b), (b, c), (c, a)):
            adjacency[i, j] = adjacency[j, i] = 1
    return np.asarray(np.eye(count) - adjacency / adjacency.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_laplacian_is_the_random_walk_one(level: int) -> None:
    template = icosphere(level)
    laplacian = uniform_laplacian(template, dtype=torch.float64)
    assert laplacian.is_sparse
    assert np.allclose(laplacian.to_dense().numpy(), _dense_laplacian(template), atol=1e-15)


def test_laplacian_rows_sum_to_zero_and_the_diagonal_is_one() -> None:
    dense = uniform_laplacian(icosphere(3)).to_dense()
    assert dense.dtype == torch.float32
    assert dense.sum(dim=1).abs().max() < 1e-6
    assert torch.equal(dense.diagonal(), torch.ones(642))
