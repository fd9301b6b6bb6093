"""Fits of ellipsoids, small enough that each takes a fraction of a second."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from known_shapes import marked_points

from dals.errors import FitCancelledError, InputError
from dals.evaluation.metrics import compare
from dals.fitting import FitResult, FitSettings, FitState, FitStep, fit
from dals.fitting.evidence import weighed
from dals.geometry.cross_sections import section_loops
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere, uniform_laplacian
from dals.observations import Contour, Observation, PlanarContours, PointCloud, Segmentation, kind_named
from dals.ops.losses import dirichlet_energy
from dals.ops.sampling import sample_surface

POSE = Pose(90.0, np.array([30.0, -20.0, 45.0]))
LATENT = torch.tensor([1.0, -0.8, 0.6])
TASKS: tuple[str, ...] = ("points", "contours", "segmentation")


def quick(task: str, **options: object) -> FitSettings:
    """Settings of a task, with fewer steps, points and vertices than anyone would want."""
    small = {"shared_steps": 50, "local_steps": 15, "shared_level": 2, "level": 2, "points": 400}
    return kind_named(task).defaults.changed(**{**small, "points_per_plane": 200, **options})


def by_adam(**options: object) -> FitSettings:
    """Settings for contours with which Adam fits them."""
    weights = {"lambda_reg": 1e-2, "lambda_dir": 5e-3, "lambda_prior": 2e-3, "lambda_scale": 1e-3}
    return quick("contours", **{"method": "adam", "evidence_power": 1.5, **weights, **options})


def points_by_adam(**options: object) -> FitSettings:
    """Settings for points with which Adam fits them."""
    weights = {"lambda_dir": 1e-3, "lambda_prior": 1e-4, "lambda_scale": 0.0}
    return quick("points", **{"method": "adam", "evidence_power": 1.0, **weights, **options})


def decoded(prior: ShapePrior, latent: torch.Tensor, pose: Pose = POSE, level: int = 4) -> TriangleMesh:
    """The shape of a latent, RAS mm."""
    template = icosphere(level)
    vertices = prior.decoder(latent[None], prior.sphere(template)).double().numpy()
    return TriangleMesh(pose.to_patient(vertices), template.faces)


def points_on(mesh: TriangleMesh, count: int = 1500) -> PointCloud:
    generator = torch.Generator().manual_seed(7)
    samples = sample_surface(torch.as_tensor(mesh.vertices), torch.as_tensor(mesh.faces), count, generator=generator)
    return PointCloud(samples.numpy())


def contours_of(mesh: TriangleMesh, offsets: tuple[float, ...] = (6.0, -5.0, 4.0)) -> PlanarContours:
    """Outlines on three planes that do not meet in the middle."""
    middle = mesh.vertices.mean(axis=0)
    loops = [section_loops(mesh, middle + offset * axis, axis) for axis, offset in zip(np.eye(3), offsets, strict=True)]
    return PlanarContours(tuple(Contour(loop[0], None, f"plane {k}") for k, loop in enumerate(loops)))


def segmentation_of(mesh: TriangleMesh) -> Segmentation:
    """A label map with 4 x 4 x 6 mm voxels."""
    spacing = np.array([4.0, 4.0, 6.0])
    low, high = mesh.vertices.min(axis=0) - 15, mesh.vertices.max(axis=0) + 15
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = low
    size = np.ceil((high - low) / spacing).astype(int)
    return Segmentation(mesh_to_label_map(mesh, LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid")))


def observed(task: str, mesh: TriangleMesh) -> Observation:
    if task == "points":
        return points_on(mesh)
    return contours_of(mesh) if task == "contours" else segmentation_of(mesh)


def distance(mesh: TriangleMesh, truth: TriangleMesh) -> float:
    """Mean distance in mm, good to about a millimetre."""
    return compare(mesh, truth, samples=8_000, self_intersections=False).mean_distance


def with_bump(mesh: TriangleMesh, height: float = 18.0) -> TriangleMesh:
    """The mesh with a bump that no ellipsoid has."""
    middle = mesh.vertices.mean(axis=0)
    rays = mesh.vertices - middle
    directions = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    bump = height * np.exp(-(np.arccos(np.clip(directions @ [0.6, 0.0, 0.8], -1, 1)) ** 2) / (2 * 0.35**2))
    return TriangleMesh(mesh.vertices + bump[:, None] * directions, mesh.faces)


def energy(result: FitResult) -> float:
    """Dirichlet energy of the vertices' latents."""
    local = result.state.local
    assert local is not None
    return float(dirichlet_energy(torch.from_numpy(local), uniform_laplacian(icosphere(result.state.level))))


