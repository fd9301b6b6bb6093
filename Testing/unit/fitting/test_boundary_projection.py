"""Vertices that are moved onto a boundary."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dals.fitting.boundary_projection import project_to_boundary
from dals.model.template import icosphere
from dals.ops.distance_field import DistanceField, distance_field

RADIUS = 20.0


@pytest.fixture(scope="module")
def ball() -> DistanceField:
    """Around the origin."""
    index = np.indices((61, 61, 61)) - 30
    matrix = np.eye(4)
    matrix[:3, 3] = -30
    return distance_field(np.linalg.norm(index, axis=0) < RADIUS, matrix)


def sphere(radius: float, level: int = 3) -> Tensor:
    return radius * torch.as_tensor(icosphere(level).vertices, dtype=torch.float32)


@pytest.mark.parametrize("radius", [18.5, 21.5])
def test_a_near_surface_lands_on_the_boundary_with_its_faces(ball: DistanceField, radius: float) -> None:
    template = icosphere(3)
    moved = project_to_boundary(sphere(radius), template, ball, within=4.0)
    edges = moved[torch.as_tensor(template.edges)].mean(dim=1)
    assert abs(moved.norm(dim=1).mean() - RADIUS) < 0.35
    # Half of the chords' sagitta outside, half inside.
    both = torch.cat([moved, edges]).norm(dim=1) - RADIUS
    assert both.abs().mean() < 0.3
    assert (torch.nn.functional.cosine_similarity(moved, sphere(radius), dim=1) > 0.999).all()


def test_what_is_farther_away_stays(ball: DistanceField) -> None:
    start = sphere(25.0)
    assert torch.equal(project_to_boundary(start, icosphere(3), ball, within=4.0), start)


def test_one_side_only(ball: DistanceField) -> None:
    """A bump of 8 mm is left; the rest is moved."""
    start = sphere(21.0)
    bump = start[:, 2] > 17
    start[bump] *= 28 / 21
    moved = project_to_boundary(start, icosphere(3), ball, within=4.0)
    inner = start[:, 2] > 26  # the smoothing of the steps reaches a few vertices into the bump
    assert inner.sum() > 5
    assert torch.allclose(moved[inner], start[inner], atol=0.2)
    rest = start[:, 2] < 10
    assert (moved[rest].norm(dim=1) - RADIUS).abs().mean() < 0.4


def test_a_boundary_that_faces_the_other_way_does_not_count(ball: DistanceField) -> None:
    inside_out = DistanceField(-ball.values, ball.origin, ball.spacing)
    start = sphere(21.0)
    assert torch.equal(project_to_boundary(start, icosphere(3), inside_out, within=4.0), start)
