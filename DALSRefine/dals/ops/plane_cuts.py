"""Differentiable samples of the cuts of a mesh with planes (appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dals.ops.device import widest_float


@dataclass(frozen=True)
class PlaneCuts:
    """Cuts of one mesh with P planes: one possible segment per face.

    Attributes
    ----------
    lengths : (P, F)
        Length of the segment in which a face meets a plane; zero if they do not meet.
    weights : (P, F, 2, 3)
        Barycentric coordinates of the two ends of the segment, without gradient.
    """

    lengths: Tensor
    weights: Tensor


def signed_distances(points: Tensor, origins: Tensor, normals: Tensor) -> Tensor:
    """Signed distances (P, V) of points (V, 3) from planes with origins and unit normals (P, 3)."""
    return normals @ points.T - (normals * origins).sum(dim=-1, keepdim=True)


@torch.no_grad()
def cut_mesh(vertices: Tensor, faces: Tensor, origins: Tensor, normals: Tensor) -> PlaneCuts:
    """Intersect every face with every plane.

    The result has a fixed shape, so that a GPU never has to synchronise. A vertex on a plane counts as lying on
    its positive side.

    Parameters
    ----------
    vertices : (V, 3)
    faces : (F, 3) int64
    origins, normals : (P, 3)
        Unit normals.
    """
    distance = signed_distances(vertices, origins, normals)[:, faces]  # (P, F, 3)
    above = distance >= 0
    count = above.sum(dim=-1)
    crossed = (count == 1) | (count == 2)
    lone = torch.where((count == 1)[..., None], above, ~above).to(torch.uint8).argmax(dim=-1)  # (P, F)
    # A plane crosses the two edges at the corner that lies alone on its side.
    ends = torch.stack([(lone + 1) % 3, (lone + 2) % 3], dim=-1)  # (P, F, 2)
    lone_distance = distance.gather(-1, lone[..., None])  # (P, F, 1)
    gap = lone_distance - distance.gather(-1, ends)
    fraction = torch.where(crossed[..., None], lone_distance / torch.where(gap == 0, 1.0, gap), 0.0)
    weights = torch.zeros(*distance.shape[:2], 2, 3, dtype=vertices.dtype, device=vertices.device)
    weights.scatter_(-1, ends[..., None], fraction[..., None])
    weights.scatter_(-1, lone[..., None, None].expand(*lone.shape, 2, 1), 1 - fraction[..., None])
    segment = weights @ vertices[faces]  # (P, F, 2, 3)
    lengths = torch.linalg.vector_norm(segment[..., 1, :] - segment[..., 0, :], dim=-1)
    return PlaneCuts(torch.where(crossed, lengths, 0.0), weights)


def sample_cuts(
    vertices: Tensor, faces: Tensor, cuts: PlaneCuts, count: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw points uniformly along the cut of each plane, (P, count, 3).

    Gradients reach the vertices through the barycentric coordinates. Points of a plane that misses the mesh are
    meaningless (see `planes_met`).
    """
    with torch.no_grad():
        wide = widest_float(vertices.device)
        cumulative = cuts.lengths.to(wide).cumsum(dim=-1)
        shape = (len(cumulative), count)
        uniform = torch.rand(2, *shape, generator=generator, device=vertices.device, dtype=vertices.dtype)
        targets = uniform[0].to(wide) * cumulative[:, -1:]
        # "right" never chooses a face of length zero, not even for a target of zero.
        chosen = torch.searchsorted(cumulative, targets, right=True).clamp_(max=len(faces) - 1)
        rows = torch.arange(len(cumulative), device=vertices.device)[:, None]
        ends = cuts.weights[rows, chosen]  # (P, count, 2, 3)
        weights = torch.lerp(ends[..., 0, :], ends[..., 1, :], uniform[1][..., None])
    return (vertices[faces[chosen]] * weights[..., None]).sum(dim=-2)


def planes_met(cuts: PlaneCuts) -> Tensor:
    """Whether each plane meets the mesh, bool (P,)."""
    return cuts.lengths.sum(dim=-1) > 0