@pytest.fixture(scope="module")
def prior(ellipsoid_prior: ShapePrior) -> ShapePrior:
    return ellipsoid_prior


@pytest.fixture(scope="module")
def truth(prior: ShapePrior) -> TriangleMesh:
    return decoded(prior, LATENT)


# --- the pose -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_known_pose_is_kept(task: str, prior: ShapePrior, truth: TriangleMesh) -> None:
    result = fit(prior, observed(task, truth), settings=quick(task), pose=POSE)
    assert result.state.pose.scale == POSE.scale
    assert np.array_equal(result.state.pose.translation, POSE.translation)
    assert np.array_equal(result.state.pose.rotation, np.eye(3))
    assert distance(result.mesh, truth) < 4.0


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_pose_is_found(task: str, prior: ShapePrior) -> None:
    # Far from the origin and larger than the training shapes' mean.
    pose = Pose(125.0, np.array([-210.0, 340.0, -95.0]))
    truth = decoded(prior, LATENT, pose)
    result = fit(prior, observed(task, truth), settings=quick(task))
    assert distance(result.mesh, truth) < 5.0
    assert result.mesh.volume == pytest.approx(truth.volume, rel=0.08)
    assert np.abs(result.state.pose.translation - pose.translation).max() < 12.0
    assert np.array_equal(result.state.pose.rotation, np.eye(3))


def test_rotation_is_found_where_it_is_allowed(prior: ShapePrior) -> None:
    angle = math.radians(20)
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    truth = decoded(prior, torch.tensor([0.8, -1.0, 0.0]), Pose(100.0, np.zeros(3), turn))
    settings = quick("points", lambda_dir=math.inf, shared_steps=30)
    straight, turned = (
        distance(fit(prior, points_on(truth), settings=settings.changed(rotating=rotating)).mesh, truth)
        for rotating in (False, True)
    )
    assert turned < 4.0
    assert turned < 0.8 * straight


# --- the seed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_bits(task: str, prior: ShapePrior, truth: TriangleMesh) -> None:
    settings = quick(task, shared_steps=12, local_steps=4)
    first, second = (fit(prior, observed(task, truth), settings=settings) for _ in range(2))
    assert np.array_equal(first.mesh.vertices, second.mesh.vertices)
    assert first.task_loss == second.task_loss
    assert np.array_equal(first.state.shared, second.state.shared)


def test_another_seed_gives_other_bits_and_almost_the_same_shape(prior: ShapePrior, truth: TriangleMesh) -> None:
    first, second = (fit(prior, observed("points", truth), settings=points_by_adam(seed=seed)) for seed in (0, 1))
    assert not np.array_equal(first.mesh.vertices, second.mesh.vertices)
    assert np.linalg.norm(first.mesh.vertices - second.mesh.vertices, axis=1).mean() < 4.0


def test_a_fit_leaves_the_global_source_of_randomness_and_the_weights_alone(
    prior: ShapePrior, truth: TriangleMesh
) -> None:
    before = [p.clone() for p in prior.decoder.parameters()]
    state = torch.get_rng_state()
    fit(prior, points_on(truth), settings=quick("points", shared_steps=5, local_steps=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, prior.decoder.parameters(), strict=True))


# --- one latent, or one for every vertex --------------------------------------------------------


