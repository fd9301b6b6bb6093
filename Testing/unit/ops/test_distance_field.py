"""Distance fields of masks whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shapes import OBLIQUE, Array, affine, voxel_centres

from dals.errors import InputError
from dals.ops.distance_field import DistanceField, distance_field

CENTRE = np.array([12.0, -30.0, 55.0])
RADIUS = 20.0
MIRROR = np.diag([-1.0, 1.0, 1.0])
GRIDS = {
    "isotropic": (np.eye(3), (1.0, 1.0, 1.0)),
    "anisotropic": (np.eye(3), (0.8, 1.1, 2.0)),
    "oblique": (OBLIQUE, (1.0, 1.3, 1.6)),
    "left-handed": (MIRROR, (1.0, 1.0, 1.5)),
    "oblique and left-handed": (OBLIQUE @ MIRROR, (1.5, 0.9, 1.2)),
    "axes exchanged": (np.eye(3)[:, [2, 0, 1]], (1.0, 2.0, 1.0)),
}


def _grid(directions: Array, spacing: tuple[float, float, float], reach: float) -> tuple[tuple[int, int, int], Array]:
    """Shape and matrix of a grid centred at CENTRE."""
    size = np.ceil(2 * reach / np.array(spacing)).astype(int) + 1
    matrix = affine(directions, spacing, (0, 0, 0))
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ ((size - 1) / 2)
    return (int(size[2]), int(size[1]), int(size[0])), matrix


def _ball(name: str = "isotropic") -> DistanceField:
    directions, spacing = GRIDS[name]
    shape, matrix = _grid(directions, spacing, RADIUS + 3)
    return distance_field(np.linalg.norm(voxel_centres(shape, matrix) - CENTRE, axis=-1) < RADIUS, matrix)


def _around(reach: float, count: int = 400, seed: int = 0) -> torch.Tensor:
    points = np.random.default_rng(seed).uniform(-reach, reach, (count, 3)) + CENTRE
    return torch.as_tensor(points, dtype=torch.float32)


@pytest.mark.parametrize("name", GRIDS)
def test_distance_to_a_sphere(name: str) -> None:
    field, points = _ball(name), _around(1.3 * RADIUS)
    expected = ((points - torch.as_tensor(CENTRE).float()).norm(dim=1) - RADIUS).abs()
    error = (field(points) - expected).abs()
    voxel = max(GRIDS[name][1])
    assert error.mean() < 0.3 * voxel
    assert error.max() < 0.9 * voxel


@pytest.mark.parametrize("name", GRIDS)
def test_gradient_points_away_from_the_sphere(name: str) -> None:
    field, points = _ball(name), _around(1.3 * RADIUS)
    offset = (points - torch.as_tensor(CENTRE).float()).double()
    radius = offset.norm(dim=1)
    clear = ((radius - RADIUS).abs() > 2 * max(GRIDS[name][1])) & (
        radius > 6
    )  # neither at the surface nor at the middle
    points.requires_grad_()
    field(points).sum().backward()
    direction = offset / radius[:, None] * torch.sign(radius - RADIUS)[:, None]
    assert clear.sum() > 150
    assert ((points.grad.double() * direction).sum(dim=1)[clear]).mean() > 0.97
    assert ((points.grad.double() * direction).sum(dim=1)[clear]).min() > 0.8


@pytest.mark.parametrize("name", ["anisotropic", "oblique", "oblique and left-handed"])
def test_distance_to_a_box_of_whole_voxels(name: str) -> None:
    directions, spacing = GRIDS[name]
    shape, matrix = _grid(directions, spacing, 24)
    low, high = np.array(shape) // 4, np.array(shape) * 3 // 4
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    points = _around(22)
    index = (points.numpy() - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    beyond = np.maximum(low[::-1] - 0.5 - index, index - (high[::-1] - 0.5)) * spacing  # negative inside
    expected = np.linalg.norm(np.maximum(beyond, 0), axis=1) - np.minimum(beyond.max(axis=1), 0)
    error = np.abs(distance_field(mask, matrix)(points).numpy() - expected)
    assert error.mean() < 0.3 * max(spacing)
    assert error.max() < max(spacing)


def test_both_sides_of_the_boundary_are_treated_alike() -> None:
    field, centre = _ball(), torch.as_tensor(CENTRE).float()
    direction = torch.nn.functional.normalize(_around(1.0) - centre, dim=1)
    inside, outside = (field(centre + (RADIUS + step) * direction).mean().item() for step in (-4, 4))
    assert inside == pytest.approx(outside, abs=0.15)
    assert inside == pytest.approx(4, abs=0.4)


def test_outside_the_grid_the_distance_goes_on_growing() -> None:
    field = _ball()
    centre = torch.as_tensor(CENTRE).float()
    far = centre + torch.tensor([[100.0, 0, 0], [0, -250.0, 0], [0, 0, 80.0]])
    expected = torch.tensor([80.0, 230.0, 60.0])
    points = far.clone().requires_grad_()
    distance = field(points)
    assert torch.allclose(distance, expected, atol=1)
    distance.sum().backward()
    assert torch.allclose(points.grad, torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]]), atol=1e-6)


def test_points_on_grid_nodes_give_the_stored_values_and_gradients() -> None:
    values = torch.randn(4, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    field = DistanceField(values, torch.tensor([10.0, 20.0, 30.0]), 2.0)
    points = torch.tensor([[10.0, 20, 30], [18, 26, 34], [12, 24, 32]], requires_grad=True)
    nodes = [(0, 0, 0), (2, 3, 4), (1, 2, 1)]
    signed = torch.stack([values[0][node] for node in nodes])
    assert torch.allclose(field(points), signed.abs(), atol=1e-5)
    field(points).sum().backward()
    sobel = torch.stack([values[1:, k, j, i] for k, j, i in nodes])
    assert torch.allclose(points.grad, signed.sign()[:, None] * sobel, atol=1e-5)


def test_the_look_up_is_trilinear_and_its_gradient_the_sobel_image_s() -> None:
    values = torch.randn(4, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    field = DistanceField(values, torch.zeros(3), 1.0)
    point = torch.tensor([[0.25, 0.5, 0.75]], requires_grad=True)
    expected = torch.zeros(4)
    for k, wk in ((0, 0.25), (1, 0.75)):
        for j, wj in ((0, 0.5), (1, 0.5)):
            for i, wi in ((0, 0.75), (1, 0.25)):
                expected += wk * wj * wi * values[:, k, j, i]
    distance = field(point)
    assert torch.allclose(distance, expected[:1].abs(), atol=1e-6)
    (3 * distance).sum().backward()  # the upstream gradient counts
    assert torch.allclose(point.grad[0], 3 * expected[0].sign() * expected[1:], atol=1e-6)


def test_the_sobel_image_is_the_derivative_of_the_distance() -> None:
    field = _ball()
    points = _around(1.2 * RADIUS, count=200)
    offset = (points - torch.as_tensor(CENTRE).float()).norm(dim=1)
    points = points[((offset - RADIUS).abs() > 3) & (offset > 6)].requires_grad_()
    field(points).sum().backward()
    step = 2.0
    for axis in range(3):
        shift = torch.zeros(3)
        shift[axis] = step
        with torch.no_grad():
            difference = (field(points + shift) - field(points - shift)) / (2 * step)
        assert (points.grad[:, axis] - difference).abs().mean() < 0.05


def test_scaled_follows_the_world() -> None:
    field, points = _ball(), _around(2.5 * RADIUS)
    factor, shift = 0.01, CENTRE + 3
    smaller = field.scaled(factor, shift)
    moved = ((points.double() - torch.as_tensor(shift)) * factor).float()
    assert torch.allclose(smaller(moved), factor * field(points), atol=1e-4)
    a, b = points.clone().requires_grad_(), moved.clone().requires_grad_()
    field(a).sum().backward()
    smaller(b).sum().backward()
    assert torch.allclose(a.grad, b.grad, atol=0.01)  # a slope has no unit
    assert field.values[0].max() > 5  # the field itself is as it was


def test_float64_points_keep_their_precision() -> None:
    field = _ball()
    assert field(_around(10).double()).dtype == torch.float64
    assert field.to("cpu")(_around(10)).dtype == torch.float32


def test_any_label_value_counts_as_inside() -> None:
    mask = np.zeros((9, 9, 9), dtype=np.int16)
    mask[3:6, 3:6, 3:6] = 7
    a, b = distance_field(mask, np.eye(4)), distance_field(mask != 0, np.eye(4))
    assert torch.equal(a.values, b.values)


def test_a_mask_at_the_images_border_is_closed_there() -> None:
    field = distance_field(np.ones((10, 10, 10), dtype=bool), np.eye(4))
    ends = torch.tensor([[4.5, 4.5, -3.5], [4.5, 4.5, 12.5], [4.5, 4.5, -0.5], [4.5, 4.5, 1.5]])
    assert field(ends).tolist() == pytest.approx([3, 3, 0, 2], abs=0.5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (2.0, 1.0, 3.0)])
def test_a_single_voxel(spacing: tuple[float, float, float]) -> None:
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[2, 2, 2] = True
    field = distance_field(mask, affine(OBLIQUE, spacing, (4, 5, 6)))
    assert torch.isfinite(field.values).all()
    assert field.values[0].min() < max(spacing)


def test_between_thick_slices_the_boundary_is_interpolated() -> None:
    """A cone on slices of 6 mm: steps of 4 mm in the mask, none in the field."""
    shape, matrix = (12, 60, 60), affine(np.eye(3), (1.0, 1.0, 6.0), (-30, -30, 0))
    x, y, z = np.moveaxis(voxel_centres(shape, matrix), -1, 0)
    radius = 30 - 2 * z / 3
    mask = (np.hypot(x, y) < radius) & (np.arange(12)[:, None, None] > 0) & (radius > 4)
    surface = distance_field(mask, matrix).surface()
    height = surface.vertices[:, 2]
    middle = surface.vertices[(height > 9) & (height < 33)]
    error = np.abs(np.hypot(middle[:, 0], middle[:, 1]) - (30 - 2 * middle[:, 2] / 3))
    assert error.mean() < 0.5
    assert error.max() < 1.2


@pytest.mark.parametrize("name", GRIDS)
def test_the_surface_is_that_of_the_sphere(name: str) -> None:
    surface = _ball(name).surface()
    assert surface.is_closed
    assert surface.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)
    error = np.abs(np.linalg.norm(surface.vertices - CENTRE, axis=1) - RADIUS)
    assert error.mean() < 0.3 * max(GRIDS[name][1])


def test_a_field_without_inside_has_no_surface() -> None:
    field = DistanceField(torch.ones(4, 3, 3, 3), torch.zeros(3), 1.0)
    with pytest.raises(InputError, match="too thin"):
        field.surface()


def test_signed_distance_and_gradient() -> None:
    field, points = _ball(), _around(1.3 * RADIUS)
    distance, gradient = field.signed(points)
    offset = points - torch.as_tensor(CENTRE).float()
    assert torch.equal(distance.abs(), field(points))
    clear = ((offset.norm(dim=1) - RADIUS).abs() > 2) & (offset.norm(dim=1) > 6)
    assert torch.equal(distance[clear] < 0, offset.norm(dim=1)[clear] < RADIUS)
    outwards = torch.nn.functional.normalize(offset, dim=1)
    assert (gradient * outwards).sum(dim=1)[clear].min() > 0.8
    far = field.signed(torch.as_tensor(CENTRE).float()[None] + 500)
    assert 0 < far[0].item() < 60  # of the border of the grid


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        distance_field(np.zeros((4, 4, 4)), np.eye(4))


def test_a_few_voxels_far_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dals.ops.distance_field._MAX_VOXELS", 60)
    mask = np.zeros((60, 60, 60), dtype=bool)
    mask[2, 2, 2] = mask[57, 57, 57] = True
    with pytest.raises(InputError, match="far apart"):
        distance_field(mask, np.eye(4))


def test_large_images_are_resampled_to_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dals.ops.distance_field._MAX_VOXELS", 20_000)
    field = _ball()
    assert field.values[0].numel() < 30_000
    points = _around(1.2 * RADIUS)
    expected = ((points - torch.as_tensor(CENTRE).float()).norm(dim=1) - RADIUS).abs()
    assert (field(points) - expected).abs().mean() < 0.3 * field.spacing
