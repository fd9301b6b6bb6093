"""The weights of the prior follow how much was observed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from shapes import OBLIQUE

from dals.fit_settings import FitSettings
from dals.fitting import fit
from dals.fitting.data_term import evidence
from dals.fitting.evidence import weighed
from dals.fitting.kinds.contours import independent_planes
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Contour, Observation, PlanarContours, PointCloud, Segmentation, kind_named

X, Y, Z = np.eye(3)
CENTRE = np.array([10.0, -40.0, 70.0])


def circles(
    *planes: tuple[FloatArray, float], radius: float = 60.0, rotation: FloatArray | None = None
) -> PlanarContours:
    """Outlines of a ball on planes, each given by its normal and its offset from the centre in millimetres."""
    turn = np.eye(3) if rotation is None else rotation
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    contours = []
    for index, (normal, offset) in enumerate(planes):
        axes = np.linalg.svd(normal[None])[2][1:]
        points = math.sqrt(radius**2 - offset**2) * ring @ axes + offset * normal
        contours.append(Contour(points @ turn.T + CENTRE, None, f"{index}"))
    return PlanarContours(tuple(contours))


def test_planes_at_right_angles_count_in_full() -> None:
    assert independent_planes(circles((X, 5), (Y, 0), (Z, -20))) == pytest.approx(3, abs=1e-4)


def test_parallel_planes_count_in_full_far_from_each_other_and_as_one_side_by_side() -> None:
    found = [independent_planes(circles((Z, -distance / 2), (Z, distance / 2))) for distance in (1.6, 6, 12, 40)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(1, abs=0.02)
    assert 1.1 < found[2] < 1.9
    assert found[3] == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_normals_that_point_either_way_make_no_difference(seed: int) -> None:
    """Half-way between two axes the direction of a contour's normal is a matter of rounding."""
    rng = np.random.default_rng(seed)

    def planes(*offsets: float) -> PlanarContours:
        normals = [np.array([1.0, -1.0, 0.0]) + 0.01 * rng.normal(size=3) for _ in offsets]
        return circles(*((normal / np.linalg.norm(normal), o) for normal, o in zip(normals, offsets, strict=True)))

    assert independent_planes(planes(-20, 20)) == pytest.approx(2, abs=0.02)
    assert independent_planes(planes(20, 23)) == pytest.approx(1, abs=0.1)
    stack = np.linspace(-30, 30, 7).tolist()
    assert independent_planes(planes(*stack)) == pytest.approx(
        independent_planes(circles(*((Z, offset) for offset in stack))), rel=0.15
    )


def test_a_stack_of_slices_counts_by_its_extent_not_by_its_slices() -> None:
    few, many = ([(Z, float(z)) for z in np.linspace(-30, 30, count)] for count in (7, 31))
    assert independent_planes(circles(*many)) == pytest.approx(independent_planes(circles(*few)), rel=0.2)
    assert independent_planes(circles(*many)) < 6


def test_more_planes_never_count_for_less() -> None:
    planes = [(X, 0), (Y, 0), (Z, 0), (X, 10), (Z, 3), (Y, -25), (Z, -30), (X, 12.0)]
    counts = [independent_planes(circles(*planes[:count])) for count in range(2, len(planes) + 1)]
    assert all(later >= earlier - 1e-4 for earlier, later in itertools.pairwise(counts))


def test_the_count_depends_on_neither_place_nor_size_nor_orientation() -> None:
    planes = ((X, 0), (Y, 0), (Z, 0), (Z, 8))
    expected = independent_planes(circles(*planes))
    doubled = circles(*[(normal, 2 * offset) for normal, offset in planes], radius=120)
    assert independent_planes(doubled) == pytest.approx(expected, rel=1e-6)
    slanted = circles((OBLIQUE[:, 0], 0), (OBLIQUE[:, 1], 0), (OBLIQUE[:, 2], 0), (OBLIQUE[:, 2], 8))
    assert independent_planes(slanted) == pytest.approx(expected, rel=0.05)  # the box is that of the axes


def ball() -> Segmentation:
    ijk = np.stack(np.meshgrid(*[np.arange(9)] * 3, indexing="ij"), axis=-1)
    return Segmentation(LabelMap(np.linalg.norm(ijk - 4, axis=-1) < 3, np.eye(4)))


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (PointCloud(100 * np.random.default_rng(0).random((500, 3))), 0.2),
        (PointCloud(100 * np.random.default_rng(0).random((30_000, 3))), 4.0),
        (circles((X, 0), (Y, 0)), 2 / 3),
        (ball(), 1.0),
    ],
)
def test_the_amount_of_what_was_observed(observation: Observation, expected: float) -> None:
    assert evidence(observation) == pytest.approx(expected, abs=1e-4)
    settings = FitSettings(lambda_dir=0.3, lambda_prior=0.2, lambda_scale=0.1, evidence_power=2.0)
    found = weighed(settings, observation)
    for name in ("lambda_dir", "lambda_prior", "lambda_scale"):
        assert getattr(found, name) == pytest.approx(getattr(settings, name) / expected**2, rel=1e-3)
    assert found.lambda_reg == settings.lambda_reg
    assert weighed(found, observation) == found
    assert weighed(replace(settings, evidence_power=0.0), observation) == replace(settings, evidence_power=0.0)


def test_one_latent_and_free_latents_stay_so() -> None:
    cloud = PointCloud(np.random.default_rng(0).random((500, 3)))
    for value in (math.inf, 0.0):
        assert weighed(FitSettings(lambda_dir=value, evidence_power=1.0), cloud).lambda_dir == value


def test_the_papers_weights_do_not_depend_on_the_observation() -> None:
    assert all(kind_named(task).paper.evidence_power == 0 for task in ("points", "contours", "segmentation"))


def test_a_fit_uses_the_weights_and_tells_them(ellipsoid_prior: ShapePrior) -> None:
    pose = Pose(90.0, CENTRE)
    with torch.no_grad():
        latent = torch.tensor([[1.0, -0.8, 0.6]])
        shape = ellipsoid_prior.decoder(latent, ellipsoid_prior.sphere(icosphere(3))).double().numpy()
    cloud = PointCloud(pose.to_patient(shape[:500]))
    few = {"shared_steps": 8, "local_steps": 8, "shared_level": 2, "level": 2, "points": 300}
    base = kind_named("points").defaults.changed(method="adam", lambda_dir=1e-3, lambda_prior=1e-4, **few)
    share = 2_500 / 500
    stated = base.changed(
        evidence_power=0.0, lambda_dir=share * base.lambda_dir, lambda_prior=share * base.lambda_prior
    )
    by_rule, by_hand, unweighed = (
        fit(ellipsoid_prior, cloud, settings=settings, pose=pose)
        for settings in (base.changed(evidence_power=1.0), stated, base.changed(evidence_power=0.0))
    )
    np.testing.assert_array_equal(by_rule.mesh.vertices, by_hand.mesh.vertices)
    assert by_rule.settings.lambda_dir == pytest.approx(share * base.lambda_dir)
    assert np.abs(by_rule.mesh.vertices - unweighed.mesh.vertices).max() > 1e-3
