"""What is said of a surface's uncertainty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_shapes import ellipse_contour

import dals
from dals.evaluation.confidence import Confidence
from dals.evaluation.formatting import interval_text
from dals.evaluation.uncertainty import (
    Uncertainty,
    calibrated,
    error_between_planes,
    expected_distance,
    judged_by,
    led_unusually_far,
)
from dals.fitting import fit
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours, PointCloud
from dals.refinement import Refinement


@pytest.fixture(scope="module")
def three(ellipsoid_prior: ShapePrior) -> Refinement:
    return dals.refine(PlanarContours(tuple(ellipse_contour(axis) for axis in range(3))), ellipsoid_prior)


def of(expected: float, *, doubtful: bool = False, led_to: FloatArray | None = None) -> Uncertainty:
    return Uncertainty(
        deviation_mm=np.array([1.0, 3.0]),
        expected_distance_mm=expected,
        doubtful=doubtful,
        volume_ml=(1430.0, 1590.0),
        rough_share=0.5,
        worst_place=np.array([12.0, -40.0, 130.0]),
        led_to=led_to,
    )


def test_every_vertex_has_a_deviation_and_the_volume_an_interval(three: Refinement) -> None:
    found = three.uncertainty
    assert found is not None
    assert found.deviation_mm.shape == (len(three.mesh.vertices),)
    assert (found.deviation_mm > 0).all()
    low, high = found.volume_ml
    assert low < three.mesh.volume / 1e3 < high
    worst = np.linalg.norm(three.mesh.vertices - found.worst_place, axis=1).argmin()
    assert found.deviation_mm[worst] == found.deviation_mm.max()


def test_the_report_holds_it(three: Refinement) -> None:
    figures = three.report["uncertainty"]
    assert three.uncertainty is not None
    assert figures["volume_interval_ml"] == list(three.uncertainty.volume_ml)
    assert figures["deviation_mm"]["maximum"] == three.uncertainty.deviation_mm.max()
    assert 0 <= figures["guessed_share"] <= 1
    assert interval_text(three.report).count(" to ") == 1


def test_two_planes_leave_more_open_than_three(three: Refinement, ellipsoid_prior: ShapePrior) -> None:
    two = dals.refine(PlanarContours(tuple(ellipse_contour(axis) for axis in range(2))), ellipsoid_prior)
    assert two.uncertainty is not None
    assert three.uncertainty is not None
    assert two.uncertainty.deviation_mm.mean() > three.uncertainty.deviation_mm.mean()
    assert two.uncertainty.expected_distance_mm > three.uncertainty.expected_distance_mm


def test_points_that_leave_a_side_open(ellipsoid_prior: ShapePrior) -> None:
    surface = dals.refine(
        PlanarContours(tuple(ellipse_contour(axis) for axis in range(3))), ellipsoid_prior
    ).mesh.vertices
    quick = PointCloud.defaults.changed(shared_steps=10, local_steps=10, level=3)
    right = surface[surface[:, 0] > surface[:, 0].mean() - 5]
    found = dals.refine(PointCloud(right), ellipsoid_prior, settings=quick)
    assert found.uncertainty is not None
    left = found.mesh.vertices[:, 0] < surface[:, 0].mean() - 20
    assert found.uncertainty.deviation_mm[left].mean() > 1.2 * found.uncertainty.deviation_mm[~left].mean()


def test_several_organs_at_once_have_theirs(three: Refinement, ellipsoid_prior: ShapePrior) -> None:
    observation = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    (again,) = dals.refine_together([observation], [ellipsoid_prior], names=["one"])
    assert three.uncertainty is not None
    assert again.uncertainty is not None
    np.testing.assert_allclose(again.uncertainty.deviation_mm, three.uncertainty.deviation_mm, rtol=1e-3)


def test_a_segmentation_has_none() -> None:
    assert judged_by(None, None) is None


def test_a_guess_is_said_with_its_place_and_lowers_the_confidence() -> None:
    sure = Confidence(level="high", reasons=())
    assert judged_by(sure, of(0.5)) is sure
    doubtful = judged_by(sure, of(20.0, doubtful=True))
    assert doubtful is not None
    assert doubtful.level == "medium"
    assert doubtful.reasons[0].startswith(
        "The surface is expected to be 20.0 mm off on average, and most of all at R 12,"
    )
    low = judged_by(Confidence(level="low", reasons=("x",)), of(20.0, doubtful=True))
    assert low is not None
    assert (low.level, len(low.reasons)) == ("low", 2)
    points = judged_by(None, of(0.5))
    assert points is not None
    assert points.level == "high"


def test_a_surface_that_an_image_led_far_from_all_known_shapes_is_to_be_checked() -> None:
    led = judged_by(Confidence(level="high", reasons=()), of(0.5, led_to=np.array([60.0, 5.0, 20.0])))
    assert led is not None
    assert led.level == "medium"
    (reason,) = led.reasons
    assert reason.startswith("The image led the surface unusually far from the shapes that the prior knows")
    assert "most of all at R 60, A 5, S 20 mm" in reason


def test_where_contours_leave_much_open_an_image_may_lead_further(ellipsoid_prior: ShapePrior) -> None:
    contours = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    result = fit(ellipsoid_prior, contours)
    assert result.plain is not None
    # By 0.1 canonical, beside 0.02 without the image.
    shift = np.array([0.1 * result.state.pose.scale, 0.0, 0.0])
    led = replace(result, mesh=TriangleMesh(result.plain.vertices + shift, result.plain.faces))
    few, many = (replace(led.state, departure=0.02, error=error) for error in (0.07, 0.03))
    assert not led_unusually_far(replace(led, state=few))
    assert led_unusually_far(replace(led, state=many))


def test_calibrated_deviations_keep_their_order() -> None:
    found = calibrated(np.array([0.0, 0.01, 0.03, 0.1]))
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert (found[1:] < 1.5 * np.array([0.01, 0.03, 0.1])).all()


def test_the_expected_distance_grows_with_the_departure_from_known_shapes() -> None:
    known, usual, strange = (expected_distance(0.05, departure) for departure in (0.02, 0.035, 0.08))
    assert known < usual < strange < 2 * usual
    assert usual == pytest.approx(expected_distance(0.05))
    assert expected_distance(0.05, 0.0) > 0.5 * usual
    assert expected_distance(0.05, 10.0) < 3 * usual


def test_fewer_planes_leave_larger_errors_between_them(ellipsoid_prior: ShapePrior) -> None:
    errors = []
    for axes in ((0, 2), (0, 1, 2)):
        contours = PlanarContours(tuple(ellipse_contour(axis) for axis in axes))
        drawn = fit(ellipsoid_prior, contours)
        errors.append(error_between_planes(contours, drawn, ellipsoid_prior, known=False))
    assert 0.07 >= errors[0] > errors[1] >= 0.02


def test_areas_of_vertices_make_up_the_surface(three: Refinement) -> None:
    assert three.mesh.vertex_areas.sum() == pytest.approx(three.mesh.area)
