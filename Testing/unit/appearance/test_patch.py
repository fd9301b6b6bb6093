"""The part of an image around an organ."""

from __future__ import annotations

import numpy as np

from dals.appearance.patch import image_patch
from dals.geometry.volume import Volume

LOW, HIGH = np.zeros(3), np.array([39.0, 39.0, 19.0])


def ramp(shape: tuple[int, int, int] = (10, 40, 40)) -> Volume:
    """Each voxel holds its x, RAS mm; voxels of 1 x 1 x 2 mm."""
    array = np.broadcast_to(np.arange(shape[2], dtype=np.float32), shape)
    return Volume(array.copy(), np.diag([1.0, 1.0, 2.0, 1.0]), "ramp")


def test_fine_voxels_are_averaged_up_to_the_wanted_size() -> None:
    patch = image_patch(ramp(), LOW, HIGH, spacing_mm=2.5)
    assert patch is not None
    assert patch.spacing.tolist() == [2.0, 2.0, 2.0]
    assert patch.values.shape == (10, 20, 20)
    x = patch.centres(np.argwhere(patch.known))[:, 0].reshape(patch.values.shape)
    middle = (x > 5) & (x < 35)
    slope = np.polyfit(x[middle], patch.values[middle], 1)[0]
    assert np.allclose(patch.values[middle] - slope * x[middle], (patch.values - slope * x)[middle][0], atol=1e-4)
    assert patch.values.min() < 0.1 < 0.9 < patch.values.max()


def test_voxels_without_a_number_are_unknown_and_spoil_no_others() -> None:
    volume = ramp()
    volume.array[3, 10:20, 10:20] = np.nan
    patch = image_patch(volume, LOW, HIGH, spacing_mm=1.0)
    assert patch is not None
    assert np.isfinite(patch.values).all()
    assert np.count_nonzero(~patch.known) == 100
    assert not patch.covers(np.array([[15.0, 15.0, 6.0]]))[0]
    assert patch.covers(np.array([[15.0, 25.0, 6.0]]))[0]
    assert not patch.covers(np.array([[-5.0, 25.0, 6.0]]))[0]


def test_nothing_is_seen_where_the_image_is_constant_or_not_a_number_or_elsewhere() -> None:
    for value in (7.0, np.nan):
        constant = Volume(np.full((10, 40, 40), value), np.diag([1.0, 1.0, 2.0, 1.0]))
        assert image_patch(constant, LOW, HIGH, spacing_mm=1.0) is None
    assert image_patch(ramp(), LOW + 500, HIGH + 500, spacing_mm=1.0) is None
