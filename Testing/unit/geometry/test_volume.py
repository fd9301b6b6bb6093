"""Grey-value images."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import grid

from dals.errors import InputError
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import Volume


@pytest.fixture
def oblique() -> Volume:
    where = grid((30, 24, 20), (1.5, 2.0, 4.0), angles=(20, -10, 35), left_handed=True)
    return Volume(np.arange(where.array.size).reshape(where.array.shape), where.ijk_to_ras, "oblique")


def test_a_part_holds_the_box_and_keeps_its_place(oblique: Volume) -> None:
    low, high = np.array([10.0, -40.0, 30.0]), np.array([30.0, -22.0, 52.0])
    part = oblique.part(low, high)
    assert part is not None
    assert part.array.size < oblique.array.size
    everywhere = np.argwhere(np.ones(oblique.array.shape, dtype=bool))
    points = apply_matrix(oblique.ijk_to_ras, everywhere[:, ::-1])
    within = ((points >= low) & (points <= high)).all(axis=1)
    assert set(oblique.array.ravel()[within]) <= set(part.array.ravel())
    voxel = apply_matrix(np.linalg.inv(part.ijk_to_ras), points[within][:1])[0]
    k, j, i = np.rint(voxel[::-1]).astype(int)
    assert part.array[k, j, i] == oblique.array.ravel()[within][0]


def test_around_leaves_room_and_holds_no_more_than_it_shows(oblique: Volume) -> None:
    low, high = np.array([18.0, -32.0, 38.0]), np.array([22.0, -28.0, 42.0])
    small, wide = oblique.part(low, high), oblique.around(low, high)
    assert small is not None
    assert wide is not None
    assert wide.array.size > small.array.size
    assert wide.array.base is None
    assert oblique.around(low + 900, high + 900) is None


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((2, 3, 4, 3)), "single grey-value volume"),
        (np.zeros((2, 3)), "single grey-value volume"),
        (np.zeros((2, 3, 4), dtype=complex), "no grey values"),
    ],
)
def test_what_is_no_grey_value_image_is_refused(array: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Volume(array, np.eye(4))