def test_an_infinite_weight_keeps_one_latent_for_all_vertices(prior: ShapePrior, truth: TriangleMesh) -> None:
    result = fit(prior, points_on(truth), settings=quick("points", lambda_dir=math.inf))
    assert result.state.local is None
    np.testing.assert_allclose(
        result.mesh.vertices,
        decoded(prior, torch.from_numpy(result.state.shared), result.state.pose, level=2).vertices,
        atol=1e-2,
    )


def test_a_larger_weight_gives_smoother_latents(prior: ShapePrior, truth: TriangleMesh) -> None:
    observation = points_on(with_bump(truth))
    settings = points_by_adam(local_steps=60)
    results = [
        fit(prior, observation, settings=settings.changed(lambda_dir=weight), pose=POSE) for weight in (0.0, 0.01, 10.0)
    ]
    energies = [energy(result) for result in results]
    assert energies[0] > 2 * energies[1] > 4 * energies[2] > 0


def test_free_vertices_follow_what_no_single_latent_can(prior: ShapePrior, truth: TriangleMesh) -> None:
    bumpy = with_bump(truth)
    settings = quick("points", level=3, local_steps=20)
    single, free = (
        fit(prior, points_on(bumpy, 2500), settings=settings.changed(lambda_dir=weight), pose=POSE)
        for weight in (math.inf, 0.001)
    )
    assert free.task_loss < 0.8 * single.task_loss
    assert distance(free.mesh, bumpy) < distance(single.mesh, bumpy)


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_one_decoder_serves_every_level(level: int, prior: ShapePrior, truth: TriangleMesh) -> None:
    settings = quick("segmentation", level=level, shared_steps=40)
    result = fit(prior, segmentation_of(truth), settings=settings)
    assert len(result.mesh.vertices) == 10 * 4**level + 2
    assert result.mesh.is_closed
    assert result.mesh.volume > 0
    if level > 1:
        assert distance(result.mesh, truth) < 5.0


# --- telling the caller -------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["known pose", "unknown pose"])
@pytest.mark.parametrize("task", TASKS)
def test_the_callback_hears_of_every_step(task: str, known: bool, prior: ShapePrior, truth: TriangleMesh) -> None:
    told: list[FitStep] = []
    settings = quick(task, shared_steps=9, local_steps=3)
    result = fit(prior, observed(task, truth), settings=settings, pose=POSE if known else None, on_step=told.append)
    assert [status.step for status in told] == list(range(1, result.steps + 1))
    assert {status.total for status in told} == {result.steps}
    stages = [status.stage for status in told]
    assert stages == sorted(stages, key=("shared", "local").index)
    assert ("local" in stages) == (not settings.single_latent)


def test_a_single_latent_has_no_local_stage(prior: ShapePrior, truth: TriangleMesh) -> None:
    told: list[FitStep] = []
    settings = quick("segmentation", lambda_dir=math.inf, shared_steps=7)
    fit(prior, segmentation_of(truth), settings=settings, on_step=told.append)
    assert [status.stage for status in told] == ["shared"] * 7
    assert told[-1].total == 7


def test_several_starts_are_counted_too(prior: ShapePrior, truth: TriangleMesh) -> None:
    told: list[FitStep] = []
    settings = by_adam(shared_steps=12, local_steps=3, initial_scales=(0.9, 1.0, 1.2), initial_shapes=2)
    result = fit(prior, contours_of(truth), settings=settings, on_step=told.append)
    assert len(told) == result.steps == told[-1].step == told[-1].total
    assert result.steps > settings.total_steps


def test_several_starts_are_no_worse_than_one(prior: ShapePrior, truth: TriangleMesh) -> None:
    observation = contours_of(truth, offsets=(35.0, -25.0, 20.0))
    settings = by_adam(shared_steps=45)
    one, several = (
        fit(prior, observation, settings=settings.changed(initial_scales=starts))
        for starts in ((0.6,), (0.6, 1.0, 1.3))
    )
    assert several.task_loss * several.state.pose.scale**2 < 1.2 * one.task_loss * one.state.pose.scale**2
    assert distance(several.mesh, truth) < 10.0


