"""The use case: one way in for the Python interface and all who call it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from known_shapes import ellipse_contour, ellipsoid, grid, inside_ellipsoid
from numpy.typing import NDArray
from torch import Tensor

import dals
from dals.errors import FitCancelledError, InputError
from dals.fit_settings import FitSettings
from dals.fitting.data_term import DataTerm, as_tensor, data_term
from dals.geometry.mesh import FloatArray
from dals.geometry.surface_distance import SignedDistance
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.observations import Observation, PlanarContours, PointCloud, Segmentation, kind_named
from dals.observations.observation import Arrays, Fields, bounds_of

RADII = (95.0, 75.0, 60.0)
QUICK = {"shared_steps": 12, "local_steps": 4, "shared_level": 2, "level": 2, "points": 300, "points_per_plane": 200}


def segmentation() -> Segmentation:
    empty = grid((60, 50, 45), (4.0, 4.0, 4.0))
    inside = inside_ellipsoid(empty, RADII)
    probabilities = np.where(inside, np.float32(0.9), np.float32(0.1))
    return Segmentation(empty.with_array(inside), probabilities)


def observations() -> dict[str, Observation]:
    return {
        "points": PointCloud(ellipsoid(RADII).vertices[::3]),
        "contours": PlanarContours(tuple(ellipse_contour(axis, radii=RADII) for axis in range(3))),
        "segmentation": segmentation(),
    }


def quick(observation: Observation, **changes: Any) -> FitSettings:
    return observation.defaults.changed(**{**QUICK, **changes})


# --- the public interface


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, dals; print(sorted({'torch', 'numpy', 'vtkmodules', 'scipy'} & set(sys.modules))); "
        "assert set(dals.__all__) <= set(dir(dals)); dals.DalsError; assert 'torch' not in sys.modules; "
        "dals.PointCloud; assert 'torch' not in sys.modules; dals.refine; assert callable(dals.refine)"
    )
    folder = Path(dals.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("name", dals.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(dals, name)
    assert isinstance(value, str) or value.__doc__


def test_a_name_that_is_not_public() -> None:
    with pytest.raises(AttributeError, match="no attribute 'refined'"):
        _ = dals.refined  # type: ignore[attr-defined]


# --- refine


@pytest.mark.parametrize("kind", ["points", "contours", "segmentation"])
def test_a_refinement_says_what_it_is(kind: str, ellipsoid_prior: ShapePrior) -> None:
    observation = observations()[kind]
    result = dals.refine(observation, ellipsoid_prior, settings=quick(observation))
    assert observation.kind == kind
    assert result.report["task"] == kind
    assert result.report["vertices"] == len(result.mesh.vertices)
    assert kind == "segmentation" or len(result.mesh.vertices) == 642
    assert result.report["volume_ml"] == pytest.approx(4 / 3 * np.pi * np.prod(RADII) / 1e3, rel=0.15)
    assert set(result.report["timings_s"]) == {"fit", "remesh", "report"}
    assert result.confidence is not None
    assert result.report["remeshed"] is False


def test_a_segmentation_comes_back_with_its_edits_and_the_means_to_choose_them(ellipsoid_prior: ShapePrior) -> None:
    given = segmentation()
    array = given.label_map.array.copy()
    array[22, 25, 30] = False
    holed = Segmentation(given.label_map.with_array(array))
    result = dals.refine(holed, ellipsoid_prior)
    assert [edit.kind for edit in result.edits] == ["hole filled"]
    assert result.report["edits"] == [edit.as_fields() for edit in result.edits]
    assert result.report["cut_by_image_border"] is False
    assert result.label_map is not None
    assert result.edit_plan is not None
    np.testing.assert_array_equal(result.label_map.array, given.label_map.array)
    np.testing.assert_array_equal(result.edit_plan.carried_out([]).label_map.array, array)


def test_a_segmentation_is_fitted_as_in_the_paper_without_edits(ellipsoid_prior: ShapePrior) -> None:
    given = segmentation()
    result = dals.refine(given, ellipsoid_prior, settings=replace(quick(given), edits=None))
    assert len(result.mesh.vertices) == 162
    assert (result.edits, result.edit_plan, result.label_map) == ((), None, None)
    assert "edits" not in result.report


def test_a_prior_by_its_file_is_the_prior(ellipsoid_prior_file: Path) -> None:
    observation = observations()["points"]
    by_file, by_object = (
        dals.refine(observation, prior, settings=quick(observation), device="cpu")
        for prior in (ellipsoid_prior_file, dals.load_prior(ellipsoid_prior_file))
    )
    np.testing.assert_array_equal(by_file.mesh.vertices, by_object.mesh.vertices)


def test_a_refinement_goes_on_from_the_state_of_another(ellipsoid_prior: ShapePrior) -> None:
    observation = observations()["points"]
    first = dals.refine(observation, ellipsoid_prior, settings=quick(observation))
    again = dals.refine(observation, ellipsoid_prior, settings=quick(observation), start=first.state)
    assert again.report["iterations"] < first.report["iterations"]


def test_a_state_of_another_prior_is_refused(ellipsoid_prior: ShapePrior) -> None:
    observation = observations()["points"]
    foreign = FitState(Pose(100.0, np.zeros(3)), np.zeros(5, dtype=np.float32), None, 2)
    with pytest.raises(InputError, match="another prior"):
        dals.refine(observation, ellipsoid_prior, settings=quick(observation), start=foreign)


def test_returning_false_cancels(ellipsoid_prior: ShapePrior) -> None:
    with pytest.raises(FitCancelledError):
        dals.refine(observations()["points"], ellipsoid_prior, on_step=lambda _: False)


def test_an_outline_that_no_known_shape_meets_is_followed_and_told(ellipsoid_prior: ShapePrior) -> None:
    beside = ellipse_contour(2, radii=(9.0, 9.0, 9.0), centre=(20.0 + 105.0, -30.0, 40.0))
    inner = ellipse_contour(2, radii=RADII)
    others = [ellipse_contour(axis, radii=RADII) for axis in range(2)]
    contours = object.__new__(PlanarContours)  # without the checks for users' mistakes
    object.__setattr__(contours, "contours", (*others, inner, beside))
    result = dals.refine(contours, ellipsoid_prior, settings=quick(contours))
    told = result.report["imprint"]
    assert told["pieces"] >= 1
    assert told["depth_mm"] > 5
    assert any("no shape that the prior knows meets what was drawn" in note for note in result.notes)
    distances = np.abs(SignedDistance(result.mesh).at(beside.points))
    assert distances.max() < 4
    single = dals.refine(contours, ellipsoid_prior, settings=quick(contours, lambda_dir=np.inf))
    assert "imprint" not in single.report  # one latent for all vertices is meant as it is


def test_all_that_is_noticed_is_told_once_and_in_order(ellipsoid_prior: ShapePrior) -> None:
    empty = grid((60, 50, 45), (1.0, 1.0, 1.0))
    cut = Segmentation(empty.with_array(inside_ellipsoid(empty, (60.0, 15.0, 12.0))))
    result = dals.refine(cut, ellipsoid_prior, settings=quick(cut))
    assert "touches the image's border" in cut.notices[0] == result.warnings[0]
    assert "across, but the prior ellipsoid was trained" in result.warnings[1]
    assert result.confidence is not None
    assert result.warnings[2:] == result.confidence.reasons
    assert len(set(result.warnings)) == len(result.warnings)
    assert result.report["warnings"] == list(result.warnings)


def test_a_known_pose_is_kept(ellipsoid_prior: ShapePrior) -> None:
    observation = observations()["points"]
    pose = Pose(100.0, np.array([20.0, -30.0, 40.0]))
    result = dals.refine(observation, ellipsoid_prior, settings=quick(observation), pose=pose)
    assert result.report["pose"] == {"scale_mm": 100.0, "centre_ras_mm": [20.0, -30.0, 40.0]}


def test_organs_that_overlap_give_way(ellipsoid_prior: ShapePrior) -> None:
    observation = observations()["points"]
    assert isinstance(observation, PointCloud)
    beside = PointCloud(observation.points + np.array([160.0, 0, 0]))
    alone = dals.refine(observation, ellipsoid_prior, settings=quick(observation))
    one, two = dals.refine_together(
        [observation, beside],
        [ellipsoid_prior, ellipsoid_prior],
        names=["left", "right"],
        settings=[quick(observation), quick(beside)],
    )
    assert one.report["gave_way_mm"] > 1
    assert one.mesh.vertices[:, 0].max() < alone.mesh.vertices[:, 0].max()
    assert one.mesh.vertices[:, 0].max() < two.mesh.vertices[:, 0].min() + 2
    assert one.report["volume_ml"] == pytest.approx(one.mesh.volume / 1e3)


# --- kinds of observation


@dataclass(frozen=True, eq=False)
class Tips(Observation):
    """Points that the surface touches; nothing is known of the rest."""

    points: FloatArray
    kind: ClassVar[str] = "tips"
    defaults: ClassVar[FitSettings] = FitSettings(**QUICK, lambda_prior=1e-3)  # type: ignore[arg-type]
    paper: ClassVar[FitSettings] = FitSettings(**QUICK)  # type: ignore[arg-type]

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        return bounds_of(self.points)

    @property
    def named_points(self) -> list[tuple[str, FloatArray]]:
        return [("tips", self.points)]

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {}, {"points": self.points}

    @classmethod
    def from_arrays(cls, fields: Fields, arrays: Arrays) -> Tips:
        return cls(arrays["points"])


class TipsTerm(DataTerm):
    def __init__(self, tips: Tensor) -> None:
        self.tips = tips

    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        return torch.cdist(self.tips, vertices).amin(dim=1).square().mean()


@data_term.register
def _(observation: Tips, pose: Pose, settings: FitSettings, device: torch.device) -> TipsTerm:
    return TipsTerm(as_tensor(pose.to_canonical(observation.points), device))


@pytest.mark.parametrize("kind", ["points", "contours", "segmentation"])
def test_an_observation_survives_as_arrays(kind: str, ellipsoid_prior: ShapePrior) -> None:
    observation = observations()[kind]
    fields, arrays = observation.to_arrays()
    again = kind_named(kind).from_arrays(fields, arrays)
    assert again.notices == observation.notices
    for low, expected in zip(again.bounds, observation.bounds, strict=True):
        np.testing.assert_array_equal(low, expected)
    settings = quick(observation)
    ours, theirs = (dals.refine(each, ellipsoid_prior, settings=settings) for each in (observation, again))
    np.testing.assert_array_equal(ours.mesh.vertices, theirs.mesh.vertices)
    assert ours.warnings == theirs.warnings


def test_a_new_kind_of_observation_needs_nothing_but_itself(ellipsoid_prior: ShapePrior) -> None:
    """`Tips` and `TipsTerm` are all there is of it: a module of `dals.observations`, one of `dals.fitting.kinds`."""
    centre = np.array([20.0, -30.0, 40.0])
    tips = Tips(centre + np.diag(RADII).repeat(2, axis=0) * np.tile([[1.0], [-1.0]], (3, 1)))
    assert kind_named("tips") is Tips
    result = dals.refine(tips, ellipsoid_prior)
    assert result.report["task"] == "tips"
    assert result.report["residuals_mm"][0]["maximum"] < 25
    assert result.confidence is None
