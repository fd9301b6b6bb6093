"""Whether outlines lie on the edges of an image."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import ellipse_contour, grid, inside_ellipsoid

from dals.appearance.drawn_edges import ON_EDGES, share_on_edges
from dals.geometry.volume import Volume
from dals.observations import PlanarContours

RADII = (95.0, 75.0, 62.0)
SCALE = 80.0
DRAWN = PlanarContours(tuple(ellipse_contour(axis, 0.0, radii=RADII, name=f"{axis}") for axis in range(3)))


def picture(*, moved_mm: float = 0.0, contrast: float = 80.0, half: bool = False) -> Volume:
    """An organ in noise; the left half can be missing."""
    where = grid((64, 56, 40), (4.0, 4.0, 5.0))
    rng = np.random.default_rng(0)
    values = contrast * inside_ellipsoid(where, RADII) + rng.normal(0, 10, where.array.shape)
    matrix = where.ijk_to_ras.copy()
    matrix[2, 3] += moved_mm
    if not half:
        return Volume(values.astype(np.float32), matrix, "picture")
    matrix[:3, 3] += matrix[:3, 0] * 32
    return Volume(values[:, :, 32:].astype(np.float32), matrix, "half a picture")


def test_outlines_lie_on_the_edges_of_their_own_image() -> None:
    own = share_on_edges(DRAWN, picture(), scale_mm=SCALE)
    assert own is not None
    assert own > 0.95
    half = share_on_edges(DRAWN, picture(half=True), scale_mm=SCALE)
    assert half is not None
    assert half > 0.95


@pytest.mark.parametrize("image", [picture(moved_mm=25.0), picture(contrast=0.0)], ids=["moved", "of noise"])
def test_outlines_lie_beside_the_edges_of_another(image: Volume) -> None:
    share = share_on_edges(DRAWN, image, scale_mm=SCALE)
    assert share is not None
    assert share < ON_EDGES


def test_nothing_is_said_of_what_is_not_visible() -> None:
    image = picture()
    assert share_on_edges(DRAWN, Volume(np.zeros_like(image.array), image.ijk_to_ras, "empty"), scale_mm=SCALE) is None
    away = image.ijk_to_ras.copy()
    away[0, 3] += 1_000
    assert share_on_edges(DRAWN, Volume(image.array, away, "elsewhere"), scale_mm=SCALE) is None
