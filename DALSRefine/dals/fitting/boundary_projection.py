"""Projection of a fitted surface onto the nearby boundary of its segmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from dals.model.template import Template, uniform_laplacian
from dals.ops.distance_field import DistanceField

_ROUNDS = 5
_SMOOTHING = 0.5


def project_to_boundary(vertices: Tensor, template: Template, field: DistanceField, *, within: float) -> Tensor:
    """Project vertices along their normals onto a boundary within a given distance.

    Where a fit agrees with the boundary, it ends within about a voxel of it, and the segmentation is more accurate than
    the prior. Where the two are further apart, the prior takes precedence. Steps are computed at vertices and at the
    midpoints of edges, so that whole faces approach the boundary, and are smoothed once over neighbours.

    Parameters
    ----------
    vertices : (V, 3)
        Faces counter-clockwise seen from outside.
    template : Template
        Their connectivity.
    field : DistanceField
        In the same frame and unit.
    within : float
        Distance beyond which a vertex stays in place. Below it, a vertex moves a larger fraction of the way the closer
        it is.

    Returns
    -------
    (V, 3)
    """
    device, dtype = vertices.device, vertices.dtype
    start, end = torch.as_tensor(template.edges, device=device).unbind(dim=1)
    faces = torch.as_tensor(template.faces, device=device)
    laplacian = uniform_laplacian(template, dtype=dtype).to(device)
    degree = torch.bincount(torch.cat([start, end]), minlength=len(vertices)).to(dtype)
    for _ in range(_ROUNDS):
        normals = _vertex_normals(vertices, faces)
        places = torch.cat([vertices, (vertices[start] + vertices[end]) / 2])
        outwards = torch.cat([normals, torch.nn.functional.normalize(normals[start] + normals[end], dim=1)])
        distance, gradient = field.signed(places)
        trust = (1 - (distance / within) ** 2).clamp_min(0) ** 2
        # A boundary with a different orientation belongs to another part.
        wanted = -distance * trust * (gradient * outwards).sum(dim=1).clamp(0, 1)
        of_vertex, of_edge = wanted.split([len(vertices), len(start)])
        at_edges = torch.zeros_like(of_vertex).index_add(0, start, of_edge).index_add(0, end, of_edge) / degree
        step = (of_vertex + at_edges) / 2
        step = step - _SMOOTHING * (laplacian @ step[:, None])[:, 0]
        vertices = vertices + step[:, None] * normals
    return vertices


def _vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (V, 3), faces weighted by their areas."""
    a, b, c = vertices[faces].unbind(dim=1)
    crossed = torch.linalg.cross(b - a, c - a, dim=1)
    sums = torch.zeros_like(vertices)
    for corner in range(3):
        sums = sums.index_add(0, faces[:, corner], crossed)
    return torch.nn.functional.normalize(sums, dim=1)