@pytest.mark.parametrize("known", [True, False], ids=["known pose", "unknown pose"])
def test_the_status_shows_the_surface_in_patient_millimetres(
    known: bool, prior: ShapePrior, truth: TriangleMesh
) -> None:
    seen: list[tuple[TriangleMesh, float]] = []

    def watch(status: FitStep) -> None:
        seen.append((status.mesh(), status.loss_mm()))

    settings = quick("points", shared_steps=40, local_steps=5, level=3)
    result = fit(prior, points_on(truth), settings=settings, pose=POSE if known else None, on_step=watch)
    first, last = seen[0][0], seen[-1][0]
    assert len(first.vertices) == 162  # the level of the stage
    assert len(last.vertices) == 642
    assert len(result.mesh.vertices) == 2562
    assert np.abs(first.vertices.mean(axis=0) - truth.vertices.mean(axis=0)).max() < 25.0
    assert np.linalg.norm(last.vertices - result.mesh.vertices[:642], axis=1).max() < 5.0
    assert all(0.0 < loss < 100.0 for _, loss in seen)
    assert seen[-1][1] < seen[0][1]


@pytest.mark.parametrize("at", [1, 14])
def test_the_callback_can_cancel(at: int, prior: ShapePrior, truth: TriangleMesh) -> None:
    steps = []

    def cancel(status: FitStep) -> bool:
        steps.append(status.step)
        return status.step < at

    with pytest.raises(FitCancelledError, match="cancelled"):
        fit(prior, points_on(truth), settings=quick("points", shared_steps=10, local_steps=10), on_step=cancel)
    assert steps[-1] == at


def test_an_error_in_the_callback_ends_the_fit(prior: ShapePrior, truth: TriangleMesh) -> None:
    def fail(status: FitStep) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(prior, points_on(truth), settings=quick("points"), on_step=fail)


# --- what is wrong in a segmentation ------------------------------------------------------------


def test_a_leak_weighs_less_than_in_squared_distances(prior: ShapePrior, truth: TriangleMesh) -> None:
    clean = segmentation_of(truth).label_map
    centre = truth.vertices[np.argmax(truth.vertices[:, 0])]
    ijk = np.argwhere(np.ones(clean.array.shape, dtype=bool))[:, ::-1]
    points = ijk @ clean.ijk_to_ras[:3, :3].T + clean.ijk_to_ras[:3, 3]
    ball = (np.linalg.norm(points - centre, axis=1) < 25).reshape(clean.array.shape)
    leaking = Segmentation(clean.with_array(clean.array | ball))

    def error(given: Segmentation, **options: object) -> float:
        return distance(fit(prior, given, settings=quick("segmentation", local_steps=40, **options)).mesh, truth)

    undamaged, trusting = error(Segmentation(clean)), error(leaking, robust_scale=10.0)
    assert trusting > undamaged + 0.3
    assert error(leaking) < undamaged + 0.75 * (trusting - undamaged)


def test_uncertain_boundaries_weigh_less(prior: ShapePrior, truth: TriangleMesh) -> None:
    clean = segmentation_of(truth).label_map
    right = marked_points(clean)[:, 0] > truth.vertices[:, 0].max() - 12
    wrong = clean.array.copy()
    wrong[tuple(np.argwhere(clean.array)[right].T)] = False  # the right end is missing
    sure = wrong.astype(np.float32)
    x = np.arange(clean.array.shape[2]) * clean.spacing[0] + clean.ijk_to_ras[0, 3]
    fading = np.clip((truth.vertices[:, 0].max() - x) / 60, 0, 1).astype(np.float32)
    unsure = np.minimum(sure, 0.5) + (sure * fading - np.minimum(sure * fading, 0.5))

    def error(probabilities: np.ndarray) -> float:
        given = Segmentation(clean.with_array(wrong), probabilities)
        return distance(fit(prior, given, settings=quick("segmentation")).mesh, truth)

    assert error(unsure) < error(sure)


