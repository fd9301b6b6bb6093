"""Terms of the paper's energies (Eqs. 1 to 4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dals.ops.nearest import PointIndex, nearest


def chamfer(a: Tensor, b: Tensor) -> Tensor:
    """Chamfer distance: the mean squared distance to the nearest point, summed over both directions.

    Parameters
    ----------
    a : (..., N, 3)
    b : (..., M, 3)

    Returns
    -------
    (...,)
        In the square of the points' unit. Gradients reach both sets.
    """
    return squared_distance(a, b, nearest(a, b)) + squared_distance(b, a, nearest(b, a))


def chamfer_to_fixed(points: Tensor, target: PointIndex, *, covered: Tensor | None = None) -> Tensor:
    """`chamfer` between points (N, 3) and a fixed target with a prebuilt search structure; scalar.

    `covered`, (M, 3), is the subset of the target used in the direction from target to points; by default all of it.
    """
    covered = target.points if covered is None else covered
    forward = squared_distance(points, target.points, target.nearest(points))
    return forward + squared_distance(covered, points, nearest(covered, points))


def squared_distance(points: Tensor, references: Tensor, index: Tensor) -> Tensor:
    """Mean squared distance between points (..., N, 3) and the references (..., M, 3) at index (..., N)."""
    picked = torch.gather(references, -2, index[..., None].expand(*index.shape, 3))
    return (points - picked).square().sum(dim=-1).mean(dim=-1)


def triangle_quality(vertices: Tensor, faces: Tensor) -> Tensor:
    """Quality 4 sqrt(3) A / (a^2 + b^2 + c^2) of each face, (..., F); 1 if equilateral.

    Parameters
    ----------
    vertices : (..., V, 3)
    faces : (F, 3) int64
    """
    a, b, c = (vertices[..., faces[:, k], :] for k in range(3))
    ab, bc, ca = b - a, c - b, a - c
    edges = sum(edge.square().sum(dim=-1) for edge in (ab, bc, ca))
    double_area = _safe_norm(torch.linalg.cross(ab, -ca, dim=-1))
    tiny = torch.finfo(vertices.dtype).tiny
    return 2.0 * math.sqrt(3.0) * double_area / torch.as_tensor(edges).clamp_min(tiny)


def quality_loss(vertices: Tensor, faces: Tensor) -> Tensor:
    """L_reg, Eq. 2: one minus the mean triangle quality, (...,)."""
    return 1.0 - triangle_quality(vertices, faces).mean(dim=-1)


def dirichlet_energy(latents: Tensor, laplacian: Tensor, *, power: int = 2) -> Tensor:
    """L_dir, Eq. 4: Tr(Z^T L^p Z), a sum over vertices.

    Parameters
    ----------
    latents : (V, d)
        Z, one latent per vertex.
    laplacian : (V, V)
        L, sparse or dense (`template.uniform_laplacian`).
    power : int
        p; 2 in the paper.
    """
    if power < 1:
        raise ValueError("the power of the Laplacian must be at least 1")
    smoothed = latents
    for _ in range(power):
        smoothed = laplacian @ smoothed
    return (latents * smoothed).sum()


def latent_norm(latents: Tensor) -> Tensor:
    """L_norm of Eq. 1: the mean squared length of latents (..., d)."""
    return latents.square().sum(dim=-1).mean()


def _safe_norm(vectors: Tensor) -> Tensor:
    """Norm with gradient zero at zero, not NaN."""
    squared = vectors.square().sum(dim=-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, torch.ones_like(squared)).sqrt(), 0.0)
