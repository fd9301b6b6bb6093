"""PointWOLF warps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from shapes import generator, sphere
from torch import Tensor

from dals.ops.sampling import sample_surface
from dals.training.augmentation import PointWolfSettings, PointWolfWarps, draw_warps

STILL = PointWolfSettings(max_rotation_deg=0, max_scale=1, max_shift=0)


def _shapes(count: int = 3, samples: int = 400) -> Tensor:
    """Samples of ellipsoids, zero mean and unit radius."""
    vertices, faces = sphere(3, dtype=torch.float32)
    axes = torch.rand(count, 1, 3, generator=generator(9)) + 0.5
    points = sample_surface(vertices * axes, faces, samples, generator=generator(8))
    points = points - points.mean(dim=1, keepdim=True)
    return points / points.norm(dim=-1).amax(dim=1)[:, None, None]


def _draw(points: Tensor, settings: PointWolfSettings | None = None, *, seed: int = 0) -> PointWolfWarps:
    return draw_warps(points, settings or PointWolfSettings(), generator=generator(seed))


def test_without_strength_nothing_moves() -> None:
    points = _shapes()
    assert torch.allclose(_draw(points, STILL).apply(points), points, atol=1e-5)


def test_the_result_is_normalised() -> None:
    points = _shapes(20)
    warped = _draw(points).apply(points)
    assert warped.mean(dim=1).abs().max() < 1e-5
    assert torch.allclose(warped.norm(dim=-1).amax(dim=1), torch.ones(20), atol=1e-5)


def test_the_default_strength_bends_shapes() -> None:
    points = _shapes(20)
    moved = (_draw(points).apply(points) - points).norm(dim=-1).mean(dim=1)
    assert moved.median() > 0.05
    assert moved.max() < 1


def test_a_warp_moves_any_subset_alike() -> None:
    points = _shapes()
    warps = _draw(points)
    assert torch.allclose(warps.apply(points[:, 50:60]), warps.apply(points)[:, 50:60], atol=1e-5)


def test_the_seed_decides() -> None:
    points = _shapes()
    first = _draw(points, seed=4).apply(points)
    assert torch.equal(first, _draw(points, seed=4).apply(points))
    assert not torch.allclose(first, _draw(points, seed=5).apply(points), atol=1e-3)


def test_picking_warps_picks_shapes() -> None:
    points = _shapes(4)
    warps = _draw(points)
    index = torch.tensor([2, 0, 2])
    picked = warps[index]
    assert (len(warps), len(picked)) == (4, 3)
    assert torch.allclose(picked.apply(points[index]), warps.apply(points)[index], atol=1e-6)
    assert picked.to("cpu").bandwidth == warps.bandwidth
    assert torch.equal(picked.to("cpu").anchors, picked.anchors)


def test_anchors_lie_far_apart_on_the_shape() -> None:
    points = _shapes(5)
    warps = _draw(points)
    assert warps.anchors.shape == (5, 4, 3)
    assert torch.cdist(warps.anchors, points).amin(dim=2).max() < 1e-3
    apart = torch.cdist(warps.anchors, warps.anchors) + 10 * torch.eye(4)
    assert apart.min() > 0.5


def _warp(**changes: object) -> PointWolfWarps:
    """Two anchors a long way apart on the x axis, both standing still."""
    still = PointWolfWarps(
        anchors=torch.tensor([[[-1.0, 0, 0], [1.0, 0, 0]]]),
        matrices=torch.eye(3).expand(1, 2, 3, 3),
        shifts=torch.zeros(1, 2, 3),
        axes=torch.ones(1, 1, 3),
        bandwidth=0.2,
        centres=torch.zeros(1, 3),
        scales=torch.ones(1),
    )
    return replace(still, **changes)  # type: ignore[arg-type]


def test_an_anchor_moves_what_is_near_it() -> None:
    warp = _warp(shifts=torch.tensor([[[0.0, 0, 0], [0, 0, 0.3]]]))
    points = torch.tensor([[[-1.0, 0.1, 0], [0, 0, 0], [1, 0.1, 0]]])
    moved = (warp.apply(points) - points)[0]
    assert torch.allclose(moved[:, 2], torch.tensor([0.0, 0.15, 0.3]), atol=1e-5)
    assert moved[:, :2].abs().max() < 1e-6


def test_scaling_and_rotation_act_about_the_anchor() -> None:
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    warp = _warp(matrices=torch.stack([2 * torch.eye(3), turn])[None])
    points = torch.tensor([[[-1.0, 0, 0.2], [1.0, 0, 0], [1.1, 0, 0]]])
    expected = torch.tensor([[[-1.0, 0, 0.4], [1, 0, 0], [1, 0.1, 0]]])
    assert torch.allclose(warp.apply(points), expected, atol=1e-4)


def test_axes_that_do_not_count_are_ignored_in_the_distance() -> None:
    warp = _warp(shifts=torch.tensor([[[0.0, 0, 0], [0, 0, 0.3]]]), axes=torch.tensor([[[0.0, 1, 1]]]))
    points = torch.tensor([[[-1.0, 0, 0], [1.0, 0, 0]]])
    assert torch.allclose(warp.apply(points) - points, torch.tensor([0, 0, 0.15]), atol=1e-6)


def test_drawn_parameters_stay_within_the_settings() -> None:
    settings = PointWolfSettings(max_rotation_deg=10, max_scale=1.5, max_shift=0.1)
    warps = _draw(_shapes(200, samples=50), settings)
    stretch = warps.matrices.norm(dim=-2)  # columns of R diag(s) are as long as s
    assert stretch.min() >= 1 - 1e-5
    assert 1.4 < stretch.max() <= 1.5 + 1e-5
    assert 0.09 < warps.shifts.abs().max() <= 0.1
    rotations = warps.matrices / stretch[..., None, :]
    assert torch.allclose(rotations.transpose(-1, -2) @ rotations, torch.eye(3).expand_as(rotations), atol=1e-5)
    angle = torch.rad2deg(torch.acos(((rotations.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)))
    assert 10 < angle.max() < 10 * 3**0.5 + 1
    assert warps.axes.sum(dim=-1).min() >= 1
    still = (warps.shifts == 0).all(dim=-1).float().mean()
    assert still == pytest.approx(0.5, abs=0.08)  # each anchor moves with probability one half


def test_a_single_anchor_is_an_affine_map() -> None:
    points = _shapes(2)
    warps = _draw(points, PointWolfSettings(anchors=1))
    a, b = points[:, :100], points[:, 100:200]
    middle = warps.apply((a + b) / 2)
    assert torch.allclose(middle, (warps.apply(a) + warps.apply(b)) / 2, atol=1e-5)