def test_coarse_templates_bring_the_fine_one_nearer_in_as_many_steps(prior: ShapePrior, truth: TriangleMesh) -> None:
    given, rough = segmentation_of(truth), {"level": 3, "local_steps": 16, "shared_steps": 5}
    fine = fit(prior, given, settings=quick("segmentation", level_shares=(1.0,), **rough))
    both = fit(prior, given, settings=quick("segmentation", level_shares=(0.75, 0.25), **rough))
    assert both.steps == fine.steps == 21
    assert len(both.mesh.vertices) == len(fine.mesh.vertices)
    assert both.state.local is not None
    assert both.state.local.shape == fine.state.local.shape
    assert both.task_loss < fine.task_loss


def test_a_smooth_field_has_about_a_quarter_of_the_energy_on_the_next_level() -> None:
    # What `lambda_dir` is divided by on coarse levels: L z falls to a quarter, the vertices become four times as many.
    energies = []
    for level in (3, 4):
        template = icosphere(level)
        x, y, z = torch.as_tensor(template.vertices).unbind(dim=1)
        field = torch.stack([x * y, z**2, x + y * z], dim=1)
        energies.append(dirichlet_energy(field, uniform_laplacian(template).double()).item())
    assert energies[0] / energies[1] == pytest.approx(4.0, rel=0.3)  # faces are not all alike


# --- going on from an earlier fit ---------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_warm_start_takes_fewer_steps_and_is_no_worse(task: str, prior: ShapePrior, truth: TriangleMesh) -> None:
    observation = observed(task, truth)
    settings = quick(task)
    cold = fit(prior, observation, settings=settings)
    warm = fit(prior, observation, settings=settings, start=cold.state)
    assert warm.steps < cold.steps
    assert warm.task_loss < 1.1 * cold.task_loss + 1e-5
    assert distance(warm.mesh, truth) < distance(cold.mesh, truth) + 1.0


def test_a_warm_start_follows_an_edited_contour(prior: ShapePrior, truth: TriangleMesh) -> None:
    start = fit(prior, contours_of(truth), settings=quick("contours")).state
    moved = TriangleMesh(truth.vertices * 1.05 + np.array([6.0, 0.0, -4.0]), truth.faces)
    result = fit(prior, contours_of(moved), settings=quick("contours", lambda_dir=math.inf), start=start)
    assert distance(result.mesh, moved) < 5.0


@pytest.mark.parametrize(("coarse", "fine"), [(1, 3), (3, 2), (2, 1)])
def test_a_warm_start_may_come_from_another_level(
    coarse: int, fine: int, prior: ShapePrior, truth: TriangleMesh
) -> None:
    observation = points_on(truth)
    cold = fit(prior, observation, settings=quick("points", level=coarse))
    warm = fit(prior, observation, settings=quick("points", level=fine), start=cold.state)
    assert cold.state.level == coarse
    assert warm.state.level == fine
    assert warm.state.local is not None
    assert len(warm.state.local) == 10 * 4**fine + 2
    assert len(warm.mesh.vertices) == 10 * 4 ** (fine + 1) + 2
    assert distance(warm.mesh, truth) < (5.0 if fine > 1 else 15.0)


def test_a_warm_start_does_not_change_the_state_it_came_from(prior: ShapePrior, truth: TriangleMesh) -> None:
    observation = points_on(truth)
    state = fit(prior, observation, settings=quick("points", shared_steps=15)).state
    copy = FitState(
        Pose(state.pose.scale, state.pose.translation.copy()), state.shared.copy(), state.local.copy(), state.level
    )
    fit(prior, observation, settings=quick("points", shared_steps=15), start=state)
    assert np.array_equal(state.shared, copy.shared)
    assert np.array_equal(state.local, copy.local)
    assert state.pose.scale == copy.pose.scale
    assert np.array_equal(state.pose.translation, copy.pose.translation)


