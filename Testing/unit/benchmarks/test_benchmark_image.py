"""The image benchmark without its data: clicked curves, the principal component model, the table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid, grid, inside_ellipsoid
from scipy.spatial import cKDTree

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.image_study.cases import clicked
from benchmarks.image_study.measure import CLICKED, CONTOURS, IMAGE, PAINTED, Row
from benchmarks.image_study.principal import model_of, principal_components
from benchmarks.image_study.table import table

from dals.fitting import fit
from dals.geometry.surface_distance import surface_distances
from dals.geometry.volume import Volume
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

RADII = (95.0, 75.0, 62.0)


def contours() -> PlanarContours:
    return PlanarContours(tuple(ellipse_contour(2, z, radii=RADII, name=f"z {z}") for z in (-6.0, 14.0)))


def test_clicked_curves_tremble_about_the_contours_on_their_planes() -> None:
    drawn, curves = contours(), clicked(contours())
    for contour, curve in zip(drawn.contours, curves.contours, strict=True):
        assert curve.control_points is not None
        assert 15 <= len(curve.control_points) <= 30
        far, _ = cKDTree(contour.points).query(curve.control_points)
        assert 0.2 < far.mean() < 2.5
        assert np.abs(contour.plane.distances(curve.points)).max() < 1e-6
    again = clicked(contours())
    assert np.array_equal(curves.points, again.points)


def test_principal_components_follow_contours_and_image(ellipsoid_prior: ShapePrior) -> None:
    where = grid((64, 56, 40), (4.0, 4.0, 5.0))
    noise = np.random.default_rng(0).normal(0, 20, where.array.shape)
    image = Volume(40 + 80 * inside_ellipsoid(where, RADII) + noise, where.ijk_to_ras, "picture")
    drawn = fit(ellipsoid_prior, contours(), settings=PlanarContours.defaults.changed(shared_level=2, level=3))
    without, found = (
        principal_components(model_of(ellipsoid_prior), contours(), drawn, one, error=0.03) for one in (None, image)
    )
    assert surface_distances(contours().points, without).mean() < 2.0
    truth = ellipsoid(RADII)
    errors = [surface_distances(mesh.vertices, truth).mean() for mesh in (without, found)]
    assert errors[1] < 0.7 * errors[0]


def test_the_table_parts_painted_from_clicked_planes() -> None:
    def row(drawn: str, method: str, assd: float) -> Row:
        return Row("mr", "MR 10", drawn, 3, method, assd, 8.0, 0.9, 1.0, 0.9, 3.0)

    text = table([row(kind, method, 2.0) for kind in (PAINTED, CLICKED) for method in (CONTOURS, IMAGE)])
    assert "3 painted slices\n" in text
    assert "3 clicked curves\n" in text
    assert text.count("| contours only |") == 2


@pytest.mark.parametrize("worse", [0.1, 0.3])
def test_cases_that_became_worse_are_counted(worse: float) -> None:
    rows = [
        Row("mr", "MR 10", PAINTED, 3, method, assd, 8.0, 0.9, 1.0, 0.9, 3.0)
        for method, assd in ((CONTOURS, 2.0), (IMAGE, 2.0 + worse))
    ]
    line = next(line for line in table(rows).splitlines() if line.startswith(f"| {IMAGE}"))
    assert line.split(" | ")[5] == str(int(worse > 0.2))
