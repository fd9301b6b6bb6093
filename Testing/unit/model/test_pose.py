"""Similarity transforms and their learnt corrections."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapes import OBLIQUE, random_points

from dals.model.pose import Pose
from dals.model.pose_correction import PoseCorrection, rotation_matrix

CPU = torch.device("cpu")
ASKEW = Pose(87.5, np.array([10.0, -20.0, 130.0]), OBLIQUE)
VECTOR = torch.tensor([0.3, -0.5, 0.2])


def _correction(*, rotating: bool = True) -> PoseCorrection:
    """A correction that has learnt something."""
    correction = PoseCorrection(rotating=rotating, device=CPU)
    with torch.no_grad():
        correction.log_scale.fill_(0.25)
        correction.translation.copy_(torch.tensor([0.1, -0.2, 0.3]))
        if rotating:
            correction.rotation.copy_(VECTOR)
    return correction


def test_to_patient_is_scale_rotation_translation() -> None:
    points = random_points(5).numpy()
    expected = [87.5 * (OBLIQUE @ point) + [10, -20, 130] for point in points]
    assert np.allclose(ASKEW.to_patient(points), expected)


@pytest.mark.parametrize("pose", [Pose(100.0, np.array([1.0, 2.0, 3.0])), ASKEW])
def test_there_and_back(pose: Pose) -> None:
    points = random_points(20).numpy()
    assert np.allclose(pose.to_canonical(pose.to_patient(points)), points)
    assert np.allclose(pose.to_patient(pose.to_canonical(points)), points)


def test_the_origin_goes_to_the_translation() -> None:
    assert np.allclose(ASKEW.to_patient(np.zeros((1, 3))), ASKEW.translation)


def test_after_applies_the_correction_first() -> None:
    correction = Pose(1.2, np.array([0.1, 0.0, -0.2]), OBLIQUE.T @ np.diag([-1.0, -1.0, 1.0]))
    points = random_points(6).numpy()
    combined = ASKEW.after(correction)
    assert np.allclose(combined.to_patient(points), ASKEW.to_patient(correction.to_patient(points)))
    assert np.allclose(combined.to_canonical(ASKEW.to_patient(points)), correction.to_canonical(points))


def test_after_nothing_is_the_same_pose() -> None:
    same = ASKEW.after(PoseCorrection(rotating=True, device=CPU).as_pose())
    assert same.scale == ASKEW.scale
    assert np.allclose(same.translation, ASKEW.translation)
    assert np.allclose(same.rotation, ASKEW.rotation)


@pytest.mark.parametrize("rotating", [True, False])
def test_a_new_correction_changes_nothing(rotating: bool) -> None:
    points = random_points(4, dtype=torch.float32)
    assert torch.equal(PoseCorrection(rotating=rotating, device=CPU)(points), points)


@pytest.mark.parametrize("rotating", [True, False])
def test_the_correction_as_numbers_does_the_same(rotating: bool) -> None:
    correction, points = _correction(rotating=rotating), random_points(4, dtype=torch.float32)
    assert np.allclose(correction(points).detach().numpy(), correction.as_pose().to_patient(points.numpy()), atol=1e-6)


def test_batches_are_corrected_alike() -> None:
    correction, points = _correction(), random_points(2, 5, dtype=torch.float32)
    assert torch.allclose(correction(points)[1], correction(points[1]))


@pytest.mark.parametrize("rotating", [True, False])
def test_only_what_may_change_gets_a_gradient(rotating: bool) -> None:
    correction = PoseCorrection(rotating=rotating, device=CPU)
    (correction(random_points(8, dtype=torch.float32)) * random_points(8, seed=1, dtype=torch.float32)).sum().backward()
    assert correction.log_scale.grad.abs() > 0
    assert correction.translation.grad.abs().min() > 0
    assert (correction.rotation.grad is not None) == rotating
    if rotating:
        assert torch.isfinite(correction.rotation.grad).all()
        assert correction.rotation.grad.abs().min() > 0


def test_rotation_matrices_are_proper_rotations() -> None:
    for vector in random_points(10):
        matrix = rotation_matrix(vector)
        assert torch.allclose(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
        assert torch.linalg.det(matrix).item() == pytest.approx(1)
        assert torch.allclose(matrix @ vector, vector)  # the axis stays
        angle = math.acos((matrix.trace().item() - 1) / 2)
        assert math.cos(angle) == pytest.approx(math.cos(vector.norm().item()))


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    turned = rotation_matrix(torch.tensor([0, 0, math.pi / 2])) @ torch.tensor([1.0, 0, 0])
    assert torch.allclose(turned, torch.tensor([0.0, 1, 0]), atol=1e-6)


@pytest.mark.parametrize("vector", [torch.zeros(3), VECTOR])
def test_rotation_gradient(vector: torch.Tensor) -> None:
    assert torch.autograd.gradcheck(rotation_matrix, vector.double().requires_grad_())