def test_the_progress_of_a_warm_start_ends_at_the_end(prior: ShapePrior, truth: TriangleMesh) -> None:
    observation = points_on(truth)
    told: list[FitStep] = []
    state = fit(prior, observation, settings=quick("points", shared_steps=12, local_steps=4)).state
    fit(
        prior,
        observation,
        settings=quick("points", shared_steps=12, local_steps=4),
        start=state,
        on_step=told.append,
    )
    assert told[-1].step == told[-1].total


# --- settings -----------------------------------------------------------------------------------


def test_a_result_states_what_made_it(prior: ShapePrior, truth: TriangleMesh) -> None:
    settings = quick("segmentation", shared_steps=5)
    result = fit(prior, segmentation_of(truth), settings=settings)
    assert result.settings == settings
    assert result.device == "cpu"
    assert result.steps == settings.total_steps
    assert result.seconds > 0
    assert result.task_loss > 0


@pytest.mark.parametrize(
    ("task", "lambda_reg", "lambda_dir"),
    [("points", 1e-3, 0.2), ("contours", 1e-2, 100.0), ("segmentation", 0.0, math.inf)],
)
def test_the_papers_constants(task: str, lambda_reg: float, lambda_dir: float) -> None:
    paper = kind_named(task).paper
    assert (paper.lambda_reg, paper.lambda_dir, paper.power) == (lambda_reg, lambda_dir, 2)
    assert paper.total_steps == 250
    assert paper.shared_steps == (0 if math.isfinite(lambda_dir) else 250)
    assert (paper.lambda_prior, paper.lambda_scale) == (0.0, 0.0)
    assert (paper.initial_scales, paper.initial_shapes) == ((1.0,), 0)
    assert (paper.points, paper.points_per_plane) == (2_500, 5_000)
    assert math.isinf(paper.robust_scale)
    assert paper.level == 4


@pytest.mark.parametrize("task", TASKS)
def test_the_papers_learning_rate(task: str) -> None:
    paper = kind_named(task).paper
    assert (paper.shared_rate, paper.local_rate, paper.pose_rate) == (1e-3, 1e-3, 1e-3)
    assert not paper.decaying
    assert not paper.whitened  # Adam steps in the latent's own coordinates


def test_the_papers_plain_loop_runs(prior: ShapePrior, truth: TriangleMesh) -> None:
    settings = kind_named("points").paper.changed(level=2, local_steps=10, points=300)
    result = fit(prior, points_on(truth), settings=settings, pose=POSE)
    assert result.steps == 10
    np.testing.assert_allclose(result.state.shared, prior.latent_mean.numpy(), rtol=1e-5, atol=1e-6)
    assert result.state.local is not None


@pytest.mark.parametrize("task", TASKS)
def test_default_settings_belong_to_the_task(
    task: str, prior: ShapePrior, truth: TriangleMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    observation = observed(task, truth)
    assert observation.kind == task
    monkeypatch.setattr(type(observation), "defaults", quick(task, shared_steps=3, local_steps=1))
    assert fit(prior, observation).settings == weighed(kind_named(task).defaults, observation)


def test_changed_keeps_what_is_none_and_refuses_what_is_unknown() -> None:
    settings = kind_named("contours").defaults
    assert settings.changed(seed=None, level=None) == settings
    changed = settings.changed(seed=3, level=2, rotating=False)
    assert (changed.seed, changed.level, changed.rotating) == (3, 2, False)
    assert settings.seed == 0  # the original stays
    assert settings.changed(seed=0) == settings  # 0 is no None
    with pytest.raises(InputError, match="no setting 'colour'"):
        settings.changed(colour="red")


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FitSettings().seed = 1  # type: ignore[misc]


def test_points_may_be_few(prior: ShapePrior, truth: TriangleMesh) -> None:
    few: FloatArray = points_on(truth, 12).points
    result = fit(prior, PointCloud(few), settings=quick("points", shared_steps=30))
    assert np.isfinite(result.mesh.vertices).all()
