"""The implicit systems of the comparison: short trainings of small networks on ellipsoids."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

pytest.importorskip("igl")

from benchmarks.systems import trained
from benchmarks.systems.auto_decoder import AutoDecoderSettings, ImplicitDecoder, Status, train
from benchmarks.systems.deepsdf import DeepSdf, quick_dropout
from benchmarks.systems.dual_mlp import DualMlp, interpolated
from benchmarks.systems.evidence import evidence_of
from benchmarks.systems.implicit import ImplicitFitSettings, ImplicitSystem
from benchmarks.systems.isosurface import surface_of
from benchmarks.systems.sdf_samples import SampleBank, SampleSettings, sample_bank, signed_distances
from benchmarks.systems.siren import Siren

from dals.dataset.normalisation import NormalisedShape, canonical
from dals.errors import DatasetError
from dals.evaluation.metrics import compare, sample_points
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import TriangleMesh
from dals.model.pose import Pose
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours, PointCloud

POSE = Pose(120.0, np.array([10.0, -20.0, 30.0]))
AXES = np.array([0.9, 0.7, 0.5])
SEMI_AXES = AXES * np.exp(0.2 * np.random.default_rng(0).standard_normal((16, 3)))
LEFT_OUT = AXES * np.exp([-0.1, 0.15, 0.1])

DECODERS: dict[str, Callable[[], ImplicitDecoder]] = {
    "DeepSDF": partial(DeepSdf, latent_size=8, width=96, layers=4, dropout=0.0),
    "SIREN": partial(Siren, latent_size=8, width=64, layers=3, omega=10.0, first_omega=6.0),
    "DUAL-MLP global": partial(DualMlp, latent_size=8, width=64, layers=3, omega=10.0, first_omega=6.0),
    "DUAL-MLP local": partial(DualMlp, latent_size=4, width=48, layers=3, grid=3, omega=10.0, first_omega=6.0),
}
TRAINING = AutoDecoderSettings(
    points=64, learning_rate=3e-3, latent_learning_rate=1e-2, warm_up=20, latent_deviation=0.1, bfloat16=False
)
FITTING = ImplicitFitSettings(steps=100, learning_rate=0.2, on_surface=192, off_surface=192, prior=1e-4)
TOLERANCE_MM = 4.0  # mean distance; the ellipsoid is some 200 mm long


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ellipsoid(semi_axes: np.ndarray, name: str = "") -> NormalisedShape:
    template = icosphere(4)
    return canonical(TriangleMesh(template.vertices * semi_axes, template.faces), name=name)


@pytest.fixture(scope="module")
def bank() -> SampleBank:
    shapes = [ellipsoid(semi_axes, f"ellipsoid {k}") for k, semi_axes in enumerate(SEMI_AXES)]
    return sample_bank(shapes, SampleSettings(samples=4_000))


@pytest.fixture(scope="module")
def truth() -> TriangleMesh:
    mesh = ellipsoid(LEFT_OUT).mesh
    return TriangleMesh(POSE.to_patient(mesh.vertices), mesh.faces)


@pytest.fixture(scope="module")
def points(truth: TriangleMesh) -> PointCloud:
    return PointCloud(sample_points(truth, 2_500, np.random.default_rng(1)))


@pytest.fixture(scope="module")
def planes(truth: TriangleMesh) -> PlanarContours:
    centre = np.asarray(POSE.translation) + np.array([3.0, -2.0, 1.0])
    loops = [loop for axis in np.eye(3) for loop in section_loops(truth, centre, axis)]
    return PlanarContours(tuple(Contour(loop) for loop in loops))


@pytest.mark.parametrize("name", DECODERS)
def test_reconstructs_an_ellipsoid_that_it_was_not_trained_on(name, bank, truth, points, planes):
    torch.manual_seed(0)
    decoder = DECODERS[name]()
    latents = train(decoder, bank, TRAINING, steps=300)
    system = ImplicitSystem(name, decoder, latents, for_points=FITTING, for_planes=FITTING, grid=48, bfloat16=False)
    mean = TriangleMesh(POSE.to_patient((found := system.surface(system.mean)).vertices), found.faces)
    before = compare(mean, truth, samples=5_000, self_intersections=False).mean_distance
    for observation in (points, planes):
        mesh = system.fit(observation, pose=POSE)
        assert mesh.is_closed
        assert mesh.volume > 0
        assert compare(mesh, truth, samples=5_000, self_intersections=False).mean_distance < min(TOLERANCE_MM, before)


def test_the_evidence_holds_for_the_true_surface(truth, points, planes):
    canonical_truth = TriangleMesh(POSE.to_canonical(truth.vertices), truth.faces)
    for observation in (points, planes):
        surface, off_surface = evidence_of(observation, POSE, np.random.default_rng(0))
        assert np.abs(signed_distances(canonical_truth, surface.points.double().numpy())).max() < 2e-3
        true = signed_distances(canonical_truth, off_surface.points.double().numpy())
        violation = np.maximum(off_surface.lower.numpy() - true, true - off_surface.upper.numpy())
        assert np.quantile(violation, 0.99) < 5e-3
        assert 0.2 < (true < 0).mean() < 0.8


def test_a_ring_on_a_plane_is_hollow():
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    rings = [Contour(radius * circle) for radius in (80.0, 40.0)]
    across = [Contour(60.0 * np.array([side, 0, 0]) + 20.0 * circle[:, [0, 2, 1]]) for side in (1.0, -1.0)]
    _, bounds = evidence_of(PlanarContours((*rings, *across)), Pose(100.0, np.zeros(3)), np.random.default_rng(0))
    found = bounds.points.numpy()
    flat = np.abs(found[:, 2]) < 1e-6
    radius = np.linalg.norm(found[flat, :2], axis=1)
    inside = bounds.lower.numpy()[flat] < 0
    clear = (np.abs(radius - 0.8) > 0.01) & (np.abs(radius - 0.4) > 0.01)
    assert np.array_equal(inside[clear], ((radius > 0.4) & (radius < 0.8))[clear])


def test_samples_have_the_distance_of_their_place_and_are_kept(tmp_path):
    settings = SampleSettings(samples=1_000, variants=2, variant_samples=500)
    shape, computed = ellipsoid(AXES, "ellipsoid"), []
    banks = [sample_bank([shape], settings, folder=tmp_path, on_shape=computed.append) for _ in range(2)]
    assert computed == ["ellipsoid"]
    assert banks[0].digest == banks[1].digest
    assert (len(banks[0]), banks[0].real) == (3, 1)
    points, distances = banks[1].draw(torch.tensor([0, 2]), 200, generator=torch.Generator().manual_seed(0))
    true = signed_distances(shape.mesh, points[0].double().numpy())
    assert np.abs(distances[0].numpy() - true).max() < 1e-3
    warped = signed_distances(shape.mesh, points[1].double().numpy())
    assert np.abs(distances[1].numpy() - warped).max() > 1e-2


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path, bank):
    class KilledError(Exception):
        pass

    def kill(status: Status) -> None:
        if status.step >= 10:
            raise KilledError

    def made() -> ImplicitDecoder:
        torch.manual_seed(0)
        return DeepSdf(latent_size=4, width=32, layers=4)

    whole = train(made(), bank, TRAINING, steps=20)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KilledError):
        train(made(), bank, TRAINING, steps=20, checkpoint=checkpoint, on_status=kill, save_every=0.0)
    statuses: list[Status] = []
    resumed = train(made(), bank, TRAINING, steps=20, checkpoint=checkpoint, on_status=statuses.append)
    assert min(status.step for status in statuses) > 5
    torch.testing.assert_close(resumed, whole)
    with pytest.raises(DatasetError, match="other settings"):
        train(made(), bank, AutoDecoderSettings(points=64), steps=20, checkpoint=checkpoint)


def test_weights_are_read_as_they_were_written(tmp_path, monkeypatch, bank):
    small = trained.Recipe(DECODERS["SIREN"], TRAINING, SampleSettings(samples=500), FITTING, FITTING)
    monkeypatch.setitem(trained.RECIPES, "SIREN", small)
    path = trained.weights_path("SIREN", organ="liver", quick=True, folder=tmp_path)
    path.parent.mkdir(parents=True)
    shapes = [ellipsoid(semi_axes, f"ellipsoid {k}") for k, semi_axes in enumerate(SEMI_AXES[:3])]
    made = {}

    def remembered(decoder: ImplicitDecoder, *arguments: object, **options: object) -> torch.Tensor:
        made["decoder"], made["latents"] = decoder, train(decoder, *arguments, **options)
        return made["latents"]

    monkeypatch.setattr(trained, "train", remembered)
    trained.train_system("SIREN", shapes, path, minutes=0.01, samples=None)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    read = trained.load_system("SIREN", path)
    queries = torch.rand(1, 10, 3)
    torch.testing.assert_close(read.mean, made["latents"][:3].mean(dim=0))
    torch.testing.assert_close(read.decoder(read.mean[None], queries), made["decoder"](read.mean[None], queries))
    assert trained.trained_minutes("SIREN", path) == 0.01
    with pytest.raises(DatasetError, match="another system"):
        trained.load_system("DeepSDF", path)
    monkeypatch.setitem(trained.RECIPES, "SIREN", replace(small, training=replace(TRAINING, points=32)))
    with pytest.raises(DatasetError, match="other settings"):
        trained.load_system("SIREN", path)


def test_the_surface_is_that_of_the_whole_grid():
    evaluated = []

    def field(places: np.ndarray) -> np.ndarray:
        evaluated.append(len(places))
        return (np.linalg.norm(places - [0.1, 0.0, -0.2], axis=1) - 0.6).astype(np.float32)

    mesh = surface_of(field, cells=60)
    assert mesh.is_closed
    assert mesh.euler_characteristic == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=0.01)
    assert np.abs(np.linalg.norm(mesh.vertices - [0.1, 0.0, -0.2], axis=1) - 0.6).max() < 1e-3
    assert sum(evaluated) < 0.3 * 61**3


def test_a_field_without_zero_has_no_surface():
    assert len(surface_of(lambda places: np.ones(len(places), dtype=np.float32), cells=12).faces) == 0


def test_latents_of_a_grid_are_found_at_their_nodes():
    latents = torch.randn(1, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    found = interpolated(latents, torch.tensor([[[-1.0, 0.0, 1.0], [-1.0, 0.5, 1.0]]]))
    torch.testing.assert_close(found[0, 0], latents[0, :, 0, 1, 2])
    torch.testing.assert_close(found[0, 1], 0.5 * (latents[0, :, 0, 1, 2] + latents[0, :, 0, 2, 2]))


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    found = quick_dropout(torch.ones(100, 999), 0.2)
    assert (found == 0).float().mean() == pytest.approx(0.2, abs=0.01)
    assert found.mean() == pytest.approx(1.0, abs=0.01)
