"""Cuts of meshes with planes, and samples on them."""

from __future__ import annotations

import math

import pytest
import torch
from shapes import generator, random_points, sphere
from torch import Tensor

from dals.ops.plane_cuts import cut_mesh, planes_met, sample_cuts, signed_distances

OBLIQUE = torch.nn.functional.normalize(torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64), dim=1)
X = torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
Z = torch.tensor([[0, 0, 1.0]], dtype=torch.float64)


def _samples(vertices: Tensor, faces: Tensor, origins: Tensor, normals: Tensor, count: int = 500) -> Tensor:
    cuts = cut_mesh(vertices, faces, origins, normals)
    return sample_cuts(vertices, faces, cuts, count, generator=generator())


def test_signed_distances_against_the_definition() -> None:
    points, origins = random_points(5), random_points(2, seed=1)
    normals = torch.cat([OBLIQUE, X])
    expected = [[float(n @ (p - o)) for p in points] for o, n in zip(origins, normals, strict=True)]
    assert torch.allclose(signed_distances(points, origins, normals), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("normal", [X, Z, OBLIQUE, -OBLIQUE])
@pytest.mark.parametrize("offset", [0.0, 0.3, -0.8])
def test_a_plane_cuts_a_sphere_in_a_circle(normal: Tensor, offset: float) -> None:
    vertices, faces = sphere(5)
    origin = offset * normal
    radius = math.sqrt(1 - offset**2)
    cuts = cut_mesh(vertices, faces, origin, normal)
    assert cuts.lengths.sum().item() == pytest.approx(2 * math.pi * radius, rel=3e-3)
    samples = _samples(vertices, faces, origin, normal)[0]
    assert ((samples - origin) @ normal[0]).abs().max() < 1e-12
    assert ((samples - origin).norm(dim=1) - radius).abs().max() < 3e-3


def test_samples_are_uniform_along_the_circle() -> None:
    vertices, faces = sphere(4)
    samples = _samples(vertices, faces, 0.1 * Z, Z, 8000)[0]
    angle = torch.atan2(samples[:, 1], samples[:, 0])
    counts = torch.histc(angle, bins=16, min=-math.pi, max=math.pi)
    assert ((counts - 500).square() / 500).sum() < 45  # chi-square, 15 degrees of freedom, p about 1e-4


def test_samples_lie_on_faces_of_the_mesh() -> None:
    vertices, faces = sphere(2)
    cuts = cut_mesh(vertices, faces, 0.2 * OBLIQUE, OBLIQUE)
    assert cuts.weights.min() >= 0
    assert torch.allclose(cuts.weights.sum(dim=-1), torch.ones(1, len(faces), 2, dtype=torch.float64))
    samples = sample_cuts(vertices, faces, cuts, 200, generator=generator())[0]
    corners = vertices[faces]
    weights = torch.linalg.solve(corners.transpose(1, 2), samples.T)  # (F, 3, 200): no face's plane holds the origin
    on_face = (weights.amin(dim=1) > -1e-9) & ((weights.sum(dim=1) - 1).abs() < 1e-9)
    assert on_face.any(dim=0).all()


def test_each_plane_is_cut_on_its_own() -> None:
    vertices, faces = sphere(3)
    normals, origins = torch.cat([X, Z, OBLIQUE]), torch.cat([0.5 * X, 5 * Z, 0 * X])
    cuts = cut_mesh(vertices, faces, origins, normals)
    assert cuts.lengths.shape == (3, len(faces))
    assert planes_met(cuts).tolist() == [True, False, True]
    for k in range(3):
        alone = cut_mesh(vertices, faces, origins[k : k + 1], normals[k : k + 1])
        assert torch.allclose(alone.lengths[0], cuts.lengths[k])


@pytest.mark.parametrize("offset", [1.5, -1.5])
def test_a_plane_that_misses_gives_nothing(offset: float) -> None:
    vertices, faces = sphere(2)
    cuts = cut_mesh(vertices, faces, offset * OBLIQUE, OBLIQUE)
    assert not cuts.lengths.any()
    samples = sample_cuts(vertices, faces, cuts, 10, generator=generator())
    assert torch.isfinite(samples).all()


def _octahedron() -> tuple[Tensor, Tensor]:
    vertices = torch.tensor(
        [[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=torch.float64
    )
    top = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4]]
    return vertices, torch.tensor(top + [[b, a, 5] for a, b, _ in top])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_plane_along_edges_counts_each_edge_once(sign: int) -> None:
    vertices, faces = _octahedron()
    cuts = cut_mesh(vertices, faces, 0 * Z, sign * Z)
    assert cuts.lengths.sum().item() == pytest.approx(4 * math.sqrt(2))  # the square at the equator
    samples = sample_cuts(vertices, faces, cuts, 100, generator=generator())[0]
    assert samples[:, 2].abs().max() == 0
    assert torch.allclose(samples.abs().sum(dim=1), torch.ones(100, dtype=torch.float64))


def test_a_plane_through_vertices_and_faces() -> None:
    vertices, faces = _octahedron()
    diagonal = torch.tensor([[1.0, -1.0, 0]], dtype=torch.float64) / math.sqrt(
        2
    )  # through the poles and four edges' middles
    cuts = cut_mesh(vertices, faces, 0 * Z, diagonal)
    assert cuts.lengths.sum().item() == pytest.approx(4 * math.sqrt(1.5))
    samples = sample_cuts(vertices, faces, cuts, 100, generator=generator())[0]
    assert (samples @ diagonal[0]).abs().max() < 1e-12


@pytest.mark.parametrize("sign", [1, -1])
def test_a_plane_that_touches_one_vertex_has_no_length(sign: int) -> None:
    vertices, faces = _octahedron()
    cuts = cut_mesh(vertices, faces, Z, sign * Z)
    assert torch.isfinite(cuts.weights).all()
    assert not planes_met(cuts).any()


def test_a_plane_through_the_vertices_of_an_icosphere_is_a_closed_circle() -> None:
    vertices, faces = sphere(4)
    through = vertices[100] / vertices[100].norm()
    normal = torch.linalg.cross(through, vertices[2000])[None]
    normal = normal / normal.norm()
    cuts = cut_mesh(vertices, faces, 0 * normal, normal)  # holds two vertices and the centre
    assert cuts.lengths.sum().item() == pytest.approx(2 * math.pi, rel=5e-3)


def test_gradient_is_the_barycentric_weights() -> None:
    vertices, faces = sphere(1)
    cuts = cut_mesh(vertices, faces, 0.2 * OBLIQUE, OBLIQUE)
    vertices.requires_grad_()
    points = sample_cuts(vertices, faces, cuts, 5, generator=generator())
    for point in points[0]:
        (gradient,) = torch.autograd.grad(point[0], vertices, retain_graph=True)
        weights = gradient[:, 0]
        assert weights.sum().item() == pytest.approx(1)
        assert weights.min() >= 0
        assert (weights != 0).sum() <= 3
        assert not gradient[:, 1:].any()
        assert torch.allclose(weights @ vertices, point)


def test_the_same_seed_gives_the_same_points() -> None:
    vertices, faces = sphere(2)
    first = _samples(vertices, faces, 0.1 * X, X, 20)
    assert torch.equal(first, _samples(vertices, faces, 0.1 * X, X, 20))


def test_float32_samples_stay_on_the_plane() -> None:
    vertices, faces = sphere(4, dtype=torch.float32)
    samples = _samples(vertices, faces, 0.1 * OBLIQUE.float(), OBLIQUE.float(), 20_000)
    assert samples.dtype == torch.float32
    assert (samples[0] @ OBLIQUE[0].float() - 0.1).abs().max() < 1e-6


def test_a_draw_of_zero_hits_a_face_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = sphere(2)
    cuts = cut_mesh(vertices, faces, 0.9 * Z, Z)
    assert cuts.lengths[0, 0] == 0
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.zeros(*shape, dtype=options["dtype"]))
    samples = sample_cuts(vertices, faces, cuts, 3)
    assert torch.allclose(samples[..., 2], torch.full((1, 3), 0.9, dtype=torch.float64))
