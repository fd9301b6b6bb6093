"""What the classifier learns of drawn planes, and how far it is trusted."""

from __future__ import annotations

import numpy as np
import pytest

from dals.appearance.drawn_samples import DrawnSamples
from dals.appearance.learning import Appearance, learn

SCALE_MM, BAND_MM = 100.0, 15.0


def plane(height: float, *, blur_mm: float) -> DrawnSamples:
    """A flat boundary across a plane, on which the surface lies, and an image that shows it as well as `blur_mm`."""
    rng = np.random.default_rng(int(height))
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(-14.0, 14.0, 1.5), np.arange(0.0, 90.0, 3.0)))
    points = np.stack([x, y, np.full_like(x, height)], axis=1)
    shown = x + rng.normal(0, blur_mm, len(x))
    return DrawnSamples(points, x, shown[:, None].astype(np.float32), x < 0)


def learnt(*, blur_mm: float, error: float, seed: int) -> Appearance:
    planes = [plane(height, blur_mm=blur_mm) for height in (0.0, 30.0, 60.0)]
    found = learn(planes, scale_mm=SCALE_MM, band_mm=BAND_MM, error=error, seed=seed)
    assert found is not None
    return found


@pytest.mark.parametrize(("error", "least", "most"), [(0.02, 0.0, 0.3), (0.07, 0.4, 1.0)])
def test_the_image_has_to_know_better_than_the_surface(error: float, least: float, most: float) -> None:
    found = [learnt(blur_mm=6.0, error=error, seed=seed) for seed in range(12)]  # planes as small as these are chancy
    assert least <= np.mean([one.trust for one in found]) <= most
    assert found[0].surface_error == pytest.approx(0.8 * error * SCALE_MM / (2 * BAND_MM), rel=0.4)


def test_planes_without_both_sides_teach_nothing() -> None:
    one_sided = plane(0.0, blur_mm=1.0)
    one_sided = DrawnSamples(
        one_sided.points, one_sided.distances, one_sided.features, np.ones(len(one_sided.points), dtype=np.bool_)
    )
    assert learn([one_sided, one_sided], scale_mm=SCALE_MM, band_mm=BAND_MM, error=0.03) is None
