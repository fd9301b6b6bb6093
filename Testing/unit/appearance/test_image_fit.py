"""Contours and the image between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid, grid, inside_ellipsoid

import dals
from dals.appearance import image_fit
from dals.appearance.view import View
from dals.errors import FitCancelledError, InputError
from dals.fitting import FitStep
from dals.geometry.label_map import LabelMap
from dals.geometry.surface_distance import surface_distances
from dals.geometry.volume import Volume
from dals.model.prior import ShapePrior

RADII = (95.0, 75.0, 62.0)
QUICK = dals.PlanarContours.defaults.changed(shared_level=2, level=3)
TRUTH = ellipsoid(RADII)


def _shift(slices: int, axis: int = 2) -> np.ndarray:
    matrix = np.eye(4)
    matrix[axis, 3] = slices
    return matrix


def contours() -> dals.PlanarContours:
    """Two parallel outlines: how far the organ reaches beyond them is a guess."""
    return dals.PlanarContours(tuple(ellipse_contour(2, z, radii=RADII, name=f"z {z}") for z in (-6.0, 14.0)))


def picture(where: LabelMap | None = None, *, contrast: float = 80.0, unit: float = 1.0) -> Volume:
    """The organ in noise, brighter than its surroundings."""
    where = grid((64, 56, 40), (4.0, 4.0, 5.0)) if where is None else where
    noise = np.random.default_rng(0).normal(0, 20, where.array.shape)
    values = 40 + contrast * inside_ellipsoid(where, RADII) + noise
    return Volume((unit * values).astype(np.float32), where.ijk_to_ras, "picture")


def error_of(refinement: dals.Refinement) -> float:
    """Mean distance of the surface from the truth, mm."""
    return float(surface_distances(refinement.mesh.vertices, TRUTH).mean())


@pytest.fixture(scope="module")
def without(ellipsoid_prior: ShapePrior) -> dals.Refinement:
    return dals.refine(contours(), ellipsoid_prior, settings=QUICK)


@pytest.fixture(scope="module")
def first(ellipsoid_prior: ShapePrior) -> dals.Refinement:
    """With the image."""
    return refined(ellipsoid_prior, picture())


def refined(prior: ShapePrior, image: Volume) -> dals.Refinement:
    return dals.refine(contours(), prior, settings=QUICK, image=image)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (20.0, -15.0, 30.0)], ids=["straight", "oblique"])
def test_the_image_places_the_surface_between_the_planes(
    ellipsoid_prior: ShapePrior, without: dals.Refinement, angles: tuple[float, float, float]
) -> None:
    where = grid((70, 70, 48), (4.0, 4.0, 5.0), angles=angles, left_handed=any(angles))
    result = refined(ellipsoid_prior, picture(where))
    assert error_of(result) < 0.6 * error_of(without)
    use = result.report["image"]
    assert use["trust"] > 0.5
    assert use["error_percent"] < use["surface_error_percent"]
    assert use["on_edges_percent"] > 90
    assert surface_distances(contours().points, result.mesh).mean() < 2
    assert result.report["timings_s"]["image"] > 0


def test_an_image_that_moved_is_not_used(ellipsoid_prior: ShapePrior, without: dals.Refinement) -> None:
    image = picture()
    moved = Volume(image.array, _shift(35, axis=0) @ image.ijk_to_ras, "moved")
    result = refined(ellipsoid_prior, moved)
    assert any("lies on edges of the image" in sentence for sentence in result.warnings)
    assert result.report["image"]["trust"] == 0
    assert result.report["image"]["on_edges_percent"] < 62
    np.testing.assert_array_equal(result.mesh.vertices, without.mesh.vertices)


def test_a_moved_contour_goes_on_from_what_the_image_said(ellipsoid_prior: ShapePrior, first: dals.Refinement) -> None:
    moved = dals.PlanarContours(tuple(replace(one, points=1.01 * one.points) for one in contours().contours))
    told: list[FitStep] = []
    again = dals.refine(moved, ellipsoid_prior, settings=QUICK, image=picture(), start=first.state, on_step=told.append)
    assert [(step.step, step.total) for step in told] == [(0, 1), (1, 1)]  # no fit of the contours alone
    assert again.report["image"]["recalled"]
    assert "recalled" not in first.report["image"]
    at_once = told[0].mesh()
    assert told[0].loss_mm() > 0.3
    assert surface_distances(moved.points, at_once).mean() < 0.5 * surface_distances(moved.points, first.mesh).mean()
    assert np.abs(surface_distances(at_once.vertices, first.mesh)).mean() < 2
    assert error_of(again) < 1.1 * error_of(dals.refine(moved, ellipsoid_prior, settings=QUICK, image=picture()))
    assert surface_distances(moved.points, again.mesh).mean() < 2


def redrawn(share: float) -> dals.PlanarContours:
    """The contours, of which the first was drawn anew in part, 6 mm further out."""
    first, *others = contours().contours
    points = first.points.copy()
    points[: round(share * len(points))] += 6 * first.points[: round(share * len(points))] / 80
    return dals.PlanarContours((replace(first, points=points), *others))


def without_a_slice(image: Volume) -> Volume:
    return Volume(image.array[:, :, 1:], image.ijk_to_ras @ _shift(1, axis=0), image.name)


def brighter(image: Volume) -> Volume:
    return Volume(image.array + 1, image.ijk_to_ras, image.name)


@pytest.mark.parametrize(
    ("drawn", "image", "recalled"),
    [
        (contours(), picture(), True),
        (contours(), without_a_slice(picture()), True),
        (redrawn(0.05), picture(), True),
        (redrawn(0.2), picture(), False),
        (dals.PlanarContours((contours().contours[0], ellipse_contour(2, 30.0, radii=RADII))), picture(), False),
        (contours().with_open_planes(["z -6.0"]), picture(), False),
        (contours(), brighter(picture()), False),
        (contours(), picture(contrast=60.0), False),
    ],
    ids=[
        "the same",
        "cut elsewhere",
        "a point",
        "a fifth of one",
        "another plane",
        "an incomplete plane",
        "brighter",
        "another image",
    ],
)
def test_the_image_is_looked_at_again_if_it_or_the_outlines_changed(
    ellipsoid_prior: ShapePrior, first: dals.Refinement, drawn: dals.PlanarContours, image: Volume, recalled: bool
) -> None:
    view = View.around(drawn, image, first.mesh, scale_mm=first.state.pose.scale)
    assert first.state.seen is not None
    use = view.recalled(first.state.seen)
    assert (use is not None) == recalled
    if use is not None:
        assert (use.trust, use.error_percent) == (first.state.seen.trust, first.state.seen.error_percent)


def test_what_was_seen_is_as_good_as_another_look(ellipsoid_prior: ShapePrior, first: dals.Refinement) -> None:
    seen = dals.refine(contours(), ellipsoid_prior, settings=QUICK, image=picture(), start=first.state)
    unseen = replace(first.state, seen=None)
    looked = dals.refine(contours(), ellipsoid_prior, settings=QUICK, image=picture(), start=unseen)
    assert "recalled" not in looked.report["image"]
    assert error_of(seen) < 1.05 * error_of(looked)
    assert seen.state.seen is first.state.seen


def test_a_new_plane_is_learnt_from(ellipsoid_prior: ShapePrior, first: dals.Refinement) -> None:
    more = dals.PlanarContours((*contours().contours, ellipse_contour(0, 5.0, radii=RADII, name="x 5")))
    again = dals.refine(more, ellipsoid_prior, settings=QUICK, image=picture(), start=first.state)
    assert "recalled" not in again.report["image"]
    assert again.state.seen is not None
    assert len(again.state.seen.outlines) > len(first.state.seen.outlines)  # type: ignore[union-attr]


@pytest.mark.parametrize("after", [1, 4])
def test_a_refit_is_cancelled_while_it_looks(ellipsoid_prior: ShapePrior, first: dals.Refinement, after: int) -> None:
    told: list[int] = []
    start = replace(first.state, seen=None)

    def cancel(step: FitStep) -> bool:
        told.append(step.step)
        return len(told) < after

    with pytest.raises(FitCancelledError):
        dals.refine(contours(), ellipsoid_prior, settings=QUICK, image=picture(), start=start, on_step=cancel)
    assert told == [0] * after


def test_what_the_image_shows_is_less_of_a_guess(
    ellipsoid_prior: ShapePrior, without: dals.Refinement, first: dals.Refinement
) -> None:
    assert first.uncertainty is not None
    assert without.uncertainty is not None
    assert first.uncertainty.expected_distance_mm < without.uncertainty.expected_distance_mm
    assert first.uncertainty.led_to is None
    again = dals.refine(contours(), ellipsoid_prior, settings=QUICK, image=picture(), start=first.state)
    assert first.state.departure == again.state.departure  # that of the contours alone
    assert first.state.error == again.state.error
    alone = dals.refine(contours(), ellipsoid_prior, settings=QUICK, start=first.state)
    assert alone.state.departure is None
    assert alone.state.error is None


def test_an_image_that_leads_to_an_unknown_shape_is_not_believed_silently(ellipsoid_prior: ShapePrior) -> None:
    bitten = picture()
    bite = inside_ellipsoid(bitten, (60.0, 80.0, 45.0), centre=(80.0, -30.0, 100.0))
    bitten.array[bite & inside_ellipsoid(bitten, RADII)] -= 80
    result = refined(ellipsoid_prior, bitten)
    assert result.uncertainty is not None
    assert result.uncertainty.led_to is not None
    assert result.confidence is not None
    assert result.confidence.level == "medium"
    assert any("The image led the surface unusually far" in reason for reason in result.warnings)


@pytest.mark.parametrize("bitten", [False, True], ids=["usual", "unlike all known shapes"])
def test_an_image_that_moved_the_surface_far_is_looked_at_again(
    ellipsoid_prior: ShapePrior, monkeypatch: pytest.MonkeyPatch, bitten: bool
) -> None:
    image = picture()
    if bitten:
        bite = inside_ellipsoid(image, (60.0, 80.0, 45.0), centre=(80.0, -30.0, 100.0))
        image.array[bite & inside_ellipsoid(image, RADII)] -= 80
    results = []
    for far in (9.0, 0.001):
        monkeypatch.setattr(image_fit, "_FAR", far)
        results.append(refined(ellipsoid_prior, image))
    once, twice = (result.report["iterations"] for result in results)
    assert twice == once + 4 * (not bitten)
    assert results[1].state.departure == results[0].state.departure
    if not bitten:
        assert error_of(results[1]) < error_of(results[0])


def test_contours_far_from_the_earlier_surface_are_fitted_first(
    ellipsoid_prior: ShapePrior, first: dals.Refinement
) -> None:
    shift = np.array([0.0, 0.0, 30.0])
    moved = dals.PlanarContours(tuple(replace(one, points=one.points + shift) for one in contours().contours))
    image = picture()
    image.ijk_to_ras[:3, 3] += shift
    again = dals.refine(moved, ellipsoid_prior, settings=QUICK, image=image, start=first.state)
    assert surface_distances(again.mesh.vertices - shift, TRUTH).mean() < 1.5 * error_of(first)


def test_without_contrast_a_moved_contour_is_fitted_alone(ellipsoid_prior: ShapePrior, first: dals.Refinement) -> None:
    blank, start = picture(contrast=0.0), first.state
    again = dals.refine(contours(), ellipsoid_prior, settings=QUICK, image=blank, start=start)
    alone = dals.refine(contours(), ellipsoid_prior, settings=QUICK, start=start)
    assert np.array_equal(again.mesh.vertices, alone.mesh.vertices)


def test_any_unit_of_grey_value_gives_the_same(ellipsoid_prior: ShapePrior, first: dals.Refinement) -> None:
    second = refined(ellipsoid_prior, picture(unit=1e-4))
    assert np.abs(first.mesh.vertices - second.mesh.vertices).max() < 0.2  # rounding decides single splits of trees


@pytest.mark.parametrize("value", ["noise", "constant", "nan"])
def test_an_image_that_shows_nothing_changes_nothing(
    ellipsoid_prior: ShapePrior, without: dals.Refinement, value: str
) -> None:
    image = picture(contrast=0.0)
    if value != "noise":
        image = Volume(np.full(image.array.shape, 7.0 if value == "constant" else np.nan), image.ijk_to_ras, "picture")
    result = refined(ellipsoid_prior, image)
    assert result.report["image"]["trust"] == 0
    assert np.array_equal(result.mesh.vertices, without.mesh.vertices)
    assert any(sentence.startswith("The image picture was not used") for sentence in result.warnings)


def test_voxels_without_a_number_are_left_to_the_shape(ellipsoid_prior: ShapePrior, without: dals.Refinement) -> None:
    image = picture()
    image.array[:, :, :12] = np.nan
    result = refined(ellipsoid_prior, image)
    assert np.isfinite(result.mesh.vertices).all()
    assert error_of(result) < error_of(without)


def test_an_image_of_a_part_of_the_organ_helps_there(ellipsoid_prior: ShapePrior, without: dals.Refinement) -> None:
    where = picture()
    upper = Volume(where.array[15:], where.ijk_to_ras @ _shift(15), "picture")
    result = refined(ellipsoid_prior, upper)
    top = TRUTH.vertices[TRUTH.vertices[:, 2] > 70]
    assert surface_distances(top, result.mesh).mean() < surface_distances(top, without.mesh).mean()
    assert np.isfinite(result.mesh.vertices).all()


def test_an_image_of_another_place_is_refused(ellipsoid_prior: ShapePrior) -> None:
    elsewhere = picture().ijk_to_ras.copy()
    elsewhere[0, 3] += 2_000
    with pytest.raises(InputError, match="does not show the place that was outlined"):
        refined(ellipsoid_prior, Volume(picture().array, elsewhere, "picture"))


@pytest.mark.parametrize("unit", [1e-3, 1e3], ids=["metres", "micrometres"])
def test_an_image_in_another_unit_of_length_changes_nothing(
    ellipsoid_prior: ShapePrior, without: dals.Refinement, unit: float
) -> None:
    """Around the origin it overlaps, in whichever unit."""
    image = picture()
    result = refined(ellipsoid_prior, Volume(image.array, np.diag([unit] * 3 + [1.0]) @ image.ijk_to_ras, "picture"))
    assert result.report["image"]["trust"] == 0
    assert np.array_equal(result.mesh.vertices, without.mesh.vertices)


def test_a_file_is_read_once(ellipsoid_prior: ShapePrior, first: dals.Refinement) -> None:
    asked = []

    class File:
        name = "file"

        def part(self, low: np.ndarray, high: np.ndarray) -> Volume | None:
            asked.append((low, high))
            return picture().part(low, high)

    from_file = dals.refine(contours(), ellipsoid_prior, settings=QUICK, image=File())
    assert len(asked) == 1
    assert np.array_equal(from_file.mesh.vertices, first.mesh.vertices)


def test_an_image_goes_with_contours_by_the_default_method_only(ellipsoid_prior: ShapePrior) -> None:
    with pytest.raises(InputError, match="leave it out for points"):
        dals.refine(dals.PointCloud(TRUTH.vertices), ellipsoid_prior, image=picture())
    with pytest.raises(InputError, match="default method only"):
        dals.refine(contours(), ellipsoid_prior, settings=dals.PlanarContours.paper, image=picture())
