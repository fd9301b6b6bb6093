"""The numbers that go with a surface."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid, grid, inside_ellipsoid

from dals.evaluation.confidence import SegmentationConfidence
from dals.evaluation.report import make_report, unusual_size
from dals.fitting import FitResult, FitSettings, FitState
from dals.geometry.mesh import TriangleMesh
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours, PointCloud, Segmentation

RADII, CENTRE = np.array([60.0, 45.0, 35.0]), np.array([20.0, -30.0, 40.0])


@pytest.fixture(scope="module")
def mesh() -> TriangleMesh:
    return ellipsoid()


def result_of(mesh: TriangleMesh, settings: FitSettings | None = None) -> FitResult:
    state = FitState(Pose(70.0, CENTRE), np.zeros(3, dtype=np.float32), None, 4)
    return FitResult(mesh, state, 1.5e-3, 160, 7.5, "cpu", settings or FitSettings())


def test_a_report_of_contours(mesh: TriangleMesh, ellipsoid_prior: ShapePrior) -> None:
    grown = TriangleMesh((mesh.vertices - CENTRE) * (RADII + 2) / RADII + CENTRE, mesh.faces)
    observation = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    report = make_report(result_of(grown), observation, ellipsoid_prior, grown)
    assert report["volume_ml"] == pytest.approx(4 / 3 * np.pi * np.prod(RADII + 2) / 1e3, rel=0.01)
    assert report["surface_cm2"] == pytest.approx(grown.area / 100)
    assert (report["vertices"], report["facets"]) == (len(mesh.vertices), len(mesh.faces))
    assert [row["name"] for row in report["residuals_mm"]] == ["sagittal", "coronal", "axial"]
    for row in report["residuals_mm"]:
        assert row["mean"] == pytest.approx(2, abs=0.15)
        assert row["mean"] <= row["maximum"] < 2.2
    assert report["stray_mm"] == pytest.approx(2, abs=0.3)
    assert report["task"] == "contours"
    assert (report["iterations"], report["seconds"], report["device"]) == (160, 7.5, "cpu")
    assert report["task_loss_canonical"] == 1.5e-3
    assert report["pose"] == {"scale_mm": 70.0, "centre_ras_mm": CENTRE.tolist()}
    assert report["prior"] == {"name": "ellipsoid", "sha256": ellipsoid_prior.digest}


def test_a_part_of_the_surface_where_nothing_was_outlined(mesh: TriangleMesh, ellipsoid_prior: ShapePrior) -> None:
    apart = TriangleMesh(
        np.concatenate([mesh.vertices, mesh.vertices + np.array([0, 200.0, 0])]),
        np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]),
    )
    observation = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    report = make_report(result_of(apart), observation, ellipsoid_prior, apart)
    assert max(row["maximum"] for row in report["residuals_mm"]) < 0.5
    assert report["stray_mm"] == pytest.approx(200, abs=5)  # on the axial and sagittal planes


def test_a_report_of_points_and_of_a_segmentation(mesh: TriangleMesh, ellipsoid_prior: ShapePrior) -> None:
    points = PointCloud(np.repeat(mesh.vertices, 10, axis=0) + np.array([0.0, 0, 1e-3]))
    (row,) = make_report(result_of(mesh), points, ellipsoid_prior, mesh)["residuals_mm"]
    assert row["name"] == "points"
    assert row["maximum"] < 0.01
    empty = grid((70, 50, 40), (2, 2, 2.5))
    segmentation = Segmentation(empty.with_array(inside_ellipsoid(empty)))
    report = make_report(result_of(mesh), segmentation, ellipsoid_prior, mesh)
    (row,) = report["residuals_mm"]
    assert row["name"] == "segmentation"
    assert row["maximum"] < 2.5  # a voxel: the boundary is a staircase
    assert "agreement" not in report


def test_a_report_tells_how_far_a_result_agrees_with_the_segmentation(
    mesh: TriangleMesh, ellipsoid_prior: ShapePrior
) -> None:
    empty = grid((70, 50, 40), (2, 2, 2.5))
    segmentation = Segmentation(empty.with_array(inside_ellipsoid(empty)))
    regions = np.zeros(empty.array.shape, dtype=np.uint8)
    judged = SegmentationConfidence(
        dice=0.93,
        prior_dice=0.9,
        largest_displacement_mm=12.5,
        removed_ml=3.0,
        added_ml=0.5,
        unusual_ml=2.0,
        lacking_ml=0.25,
        typical_mm=8.0,
        map=regions,
        grid=empty,
        level="medium",
        reasons=("3 ml were left out.",),
    )
    report = make_report(result_of(mesh), segmentation, ellipsoid_prior, mesh, confidence=judged)
    assert report["agreement"] == {
        "dice": 0.93,
        "prior_dice": 0.9,
        "largest_displacement_mm": 12.5,
        "removed_ml": 3.0,
        "added_ml": 0.5,
        "unusual_ml": 2.0,
        "lacking_ml": 0.25,
        "typical_mm": 8.0,
        "confidence": "medium",
        "reasons": ["3 ml were left out."],
    }
    assert json.loads(json.dumps(report)) == report


def test_the_report_is_that_of_the_surface_as_written(mesh: TriangleMesh, ellipsoid_prior: ShapePrior) -> None:
    coarse = ellipsoid(rings=12)
    report = make_report(result_of(mesh), PointCloud(mesh.vertices), ellipsoid_prior, coarse)
    assert report["vertices"] == len(coarse.vertices)
    assert report["volume_ml"] == pytest.approx(coarse.volume / 1e3)


def test_a_report_is_strict_json(mesh: TriangleMesh, ellipsoid_prior: ShapePrior) -> None:
    settings = FitSettings(lambda_dir=math.inf, robust_scale=math.inf, initial_scales=(1.0, 1.2))
    report = make_report(result_of(mesh, settings), PointCloud(mesh.vertices), ellipsoid_prior, mesh)
    read = json.loads(json.dumps(report, allow_nan=False))
    assert read == report
    assert read["settings"]["lambda_dir"] == "inf"
    assert read["settings"]["initial_scales"] == [1.0, 1.2]
    assert read["settings"]["seed"] == 0


# --- unusual sizes ------------------------------------------------------------------------------


def observations(factor: float) -> list[PointCloud | PlanarContours | Segmentation]:
    """An organ of about the prior's size, times a factor, as each kind of observation."""
    radii = tuple(100.0 * factor * np.array([0.9, 0.7, 0.6]))
    empty = grid((60, 50, 45), (4.0 * factor,) * 3)
    return [
        PointCloud(ellipsoid(radii).vertices),
        PlanarContours(tuple(ellipse_contour(axis, radii=radii) for axis in range(3))),
        Segmentation(empty.with_array(inside_ellipsoid(empty, radii))),
    ]


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["points", "contours", "segmentation"])
def test_usual_sizes_pass_in_silence(kind: int, ellipsoid_prior: ShapePrior) -> None:
    assert unusual_size(observations(1.0)[kind], ellipsoid_prior) is None


@pytest.mark.parametrize(
    ("factor", "hint"), [(0.001, "metres instead of millimetres"), (0.3, "another organ"), (4.0, "another organ")]
)
@pytest.mark.parametrize("kind", [0, 2], ids=["points", "segmentation"])
def test_unusual_sizes_are_warned_of(kind: int, factor: float, hint: str, ellipsoid_prior: ShapePrior) -> None:
    sentence = unusual_size(observations(factor)[kind], ellipsoid_prior)
    assert sentence is not None
    assert hint in sentence
    assert "ellipsoid" in sentence


def test_a_point_cloud_without_extent_is_warned_of(ellipsoid_prior: ShapePrior) -> None:
    tiny = PointCloud(1e-12 * np.eye(4, 3))
    assert "metres" in (unusual_size(tiny, ellipsoid_prior) or "")
