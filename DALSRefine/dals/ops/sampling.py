"""Uniform random points on triangle meshes, differentiable in the vertices."""

from __future__ import annotations

import torch
from torch import Tensor

from dals.ops.device import widest_float


def face_areas(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area of every face, (..., F), from vertices (..., V, 3) and faces (F, 3)."""
    a, b, c = (vertices[..., faces[:, k], :] for k in range(3))
    return 0.5 * torch.linalg.vector_norm(torch.linalg.cross(b - a, c - a, dim=-1), dim=-1)


def sample_surface(vertices: Tensor, faces: Tensor, count: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw points uniformly from the surface.

    Gradients pass through the points, not through the choice of faces and barycentric coordinates.

    Parameters
    ----------
    vertices : (..., V, 3)
    faces : (F, 3) int64
    count : int
        Points per mesh.
    generator
        On the device of the vertices.

    Returns
    -------
    (..., count, 3)
    """
    batch = vertices.shape[:-2]
    flat = vertices.reshape(-1, *vertices.shape[-2:])
    chosen, weights = choose_on_surface(flat, faces, count, generator=generator)
    corner_index = faces[chosen]  # (B, count, 3)
    rows = torch.arange(len(flat), device=vertices.device)[:, None, None]
    corners = flat[rows, corner_index]  # (B, count, 3 corners, 3 axes)
    points = (corners * weights[..., None]).sum(dim=-2)
    return points.reshape(*batch, count, 3)


@torch.no_grad()
def choose_on_surface(
    vertices: Tensor, faces: Tensor, count: int, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw faces (B, count) and barycentric coordinates (B, count, 3) for uniform points on meshes (B, V, 3)."""
    wide = widest_float(vertices.device)
    cumulative = face_areas(vertices, faces).to(wide).cumsum(dim=-1)
    uniform = torch.rand(len(vertices), count, 3, generator=generator, device=vertices.device, dtype=vertices.dtype)
    # If a surface has shrunk to a point, all its faces are equally likely.
    cumulative = cumulative + torch.arange(1, len(faces) + 1, device=vertices.device) * 1e-30
    targets = uniform[..., 0].to(wide) * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, targets, right=True).clamp_(max=len(faces) - 1)
    root = uniform[..., 1].sqrt()
    return chosen, torch.stack([1 - root, root * (1 - uniform[..., 2]), root * uniform[..., 2]], dim=-1)
