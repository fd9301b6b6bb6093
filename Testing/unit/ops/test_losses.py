"""Loss terms against loops and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapes import random_points, sphere
from torch import Tensor

from dals.model.template import icosphere, uniform_laplacian
from dals.ops.losses import (
    chamfer,
    chamfer_to_fixed,
    dirichlet_energy,
    latent_norm,
    quality_loss,
    squared_distance,
    triangle_quality,
)
from dals.ops.nearest import PointIndex

FACES = torch.tensor([[0, 1, 2], [2, 1, 3], [3, 1, 0]])


def _naive_chamfer(a: Tensor, b: Tensor) -> float:
    there = np.mean([min(float((p - q).square().sum()) for q in b) for p in a])
    back = np.mean([min(float((p - q).square().sum()) for q in a) for p in b])
    return float(there + back)


def test_chamfer_against_a_loop() -> None:
    a, b = random_points(15, seed=1), random_points(22, seed=2)
    assert chamfer(a, b).item() == pytest.approx(_naive_chamfer(a, b))
    assert chamfer_to_fixed(a, PointIndex(b)).item() == pytest.approx(_naive_chamfer(a, b))


def test_chamfer_of_batches() -> None:
    a, b = random_points(3, 8, seed=1), random_points(3, 5, seed=2)
    assert chamfer(a, b).tolist() == pytest.approx([_naive_chamfer(x, y) for x, y in zip(a, b, strict=True)])


def test_chamfer_is_symmetric_and_zero_for_equal_sets() -> None:
    a, b = random_points(9, seed=1), random_points(14, seed=2)
    assert chamfer(a, b).item() == pytest.approx(chamfer(b, a).item())
    assert chamfer(a, a[torch.randperm(9)]).item() == 0


def test_chamfer_gradients() -> None:
    a, b = random_points(6, seed=1).requires_grad_(), random_points(7, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(chamfer, (a, b))
    assert torch.autograd.gradcheck(lambda x: chamfer_to_fixed(x, PointIndex(b)), a)


def test_squared_distance_takes_the_points_it_is_told() -> None:
    a, b = random_points(2, 4, seed=1), random_points(2, 3, seed=2)
    index = torch.tensor([[0, 2, 1, 1], [2, 2, 0, 1]])
    expected = [
        float(np.mean([float((a[k, n] - b[k, index[k, n]]).square().sum()) for n in range(4)])) for k in range(2)
    ]
    assert squared_distance(a, b, index).tolist() == pytest.approx(expected)


def _naive_quality(a: Tensor, b: Tensor, c: Tensor) -> float:
    ab, bc, ca = (float((p - q).norm()) for p, q in ((a, b), (b, c), (c, a)))
    half = (ab + bc + ca) / 2
    area = math.sqrt(half * (half - ab) * (half - bc) * (half - ca))  # Heron
    return 4 * math.sqrt(3) * area / (ab**2 + bc**2 + ca**2)


def test_quality_against_a_loop() -> None:
    vertices = random_points(4)
    expected = [_naive_quality(*vertices[face]) for face in FACES]
    assert triangle_quality(vertices, FACES).tolist() == pytest.approx(expected)
    assert quality_loss(vertices, FACES).item() == pytest.approx(1 - np.mean(expected))


def test_quality_of_known_triangles() -> None:
    equilateral = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0.5, math.sqrt(0.75), 0]], dtype=torch.float64)
    right = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    flat = torch.tensor([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]], dtype=torch.float64)
    batch = torch.stack([equilateral, right, flat])
    expected = [1, math.sqrt(3) / 2, 0]
    assert triangle_quality(batch, torch.tensor([[0, 1, 2]]))[:, 0].tolist() == pytest.approx(expected)
    assert quality_loss(batch, torch.tensor([[0, 1, 2]])).tolist() == pytest.approx([1 - q for q in expected])


def test_quality_does_not_change_under_similarities() -> None:
    vertices, faces = sphere(2)
    expected = triangle_quality(vertices, faces)
    assert torch.allclose(triangle_quality(1e-3 * vertices + 5, faces), expected, atol=1e-6)


def test_quality_gradient() -> None:
    vertices = random_points(4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: quality_loss(v, FACES), vertices)


@pytest.mark.parametrize("vertices", [torch.zeros(4, 3), torch.arange(12.0).view(4, 3)])
def test_quality_of_degenerate_faces_is_zero_with_finite_gradient(vertices: Tensor) -> None:
    vertices = vertices.clone().requires_grad_()
    loss = quality_loss(vertices, FACES)
    assert loss.item() == pytest.approx(1)
    loss.backward()
    assert torch.isfinite(vertices.grad).all()


@pytest.mark.parametrize("power", [1, 2, 3])
def test_dirichlet_energy_against_the_trace(power: int) -> None:
    laplacian = uniform_laplacian(icosphere(1), dtype=torch.float64)
    latents = random_points(42).repeat(1, 2)
    expected = np.trace(
        latents.numpy().T @ np.linalg.matrix_power(laplacian.to_dense().numpy(), power) @ latents.numpy()
    )
    assert dirichlet_energy(latents, laplacian, power=power).item() == pytest.approx(expected)
    assert dirichlet_energy(latents, laplacian.to_dense(), power=power).item() == pytest.approx(expected)


def test_the_papers_power_is_two() -> None:
    laplacian = uniform_laplacian(icosphere(0), dtype=torch.float64)
    latents = random_points(12)
    assert torch.equal(dirichlet_energy(latents, laplacian), dirichlet_energy(latents, laplacian, power=2))


def test_dirichlet_energy_ignores_what_all_vertices_share() -> None:
    laplacian = uniform_laplacian(icosphere(1), dtype=torch.float64)
    shared = torch.full((42, 4), 7.0, dtype=torch.float64)
    assert dirichlet_energy(shared, laplacian).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("power", [1, 2])
def test_dirichlet_gradient(power: int) -> None:
    laplacian = uniform_laplacian(icosphere(0), dtype=torch.float64)
    latents = random_points(12).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: dirichlet_energy(z, laplacian, power=power), latents)


def test_a_power_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="power"):
        dirichlet_energy(torch.zeros(12, 2), uniform_laplacian(icosphere(0)), power=0)


def test_latent_norm_is_the_mean_squared_length() -> None:
    assert latent_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])).item() == pytest.approx(13)
