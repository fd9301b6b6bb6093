"""str losses: what was given, seen from the canonical frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapes import OBLIQUE, affine, generator, random_points, sphere, voxel_centres
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.fitting.data_term import data_term
from dals.fitting.kinds.contours import SliceLoss, resample_closed
from dals.fitting.kinds.points import PointsLoss
from dals.fitting.kinds.segmentation import SegmentationLoss
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.observations import Contour, PlanarContours, PointCloud, Segmentation
from dals.ops.distance_field import DistanceField

CPU = torch.device("cpu")
SETTINGS = FitSettings(points=2000, points_per_plane=600)
POSES = {
    "straight": Pose(50.0, np.array([10.0, -20.0, 30.0])),
    "askew": Pose(50.0, np.array([10.0, -20.0, 30.0]), OBLIQUE),
}


def _circle(normal: FloatArray, offset: float, radius: float = 1.0, count: int = 400) -> FloatArray:
    """The circle in which a plane cuts the sphere of a radius about the origin."""
    axes = np.linalg.svd(normal[None])[2][1:]
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ axes
    return np.asarray(math.sqrt(radius**2 - offset**2) * ring + offset * normal)


def _three_circles(pose: Pose) -> PlanarContours:
    """Outlines of the unit sphere of a pose on three planes off its middle."""
    circles = [_circle(axis, offset) for axis, offset in zip(np.eye(3), (0.1, -0.2, 0.05), strict=True)]
    return PlanarContours(tuple(Contour(pose.to_patient(circle)) for circle in circles))


def _ball(pose: Pose) -> Segmentation:
    matrix = affine(OBLIQUE, (1.5, 1.2, 2.0), (0, 0, 0))
    shape = (64, 100, 80)
    matrix[:3, 3] = pose.translation - matrix[:3, :3] @ (np.array(shape[::-1]) / 2)
    inside = np.linalg.norm(voxel_centres(shape, matrix) - pose.translation, axis=-1) < pose.scale
    return Segmentation(LabelMap(inside, matrix))


def _ellipsoid() -> tuple[Tensor, Tensor]:
    vertices, faces = sphere(4, dtype=torch.float32)
    return vertices * torch.tensor([1.0, 0.8, 0.6]), faces


def _sliced(normal: FloatArray, offset: float, targets: FloatArray, count: int = 500) -> SliceLoss:
    origins = torch.as_tensor(normal * offset, dtype=torch.float32)[None]
    normals = torch.as_tensor(normal, dtype=torch.float32)[None]
    return SliceLoss(origins, normals, torch.as_tensor(targets, dtype=torch.float32)[None], count=count)


# --- from observation to loss -------------------------------------------------------------------


def test_tasks_of_observations() -> None:
    pose = POSES["straight"]
    assert PointCloud(random_points(5).numpy()).kind == "points"
    assert _three_circles(pose).kind == "contours"
    assert _ball(pose).kind == "segmentation"


@pytest.mark.parametrize("pose", POSES.values(), ids=POSES)
@pytest.mark.parametrize("kind", ["points", "contours", "segmentation"])
def test_the_right_surface_in_the_right_pose_has_almost_no_loss(kind: str, pose: Pose) -> None:
    vertices, faces = sphere(4, dtype=torch.float32)
    if kind == "points":
        directions = torch.nn.functional.normalize(random_points(3000), dim=1).numpy()
        observation: PointCloud | PlanarContours | Segmentation = PointCloud(pose.to_patient(directions))
    else:
        observation = _three_circles(pose) if kind == "contours" else _ball(pose)
    loss = data_term(observation, pose, SETTINGS, CPU)
    right = loss(vertices, faces, generator()).item()
    assert right < {"points": 5e-3, "contours": 2e-4, "segmentation": 5e-4}[kind]
    for wrong in (1.2 * vertices, 0.8 * vertices, vertices + torch.tensor([0.2, 0, 0])):
        assert loss(wrong, faces, generator()).item() > 3 * right


@pytest.mark.parametrize("kind", ["points", "contours", "segmentation"])
def test_a_turned_pose_sees_a_turned_organ(kind: str) -> None:
    # An ellipsoid in patient axes, looked at from a frame that lies askew: there it must be turned back.
    vertices, faces = _ellipsoid()
    straight, askew = POSES["straight"], POSES["askew"]
    surface = straight.to_patient(vertices.double().numpy())
    if kind == "points":
        observation: PointCloud | PlanarContours | Segmentation = PointCloud(surface)
    elif kind == "contours":
        axes = np.array([1.0, 0.8, 0.6])
        circles = [_circle(np.eye(3)[k], 0.0) * axes for k in range(3)]
        observation = PlanarContours(tuple(Contour(straight.to_patient(c)) for c in circles))
    else:
        ball = _ball(straight).label_map
        local = straight.to_canonical(voxel_centres(ball.array.shape, ball.ijk_to_ras).reshape(-1, 3))
        inside = np.linalg.norm(local / [1.0, 0.8, 0.6], axis=1) < 1
        observation = Segmentation(ball.with_array(inside.reshape(ball.array.shape)))
    seen = torch.as_tensor(askew.to_canonical(surface), dtype=torch.float32)
    loss = data_term(observation, askew, SETTINGS, CPU)
    right, wrong = (loss(v, faces, generator()).item() for v in (seen, vertices))
    assert right < 5e-3
    assert wrong > 3 * right


# --- points -------------------------------------------------------------------------------------


def test_points_loss_uses_all_points_when_they_are_few() -> None:
    vertices, faces = sphere(3, dtype=torch.float32)
    outlier = torch.tensor([[3.0, 0, 0]])
    clean, spoilt = (
        PointsLoss(points, count=5000)(vertices, faces, generator()).item()
        for points in (vertices, torch.cat([vertices, outlier]))
    )
    assert spoilt - clean == pytest.approx(4 / 643, rel=0.05)  # one point at distance 2


def test_points_loss_draws_among_many_points_and_follows_the_seed() -> None:
    vertices, faces = sphere(2, dtype=torch.float32)
    loss = PointsLoss(random_points(4000, dtype=torch.float32), count=100)
    values = [loss(vertices, faces, generator(seed)).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


# --- planes -------------------------------------------------------------------------------------


def test_slice_loss_of_concentric_circles() -> None:
    vertices, faces = sphere(5, dtype=torch.float32)
    normal = OBLIQUE[0]
    loss = _sliced(normal, 0.0, _circle(normal, 0.0, radius=1.3), count=2000)
    assert loss(vertices, faces, generator()).item() == pytest.approx(2 * 0.3**2, rel=0.02)  # both directions


def test_slice_loss_is_the_mean_over_planes() -> None:
    vertices, faces = sphere(4, dtype=torch.float32)
    targets = np.stack([_circle(np.eye(3)[0], 0.0, radius) for radius in (1.2, 1.5)])
    normals = torch.eye(3)[[0, 0]]
    both = SliceLoss(torch.zeros(2, 3), normals, torch.as_tensor(targets, dtype=torch.float32), count=1000)
    assert both(vertices, faces, generator()).item() == pytest.approx(0.2**2 + 0.5**2, rel=0.02)


def test_slice_loss_pulls_the_surface_onto_the_contour() -> None:
    vertices, faces = sphere(3, dtype=torch.float32)
    loss = _sliced(np.eye(3)[2], 0.0, _circle(np.eye(3)[2], 0.0, radius=1.3))
    vertices.requires_grad_()
    loss(vertices, faces, generator()).backward()
    near = vertices.detach()[:, 2].abs() < 0.05
    outwards = -(vertices.grad * vertices.detach()).sum(dim=1)
    assert outwards[near].min() > 0
    assert not vertices.grad[vertices.detach()[:, 2].abs() > 0.3].any()  # faces that the plane misses


@pytest.mark.parametrize("offset", [1.5, -1.5])
def test_a_plane_that_misses_pulls_the_mesh_towards_it(offset: float) -> None:
    vertices, faces = sphere(3, dtype=torch.float32)
    normal = np.eye(3)[0]
    loss = _sliced(normal, offset, _circle(normal, 0.0, radius=0.5) + offset * normal)
    shift = torch.zeros(3, requires_grad=True)
    value = loss(vertices + shift, faces, generator())
    value.backward()
    assert torch.isfinite(value)
    assert -shift.grad[0] * math.copysign(1, offset) > 0.1
    assert shift.grad[1:].abs().max() < 0.05


def test_descent_brings_a_missed_plane_back_to_the_mesh() -> None:
    vertices, faces = sphere(3, dtype=torch.float32)
    normal = np.eye(3)[0]
    loss = _sliced(normal, 1.6, _circle(normal, 0.0, radius=1.0) + 1.6 * normal)
    shift = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        loss(vertices + shift, faces, generator()).backward()
        optimiser.step()
    assert torch.allclose(shift.detach(), torch.tensor([1.6, 0, 0]), atol=0.15)


def test_one_plane_that_misses_does_not_spoil_the_others() -> None:
    vertices, faces = sphere(3, dtype=torch.float32)
    circle = torch.as_tensor(_circle(np.eye(3)[2], 0.0), dtype=torch.float32)
    origins = torch.tensor([[0.0, 0, 0], [0, 0, 3]])
    loss = SliceLoss(origins, torch.eye(3)[[2, 2]], torch.stack([circle, circle + origins[1]]), count=400)
    vertices.requires_grad_()
    loss(vertices, faces, generator()).backward()
    assert torch.isfinite(vertices.grad).all()
    assert vertices.grad[vertices.detach()[:, 2] > 0.7].abs().max() > 0


# --- segmentations ------------------------------------------------------------------------------


def test_segmentation_loss_is_the_mean_squared_distance() -> None:
    values = torch.zeros(4, 2, 2, 2)
    values[0] = 0.5
    values[1] = 1.0
    vertices = torch.rand(10, 3, generator=generator(), requires_grad=True)
    task = SegmentationLoss(DistanceField(values, torch.zeros(3), 1.0), torch.zeros(1, 3), count=10)
    loss = task(vertices, torch.zeros(1, 3).long(), generator())
    assert loss.item() == pytest.approx(0.25)
    loss.backward()
    assert torch.allclose(vertices.grad, torch.tensor([2 * 0.5 / 10, 0, 0]).expand(10, 3))


def test_coverage_counts_boundary_that_the_mesh_leaves_out() -> None:
    field = DistanceField(torch.zeros(4, 2, 2, 2), torch.zeros(3), 1.0)
    triangle = torch.tensor([[0.0, 0, 0], [1e-3, 0, 0], [0, 1e-3, 0]])
    boundary = torch.tensor([[0.0, 0, 0.5]])
    faces = torch.tensor([[0, 1, 2]])
    alone = SegmentationLoss(field, boundary, count=50)(triangle, faces, generator())
    covering = SegmentationLoss(field, boundary, count=50, coverage=2.0)
    covered = covering(triangle, faces, generator())
    forgiving = SegmentationLoss(field, boundary, count=50, coverage=2.0, robust_scale=0.05)
    forgiven = forgiving(triangle, faces, generator())
    assert alone.item() == pytest.approx(0.0, abs=1e-9)
    assert covered.item() == pytest.approx(2.0 * 0.25, rel=1e-2)
    # Far beyond the reach r, a distance d costs 2 r d instead of d squared.
    assert forgiven.item() == pytest.approx(2.0 * 2 * 0.05 * (0.5 - 0.05), rel=2e-2)


def test_near_distances_are_squared_whatever_the_reach() -> None:
    values = torch.zeros(4, 2, 2, 2)
    values[0] = 0.01
    losses = [
        SegmentationLoss(DistanceField(values, torch.zeros(3), 1.0), torch.zeros(1, 3), count=10, robust_scale=reach)(
            torch.rand(10, 3, generator=generator()), torch.zeros(1, 3).long(), generator()
        ).item()
        for reach in (1.0, math.inf)
    ]
    assert losses[0] == pytest.approx(1e-4, rel=1e-3)
    assert losses[1] == pytest.approx(1e-4, rel=1e-6)


def test_certainty_weighs_both_directions() -> None:
    ramp = torch.zeros(4, 2, 2, 2)
    ramp[0] = torch.tensor([1.0, 3.0]).expand(2, 2, 2)  # the distance at x = 0 and x = 1
    boundary = torch.tensor([[0.0, 0, 0.5], [1.0, 0, 0.6]])
    vertices = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [0.0, 1e-3, 0], [1.0, 1e-3, 0]])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    field, certainty = DistanceField(ramp, torch.zeros(3), 1.0), torch.tensor([0.2, 0.6])

    def loss(coverage: float, weights: torch.Tensor | None) -> float:
        task = SegmentationLoss(field, boundary, count=4000, confidence=weights, coverage=coverage)
        return task(vertices, faces, generator()).item()

    assert loss(0.0, None) == pytest.approx((1 + 9) / 2)
    assert loss(0.0, certainty) == pytest.approx((0.2 * 1 + 0.6 * 9) / 0.8)
    assert loss(1.0, None) - loss(0.0, None) == pytest.approx((0.25 + 0.36) / 2, rel=0.05)
    assert loss(1.0, certainty) - loss(0.0, certainty) == pytest.approx((0.2 * 0.25 + 0.6 * 0.36) / 0.8, rel=0.05)


# --- resampling ---------------------------------------------------------------------------------


def test_resampled_points_are_equally_spaced_on_the_loop() -> None:
    square = np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]])
    points = resample_closed([square], 32)
    assert points.shape == (32, 3)
    assert np.allclose(np.abs(points - 2)[:, :2].max(axis=1), 2)
    steps = np.abs(points - np.roll(points, 1, axis=0)).sum(axis=1)  # along the sides, corners included
    assert np.allclose(steps, 0.5)


def test_loops_share_the_points_by_length() -> None:
    loops = [_circle(np.eye(3)[2], 0.0, radius) + 10 * k for k, radius in enumerate((3.0, 1.0))]
    points = resample_closed(loops, 400)
    assert points.shape == (400, 3)
    assert (points[:, 2] < 5).sum() == pytest.approx(300, abs=1)


def test_a_tiny_loop_may_get_no_point() -> None:
    loops = [_circle(np.eye(3)[2], 0.0, radius) for radius in (100.0, 1e-3)]
    assert resample_closed(loops, 50).shape == (50, 3)


def test_coverage_does_not_count_the_gaps_between_samples() -> None:
    field = DistanceField(torch.zeros(4, 2, 2, 2), torch.zeros(3), 1.0)
    triangle = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    boundary = torch.tensor([[0.2, 0.2, 0.0], [0.6, 0.3, 0.0], [0.1, 0.8, 0.0]])
    loss = SegmentationLoss(field, boundary, count=2, coverage=1.0)
    assert loss(triangle, torch.tensor([[0, 1, 2]]), generator()).item() == pytest.approx(0.0, abs=1e-9)
