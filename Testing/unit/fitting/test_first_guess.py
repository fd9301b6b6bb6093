"""The first pose, guessed from what was given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shapes import OBLIQUE, affine, sphere, voxel_centres

from dals.fitting.first_guess import at_either_end, first_guess
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray
from dals.observations import Contour, PlanarContours, PointCloud, Segmentation

AXES = np.array([0.9, 0.7, 0.5])


@pytest.fixture
def mean_shape() -> FloatArray:
    """A lopsided ellipsoid whose box is not centred at the origin."""
    vertices, _ = sphere(3)
    return np.asarray(vertices.numpy() * AXES + 0.1 * np.maximum(vertices.numpy(), 0) + [0.05, -0.02, 0.01])


def _ellipse(axis: int, offset: float = 0.0) -> Contour:
    """Outline of the ellipsoid with radii 100 * AXES at (1, 2, 3), on a plane across an axis (offset in radii)."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.zeros((200, 3))
    points[:, (axis + 1) % 3] = np.cos(angle) * np.sqrt(1 - offset**2)
    points[:, (axis + 2) % 3] = np.sin(angle) * np.sqrt(1 - offset**2)
    points[:, axis] = offset
    return Contour(100 * AXES * points + [1, 2, 3], name=f"across {axis}")


@pytest.mark.parametrize("scale", [1.0, 0.3, 110.0])
def test_it_is_exact_for_a_moved_and_scaled_mean_shape(mean_shape: FloatArray, scale: float) -> None:
    translation = np.array([120.0, -80.0, 300.0])
    pose = first_guess(PointCloud(scale * mean_shape + translation), mean_shape)
    assert pose.scale == pytest.approx(scale)
    assert np.allclose(pose.translation, translation)
    assert np.array_equal(pose.rotation, np.eye(3))
    assert np.allclose(pose.to_patient(mean_shape), scale * mean_shape + translation)


def test_it_does_not_rotate(mean_shape: FloatArray) -> None:
    pose = first_guess(PointCloud(100 * mean_shape @ OBLIQUE.T), mean_shape)
    assert np.array_equal(pose.rotation, np.eye(3))
    assert 70 < pose.scale < 130


def test_contours_through_the_middle_show_the_whole_box() -> None:
    ellipsoid = sphere(4)[0].numpy() * AXES
    pose = first_guess(PlanarContours(tuple(_ellipse(axis) for axis in range(3))), ellipsoid)
    assert pose.scale == pytest.approx(100, rel=2e-3)
    assert np.allclose(pose.translation, [1, 2, 3], atol=0.2)


def test_contours_off_the_middle_give_a_scale_a_little_too_small() -> None:
    ellipsoid = sphere(4)[0].numpy() * AXES
    contours = PlanarContours((_ellipse(0, 0.3), _ellipse(1, -0.2)))
    assert 85 < first_guess(contours, ellipsoid).scale < 100


@pytest.mark.parametrize("directions", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.eye(3)[:, [2, 0, 1]]])
def test_a_segmentation_is_matched_within_a_voxel(directions: FloatArray) -> None:
    spacing = (2.0, 2.5, 3.0)
    matrix = affine(directions, spacing, (0, 0, 0))
    shape = (80, 96, 110)
    centre = matrix[:3, :3] @ (np.array(shape[::-1]) / 2) + [0.3, 0.2, 0.1]
    mask = np.linalg.norm((voxel_centres(shape, matrix) - centre) / AXES, axis=-1) < 90
    ellipsoid = sphere(4)[0].numpy() * AXES
    pose = first_guess(Segmentation(LabelMap(mask, matrix)), ellipsoid)
    assert pose.scale == pytest.approx(90, abs=3.0)
    assert np.allclose(pose.translation, centre, atol=1.5)


def test_the_box_of_a_large_segmentation_is_that_of_its_voxels() -> None:
    mask = np.zeros((100, 100, 100), dtype=bool)
    mask[5:95, 5:95, 5:95] = True
    cube = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    pose = first_guess(Segmentation(LabelMap(mask, np.eye(4))), cube)
    assert pose.scale == pytest.approx(45)
    assert np.allclose(pose.translation, 49.5)


def test_a_flat_mean_shape_still_gives_a_pose() -> None:
    flat = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    pose = first_guess(PointCloud._unchecked(points=10 * flat + 5), flat)
    assert pose.scale == pytest.approx(10)
    assert torch.isfinite(torch.as_tensor(pose.translation)).all()


def test_a_part_lies_at_either_end_of_a_longer_shape(mean_shape: FloatArray) -> None:
    whole = 100 * mean_shape + [10.0, 20.0, 30.0]
    part = whole[whole[:, 2] > np.quantile(whole[:, 2], 0.7)]
    low, high = at_either_end(PointCloud(part), mean_shape, 100.0)
    assert low.scale == high.scale == 100
    # The organ's upper side where the part's is, or its lower side.
    assert low.to_patient(mean_shape)[:, 2].max() == pytest.approx(part[:, 2].max())
    assert high.to_patient(mean_shape)[:, 2].min() == pytest.approx(part[:, 2].min())
    assert at_either_end(PointCloud(whole), mean_shape, 100.0) == []
    assert at_either_end(PlanarContours((_ellipse(0), _ellipse(1))), mean_shape, 300.0) == []
