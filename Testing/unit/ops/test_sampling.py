"""Uniform samples of surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from shapes import generator, random_points, sphere

from dals.geometry.mesh import TriangleMesh
from dals.ops.sampling import face_areas, sample_surface


def test_face_areas_agree_with_the_mesh() -> None:
    vertices, faces = sphere(2)
    expected = TriangleMesh(vertices.numpy(), faces.numpy()).face_areas
    assert np.allclose(face_areas(vertices, faces).numpy(), expected)
    doubled = torch.stack([vertices, 2 * vertices])
    assert np.allclose(face_areas(doubled, faces).numpy(), [expected, 4 * expected])


def test_faces_are_hit_in_proportion_to_their_area() -> None:
    # Three separate triangles of areas 1 : 2 : 5, told apart by their height.
    vertices = torch.tensor(
        [[x * a, y, float(k)] for k, a in enumerate((1, 2, 5)) for x, y in ((0, 0), (1, 0), (0, 1))]
    )
    points = sample_surface(vertices, torch.arange(9).view(3, 3), 8000, generator=generator())
    counts = torch.bincount(points[:, 2].round().long(), minlength=3).numpy()
    assert stats.chisquare(counts, 8000 * np.array([1, 2, 5]) / 8).pvalue > 1e-3


def test_points_are_uniform_within_a_triangle() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    points = sample_surface(vertices, torch.tensor([[0, 1, 2]]), 9000, generator=generator()).numpy()
    assert points[:, :2].min() >= 0
    assert points.sum(axis=1).max() <= 1 + 1e-6
    # Halving the sides makes four triangles of the same area.
    x, y, _ = points.T
    quarter = np.select([x > 0.5, y > 0.5, x + y < 0.5], [0, 1, 2], 3)
    assert stats.chisquare(np.bincount(quarter, minlength=4)).pvalue > 1e-3


def test_samples_of_a_sphere_have_its_moments() -> None:
    vertices, faces = sphere(4)
    points = sample_surface(vertices, faces, 20_000, generator=generator())
    assert points.norm(dim=1).min() > 0.99
    assert points.mean(dim=0).abs().max() < 0.02
    assert torch.allclose(points.T @ points / len(points), torch.eye(3, dtype=torch.float64) / 3, atol=0.01)


def test_the_same_seed_gives_the_same_points() -> None:
    vertices, faces = sphere(1)
    first = sample_surface(vertices, faces, 50, generator=generator(3))
    assert torch.equal(first, sample_surface(vertices, faces, 50, generator=generator(3)))
    assert not torch.equal(first, sample_surface(vertices, faces, 50, generator=generator(4)))


def test_each_mesh_of_a_batch_is_sampled() -> None:
    vertices, faces = sphere(2)
    batch = torch.stack([vertices, vertices + 10, 3 * vertices])[None]
    points = sample_surface(batch, faces, 100, generator=generator())
    assert points.shape == (1, 3, 100, 3)
    assert points[0, 0].norm(dim=1).max() <= 1 + 1e-9
    assert (points[0, 1] - 10).norm(dim=1).max() <= 1 + 1e-9
    assert points[0, 2].norm(dim=1).min() > 2.8


def test_gradient_is_the_barycentric_weights() -> None:
    vertices, faces = sphere(1)

    def sample(x: torch.Tensor) -> torch.Tensor:
        return sample_surface(x, faces, 6, generator=generator())

    moved = sample(vertices + torch.tensor([1.0, 2, 3], dtype=torch.float64))
    assert torch.allclose(moved, sample(vertices) + torch.tensor([1.0, 2, 3], dtype=torch.float64))
    for axis in range(3):
        vertices.grad = None
        points = sample(vertices.requires_grad_())
        (gradient,) = torch.autograd.grad(points[0, axis], vertices)
        assert gradient[:, axis].sum() == pytest.approx(1)
        assert gradient.min() >= 0
        assert (gradient != 0).sum() == 3
        assert torch.allclose(gradient[:, axis] @ vertices, points[0])  # the weights give the point itself


def test_faces_without_area_are_never_hit() -> None:
    vertices = torch.tensor([[5.0, 5, 5], [5, 5, 5], [5, 5, 5], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    points = sample_surface(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]), 2000, generator=generator())
    assert points.max() <= 1


def test_a_surface_without_area_gives_finite_points_and_gradients() -> None:
    _, faces = sphere(1)
    vertices = torch.ones(42, 3, requires_grad=True)
    points = sample_surface(vertices, faces, 30, generator=generator())
    assert torch.allclose(points, torch.ones(30, 3))
    points.sum().backward()
    assert torch.isfinite(vertices.grad).all()


def test_float32_in_float32_out() -> None:
    faces = torch.tensor([[0, 1, 2]])
    assert sample_surface(random_points(3, dtype=torch.float32), faces, 4).dtype == torch.float32
