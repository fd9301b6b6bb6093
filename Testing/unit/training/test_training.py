"""Training on a handful of ellipsoids with a tiny decoder: seconds, not hours."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOImage import vtkPNGReader

from dals.cli import main
from dals.cli.train import _duration
from dals.dataset.normalisation import NormalisedShape
from dals.dataset.storage import shape_path, write_index, write_shape
from dals.demo.offscreen import can_render
from dals.demo.prior_picture import draw_prior
from dals.errors import DatasetError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.io.label_maps import write_label_map
from dals.model.decoder import Decoder, DecoderSettings
from dals.model.prior import ShapePrior, load_prior, prior_digest
from dals.model.template import icosphere
from dals.training import TrainingReport, TrainingSettings, Watcher, train
from dals.training.assembly import assembled_prior
from dals.training.augmentation import PointWolfSettings
from dals.training.checkpoint import TrainingProgress
from dals.training.logs import TrainingLog
from dals.training.loop import _Trainer
from dals.training.reports import EpochStatus, StepStatus
from dals.training.shapes import ShapeBank, descriptor_latents
from dals.training.timing import TrainingClock

CPU = torch.device("cpu")
PACKAGE = Path(__file__).resolve().parents[3] / "DALSRefine"
TINY = TrainingSettings(
    decoder=DecoderSettings(latent_size=4, hidden_sizes=(24, 16)),
    variants=1,
    template_level=1,
    points=60,
    batch_size=2,
    epochs=4,
    precision="float32",
)


class Killed(BaseException):
    """The end of a process, as far as a test in the same process can have it."""


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its import takes longer than these trainings."""
    monkeypatch.setattr("dals.training.logs._tensorboard", lambda folder: None)


def ellipsoid(*radii: float) -> TriangleMesh:
    template = icosphere(3)
    return TriangleMesh(template.vertices * radii, template.faces)


@pytest.fixture(scope="module")
def meshes() -> list[TriangleMesh]:
    return [ellipsoid(1.0, 0.8, 0.6), ellipsoid(0.95, 0.6, 0.7), ellipsoid(1.0, 0.5, 0.5)]


@pytest.fixture(scope="module")
def dataset(meshes: list[TriangleMesh], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `dals prepare` makes it."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "shapes").mkdir()
    names = [f"case{index}" for index in range(4)]
    for name, mesh in zip(names, [*meshes, meshes[0]], strict=True):
        write_shape(NormalisedShape(name, mesh, np.zeros(3), 100.0, 1.0), shape_path(folder, name))
    write_index(folder, names, {})
    return folder


def run(meshes: list[TriangleMesh], folder: Path, settings: TrainingSettings = TINY, **options: Any) -> TrainingReport:
    watched = {name: options.pop(name) for name in ("on_epoch", "on_start", "on_step", "on_set_up") if name in options}
    return train(meshes, settings=settings, folder=folder, device=CPU, watcher=Watcher(**watched), **options)


def trainer_of(meshes: list[TriangleMesh], folder: Path, settings: TrainingSettings) -> _Trainer:
    return _Trainer(meshes, settings=settings, folder=folder, device=CPU, timing=TrainingClock())


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def same_weights(a: TrainingReport, b: TrainingReport) -> bool:
    pairs = zip(a.decoder.parameters(), b.decoder.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs) and torch.equal(a.latents, b.latents)


def killing_after(epoch: int) -> Callable[[EpochStatus], None]:
    def kill(status: EpochStatus) -> None:
        if status.epoch == epoch:
            raise Killed

    return kill


# --- learning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_goes_down(precision: str, meshes: list[TriangleMesh], tmp_path: Path) -> None:
    told: list[EpochStatus] = []
    settings = TINY.changed(epochs=40, points=100, template_level=2, precision=precision)
    report = run(meshes, tmp_path, settings, on_epoch=told.append)
    assert [status.epoch for status in told] == list(range(1, 41))
    losses = [status.loss for status in told]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert all(0 < status.chamfer <= status.loss for status in told)
    assert told[-1].fraction == 1.0
    assert report.finished


def test_a_report_holds_what_a_prior_needs(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    report = run(meshes, tmp_path, TINY.changed(variants=2))
    assert report.latents.shape == (3, 4)
    assert not report.decoder.training
    assert report.progress.epoch == 4
    assert report.progress.step == 4 * (9 // 2)
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in report.decoder.parameters())


def test_the_same_seed_gives_the_same_weights(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    first, second, other = (
        run(meshes, tmp_path / name, TINY.changed(seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert same_weights(first, second)
    assert not same_weights(first, other)


def test_one_shape_is_not_enough(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least two"):
        run(meshes[:1], tmp_path)


# --- interruptions ------------------------------------------------------------------------------


@pytest.mark.parametrize("killed", [1, 3])
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_killed_run_ends_where_an_uninterrupted_one_does(
    schedule: str, killed: int, meshes: list[TriangleMesh], tmp_path: Path
) -> None:
    settings = TINY.changed(schedule=schedule, patience=0)
    whole = run(meshes, tmp_path / "whole", settings)
    with pytest.raises(Killed):
        run(meshes, tmp_path / "killed", settings, on_epoch=killing_after(killed))
    told: list[int] = []
    resumed = run(meshes, tmp_path / "killed", settings, on_epoch=lambda status: told.append(status.epoch))
    assert told == list(range(killed + 1, 5))
    assert same_weights(whole, resumed)
    assert resumed.progress.learning_rate == whole.progress.learning_rate
    compared = ("epoch", "step", "loss", "chamfer", "reg", "norm", "learning_rate")
    expected, found = ([[row[name] for name in compared] for row in rows_of(tmp_path / f)] for f in ("whole", "killed"))
    assert expected == found
    assert len(found) == 4


def test_a_run_killed_within_an_epoch_loses_no_more_than_that(
    meshes: list[TriangleMesh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(meshes, tmp_path / "whole")
    step, steps = _Trainer._step, []

    def dying_step(trainer: _Trainer) -> torch.Tensor:
        steps.append(trainer.progress.step)
        if len(steps) == 8:  # the second step of the third epoch
            raise Killed
        return step(trainer)

    monkeypatch.setattr(_Trainer, "_step", dying_step)
    with pytest.raises(Killed):
        run(meshes, tmp_path / "killed")
    monkeypatch.undo()
    told: list[int] = []
    resumed = run(meshes, tmp_path / "killed", on_epoch=lambda status: told.append(status.epoch))
    assert told == [3, 4]
    assert same_weights(whole, resumed)
    assert [row["epoch"] for row in rows_of(tmp_path / "killed")] == ["1", "2", "3", "4"]


def test_a_checkpoint_within_an_epoch_resumes_at_its_step(
    meshes: list[TriangleMesh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(meshes, tmp_path / "whole")
    monkeypatch.setattr("dals.training.loop._CHECKPOINT_SECONDS", -1.0)  # after each step
    step, steps = _Trainer._step, []

    def dying_step(trainer: _Trainer) -> torch.Tensor:
        if len(steps) == 8:
            raise Killed
        steps.append(trainer.progress.step)
        return step(trainer)

    monkeypatch.setattr(_Trainer, "_step", dying_step)
    with pytest.raises(Killed):
        run(meshes, tmp_path / "killed")
    monkeypatch.setattr(_Trainer, "_step", step)
    resumed = run(meshes, tmp_path / "killed")
    assert steps == list(range(8))
    assert resumed.progress.step == whole.progress.step
    assert same_weights(whole, resumed)
    assert [row["epoch"] for row in rows_of(tmp_path / "killed")] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("victim", ["save_checkpoint", "write"])
def test_the_log_has_each_epoch_once_wherever_a_run_dies(
    victim: str, meshes: list[TriangleMesh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def dying(*_: Any, **__: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        original(*_, **__)

    owner: Any = sys.modules["dals.training.loop"] if victim == "save_checkpoint" else TrainingLog
    original = getattr(owner, victim)
    monkeypatch.setattr(owner, victim, dying)
    with pytest.raises(Killed):
        run(meshes, tmp_path)
    monkeypatch.undo()
    run(meshes, tmp_path)
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "2", "3", "4"]


def test_a_finished_run_started_again_changes_nothing(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    first = run(meshes, tmp_path)
    told: list[EpochStatus] = []
    again = run(meshes, tmp_path, on_epoch=told.append)
    assert told == []
    assert same_weights(first, again)
    assert len(rows_of(tmp_path)) == 4


def test_more_epochs_go_on_from_a_finished_run(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    run(meshes, tmp_path)
    report = run(meshes, tmp_path, TINY.changed(epochs=6))
    assert report.progress.epoch == 6
    assert [row["epoch"] for row in rows_of(tmp_path)] == [str(epoch) for epoch in range(1, 7)]


@pytest.mark.parametrize("what", ["settings", "data", "order"])
def test_a_checkpoint_of_another_run_is_refused(what: str, meshes: list[TriangleMesh], tmp_path: Path) -> None:
    run(meshes, tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    settings = TINY.changed(learning_rate=1e-3) if what == "settings" else TINY
    others = {"data": [ellipsoid(1, 1, 1), *meshes[1:]], "order": meshes[::-1]}.get(what, meshes)
    with pytest.raises(DatasetError, match="another data set or to other settings"):
        run(others, tmp_path, settings)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert len(rows_of(tmp_path)) == 4


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_checkpoint_is_refused(damage: str, meshes: list[TriangleMesh], tmp_path: Path) -> None:
    run(meshes, tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "garbage": b"x" * 500, "empty": b""}[damage])
    with pytest.raises(DatasetError, match="cannot be read"):
        run(meshes, tmp_path)


def test_tensorboard_gets_the_curves(
    meshes: list[TriangleMesh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = pytest.importorskip("torch.utils.tensorboard", reason="tensorboard is not installed")
    monkeypatch.setattr("dals.training.logs._tensorboard", lambda folder: board.SummaryWriter(str(folder / "tb")))
    run(meshes, tmp_path)
    assert sum(path.stat().st_size for path in (tmp_path / "tb").iterdir()) > 300


# --- time limit and schedules -------------------------------------------------------------------


def test_a_time_limit_ends_the_run_and_counts_over_all_starts(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    settings = TINY.changed(epochs=100_000)

    def limited(seconds: float) -> TrainingReport:
        ticks = itertools.count()  # a twentieth of a second between any two looks at the clock
        return run(meshes, tmp_path, settings, time_limit=seconds, clock=lambda: next(ticks) / 20)

    report = limited(2.0)
    assert not report.finished
    assert report.progress.step > 0
    assert 2.0 <= report.progress.seconds < 3.0
    again = limited(2.0)
    assert (again.progress.step, again.progress.seconds) == (report.progress.step, report.progress.seconds)
    longer = limited(report.progress.seconds + 2.0)
    assert longer.progress.step > report.progress.step
    epochs = [int(row["epoch"]) for row in rows_of(tmp_path)]
    assert epochs == list(range(1, longer.progress.epoch + 1))


def test_the_limit_is_of_the_clock_that_was_asked_for(
    meshes: list[TriangleMesh], dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(start=1000.0)
    report = run(meshes, tmp_path, TINY.changed(epochs=100_000), time_limit=100.0, clock=lambda: next(seconds))
    assert not report.finished
    assert 100 <= report.progress.seconds < 110
    assert 10 <= report.progress.step <= 100  # the clock is read once or more for each step
    clocks = []

    def stop(_: Any, *, clock: Callable[[], float], **__: Any) -> TrainingReport:
        clocks.append(clock)
        raise DatasetError("Far enough.")

    monkeypatch.setattr("dals.training.train", stop)
    for option in ([], ["--processor-time"]):
        assert main(["train", str(dataset), str(tmp_path / "x.safetensors"), "--device", "cpu", *option]) == 2
    assert clocks == [time.monotonic, time.process_time]


def test_the_set_up_counts(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    """It once took minutes before the first line, and beside the limit."""
    told: list[tuple[float, str]] = []
    ticks = itertools.count(100.0)
    report = run(
        meshes,
        tmp_path,
        TINY.changed(variants=40),
        time_limit=50.0,
        clock=lambda: next(ticks),
        started=0.0,  # a hundred seconds ago, when the data were read
        on_set_up=lambda share, text: told.append((share, text)),
    )
    assert report.progress.step == 0
    shares = [share for share, _ in told]
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1] < 1.0
    assert told[0][1] == "points of shape 1 of 3"
    assert any("starting latent of shape 65 of 123" in text for _, text in told)


def test_steps_are_told_with_the_time_left(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    starts: list[tuple[int, int]] = []
    steps: list[StepStatus] = []

    def on_start(progress: TrainingProgress, total: int) -> None:
        starts.append((progress.step, total))

    ticks = itertools.count()
    clock: Callable[[], float] = lambda: float(next(ticks))  # noqa: E731
    run(meshes, tmp_path, clock=clock, on_start=on_start, on_step=steps.append)
    assert [status.step for status in steps] == [*range(1, 13), 12]
    left = [status.seconds_left for status in steps]
    assert left[3] > left[8] > left[-1] == 0.0
    assert steps[5].fraction == 0.5
    assert all(math.isfinite(status.loss) for status in steps)
    run(meshes, tmp_path, TINY.changed(epochs=6), on_start=on_start)
    assert starts == [(0, 12), (12, 18)]


def test_the_state_is_examined_for_a_small_share_of_the_time(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    now, seen = [0.0], []

    def clock() -> float:
        now[0] += 3.0
        return now[0]

    def examine(decoder: Decoder, latents: torch.Tensor, progress: TrainingProgress) -> None:
        now[0] += 30.0
        with torch.no_grad():  # a copy: this must not disturb the training
            for parameter in decoder.parameters():
                parameter.zero_()
        seen.append((progress.step, len(latents)))

    settings = TINY.changed(epochs=100)
    watcher = Watcher(examine=examine)
    report = train(meshes, settings=settings, folder=tmp_path / "a", device=CPU, clock=clock, watcher=watcher)
    assert 0.03 < 30.0 * len(seen) / now[0] < 0.07
    assert {count for _, count in seen} == {3}
    assert same_weights(report, run(meshes, tmp_path / "b", settings))


def test_the_cosine_schedule_ends_with_the_time(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    ticks = itertools.count()
    report = run(meshes, tmp_path, TINY.changed(epochs=100_000), time_limit=20.0, clock=lambda: next(ticks) / 20)
    rates = [float(row["learning_rate"]) for row in rows_of(tmp_path)]
    assert rates == sorted(rates, reverse=True)
    assert report.progress.learning_rate < 0.1 * TINY.learning_rate


def test_the_plateau_schedule_halves_after_patience_down_to_the_minimum(
    meshes: list[TriangleMesh], tmp_path: Path
) -> None:
    settings = TINY.changed(schedule="plateau", patience=2, learning_rate=8e-3, min_learning_rate=1.5e-3)
    trainer = trainer_of(meshes, tmp_path, settings)
    losses = [5.0, 4.0, 4.0, 4.5, 4.1, 3.0, 3.0, 3.0, 3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]
    rates = []
    for loss in losses:
        trainer.progress.step += trainer.steps_per_epoch
        trainer._finish_epoch(torch.tensor([loss, loss, 0.0, 0.0]))
        rates.append(trainer.progress.learning_rate)
    # Epochs without improvement are 3 to 5, 7 to 9, 11 to 13 and 14 to 16: the third of each is one too many.
    assert rates == [8e-3] * 4 + [4e-3] * 4 + [2e-3] * 4 + [1.5e-3] * 5


def test_the_optimiser_takes_the_schedules_rate(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    settings = TINY.changed(schedule="plateau", warm_up=0)
    trainer = trainer_of(meshes, tmp_path, settings)
    trainer.progress.learning_rate = 1.25e-4
    trainer._set_learning_rate()
    assert {group["lr"] for group in trainer.optimiser.param_groups} == {1.25e-4}


def test_the_learning_rate_rises_first(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    trainer = trainer_of(meshes, tmp_path, TINY.changed(warm_up=4))
    rates = []
    for step in range(6):
        trainer.progress.step = step
        trainer._set_learning_rate()
        rates.append(trainer.optimiser.param_groups[0]["lr"] / trainer.progress.learning_rate)
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


# --- shapes and starting latents ----------------------------------------------------------------


def bank_of(meshes: list[TriangleMesh], variants: int = 3, **warp: float) -> ShapeBank:
    return ShapeBank(meshes, variants=variants, augmentation=PointWolfSettings(**warp), seed=0, device=CPU)


def test_items_address_shapes_and_their_warps() -> None:
    # Each is long along an axis of its own, which mild warps do not change.
    shapes = [ellipsoid(1.0, 0.4, 0.5), ellipsoid(0.4, 1.0, 0.5), ellipsoid(0.4, 0.5, 1.0)]
    bank = bank_of(shapes, variants=2, max_scale=1.2, max_shift=0.1)
    assert len(bank) == 9
    points = bank.draw(torch.arange(9), 500, generator=torch.Generator().manual_seed(0))
    assert points.shape == (9, 500, 3)
    assert points.std(dim=1).argmax(dim=1).tolist() == [0, 1, 2, 0, 0, 1, 1, 2, 2]
    for index, radii in enumerate([(1.0, 0.4, 0.5), (0.4, 1.0, 0.5), (0.4, 0.5, 1.0)]):
        level = (points[index] / torch.tensor(radii)).norm(dim=1)
        assert 0.97 < level.min() <= level.max() < 1 + 1e-5  # faces cut corners
    spread = points.std(dim=1)
    assert len({tuple(np.round(row, 4)) for row in spread.tolist()}) == 9  # no two warps are alike


def test_the_same_warp_comes_back_at_each_visit() -> None:
    bank = bank_of([ellipsoid(1.0, 0.8, 0.6), ellipsoid(1.0, 0.5, 0.5)])
    first, second = (
        bank.draw(torch.tensor([2, 3]), 4_000, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    assert not torch.equal(first, second)  # other points
    assert torch.allclose(first.mean(dim=1), second.mean(dim=1), atol=0.05)  # of the same surface
    assert torch.allclose(first.std(dim=1), second.std(dim=1), atol=0.05)


def test_a_bank_without_warps() -> None:
    bank = bank_of([ellipsoid(1.0, 0.8, 0.6), ellipsoid(1.0, 0.5, 0.5)], variants=0)
    assert len(bank) == 2
    assert bank.draw(torch.tensor([1, 0, 1]), 10, generator=torch.Generator()).shape == (3, 10, 3)


def test_training_without_warps(meshes: list[TriangleMesh], tmp_path: Path) -> None:
    report = run(meshes, tmp_path, TINY.changed(variants=0))
    assert report.latents.shape == (3, 4)
    assert report.finished


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_unwarped_shapes_have_their_share_of_visits(share: float, meshes: list[TriangleMesh], tmp_path: Path) -> None:
    settings = TINY.changed(variants=5, batch_size=18, real_share=share)
    trainer = trainer_of(meshes, tmp_path, settings)
    generator = torch.Generator().manual_seed(0)
    items = torch.cat([trainer._choose_items(generator) for _ in range(200)])
    assert items.min() >= 0
    assert items.max() < 18
    assert (items < 3).double().mean().item() == pytest.approx(share, abs=0.03)
    visited = set(items.tolist())
    assert visited == set(range(0 if share else 3, 3 if share == 1.0 else 18))


def test_alike_shapes_start_with_alike_latents() -> None:
    shapes = [ellipsoid(1.0, 0.8, 0.6), ellipsoid(1.0, 0.79, 0.61), ellipsoid(0.5, 1.0, 0.5), ellipsoid(0.6, 0.6, 1.0)]
    bank = bank_of(shapes, variants=0)
    latents = descriptor_latents(bank, 8, scale=0.7, seed=0)
    assert latents.shape == (4, 8)
    assert torch.isfinite(latents).all()
    assert latents.square().sum(dim=1).mean().sqrt().item() == pytest.approx(0.7, rel=1e-4)
    distances = torch.cdist(latents, latents)
    assert distances[0, 1] < 0.5 * distances[0, 2:].min()
    assert torch.equal(latents, descriptor_latents(bank, 8, scale=0.7, seed=0))


def test_warps_start_near_their_shape() -> None:
    shapes = [ellipsoid(1.0, 0.8, 0.6), ellipsoid(0.4, 1.0, 0.4), ellipsoid(0.5, 0.5, 1.0)]
    latents = descriptor_latents(bank_of(shapes, variants=4, max_scale=1.1, max_shift=0.05), 6, scale=1.0, seed=0)
    nearest = torch.cdist(latents[3:], latents[:3]).argmin(dim=1)
    assert nearest.tolist() == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("start", ["descriptor", "random"])
def test_latents_start_as_told(start: str, meshes: list[TriangleMesh], tmp_path: Path) -> None:
    settings = TINY.changed(latent_start=start, latent_scale=0.5, decoder=DecoderSettings(64, (8,)), variants=9)
    trainer = trainer_of(meshes, tmp_path, settings)
    size = trainer.latents.detach().square().mean().sqrt().item()
    assert size == pytest.approx(0.5 if start == "random" else 0.5 / 8, rel=0.1)


# --- the recipes --------------------------------------------------------------------------------


def test_the_papers_recipe() -> None:
    paper = TrainingSettings.paper()
    assert paper.decoder == DecoderSettings(128, (724, 724, 362))
    assert (paper.lambda_reg, paper.lambda_norm) == (1e-4, 1e-3)
    assert (paper.learning_rate, paper.min_learning_rate) == (2e-3, 1e-5)
    assert (paper.schedule, paper.patience) == ("plateau", 100)
    assert (paper.variants, paper.points, paper.template_radius, paper.template_level) == (100, 10_000, 0.1, 3)
    assert paper.augmentation == PointWolfSettings(
        anchors=4, bandwidth=0.5, max_rotation_deg=10.0, max_scale=2.0, max_shift=0.25
    )


def test_the_recipe_is_chosen_on_the_command_line(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainingSettings] = []

    def stop(_: Any, *, settings: TrainingSettings, **__: Any) -> TrainingReport:
        asked.append(settings)
        raise DatasetError("Far enough.")

    monkeypatch.setattr("dals.training.train", stop)
    for options in ([], ["--recipe", "paper"], ["--recipe", "paper", "--epochs", "7", "--learning-rate", "0.5"]):
        assert main(["train", str(dataset), str(tmp_path / "x.safetensors"), "--device", "cpu", *options]) == 2
    paper = TrainingSettings.paper()
    assert asked == [TrainingSettings(), paper, paper.changed(epochs=7, learning_rate=0.5)]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("40m", 2400.0), ("2h", 7200.0), ("15", 15.0), ("0.5m", 30.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert _duration(text) == seconds


@pytest.mark.parametrize("text", ["0", "-5m", "soon", "", "nan", "inf", "1d"])
def test_what_is_no_duration(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["train", "data", "x.safetensors", f"--time-limit={text}"])
    assert exit_info.value.code == 2
    assert "no duration" in capsys.readouterr().err


# --- the command --------------------------------------------------------------------------------


SMALL = ["--variants", "1", "--batch-size", "2", "--points", "60", "--device", "cpu", "--precision", "float32"]


def environment() -> dict[str, str]:
    paths = [str(PACKAGE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


def test_a_sphere_that_was_turned_inside_out_is_mirrored(ellipsoid_prior: ShapePrior) -> None:
    """Thirty minutes of training once ended with a warning and a prior whose surfaces faced inwards."""
    mesh = TriangleMesh(icosphere(2).vertices, icosphere(2).faces)
    shapes = [NormalisedShape(str(k), mesh, np.zeros(3), 100.0, 1.0) for k in range(len(ellipsoid_prior.latents))]
    decoder, latents = ellipsoid_prior.decoder, ellipsoid_prior.latents

    class InsideOut(Decoder):
        def forward(self, *given: Any, **options: Any) -> torch.Tensor:
            return -super().forward(*given, **options)

    turned = InsideOut(decoder.settings)
    turned.load_state_dict(decoder.state_dict())
    settings = TrainingSettings(decoder=decoder.settings)
    for made, mirrored in ((decoder, False), (turned, True)):
        prior = assembled_prior("ellipsoid", shapes, made, latents, template_radius=settings.template_radius)
        assert prior.mirrored is mirrored
        assert prior.digest == prior_digest(prior)


def test_the_command_writes_a_prior_with_its_card(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "extra.json").write_text(json.dumps({"licence": "CC0", "data": "ellipsoids"}), encoding="utf-8")
    (tmp_path / "names.txt").write_text("case0\ncase2\ncase1\n", encoding="utf-8")
    out = tmp_path / "egg.safetensors"
    options = [*SMALL, "--epochs", "2", "--card", str(tmp_path / "extra.json"), "--names", str(tmp_path / "names.txt")]
    assert main(["train", str(dataset), str(out), *options]) == 0
    printed = capsys.readouterr()
    assert "finished after 2 epochs" in printed.out
    assert "Training on 3 shapes" in printed.err
    assert printed.err.startswith(f"Reading {dataset}...\nSetting up:")
    assert "Starting from step 0 of 6." in printed.err
    assert re.search(r"step 6, loss \d.*, 0 s left", printed.err)
    prior = load_prior(out)
    assert prior.name == "egg"
    assert prior.digest[:12] in printed.out
    assert len(prior.latents) == 3
    assert prior.card["shapes"] == 3
    assert prior.card["licence"] == "CC0"
    assert prior.card["training"]["epochs"] == 2
    assert prior.card["training"]["settings"]["points"] == 60
    assert "intended_use" in prior.card
    torch.testing.assert_close(prior.scales_mm, torch.full((3,), 100.0))
    assert len(rows_of(tmp_path / "egg.training")) == 2
    # Six steps once made a useless prior without a word.
    assert "dals: warning: The prior is of no use yet: it misses its own training shapes by" in printed.err
    assert prior.card["validation"]["useful"] is False

    assert main(["train", str(dataset), str(out), *options, "--epochs", "3", "--licence", "CC BY 4.0"]) == 0
    printed = capsys.readouterr()
    assert "Resuming from step 6 of 9." in printed.err
    assert "states no licence" not in printed.out
    assert load_prior(out).card["licence"] == "CC BY 4.0"  # an option counts more than the file


def refusing(*_: Any, **__: Any) -> Any:
    raise DatasetError("It does not fit.")


def test_the_card_is_filled_in_by_itself(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dals.demo.rendering.can_render", lambda: False)
    monkeypatch.setattr("dals.training.validation.fit", refusing)  # which takes seconds
    out = tmp_path / "egg.safetensors"
    options = [*SMALL, "--epochs", "1", "--validation", "1", "--side", "left"]
    assert main(["train", str(dataset), str(out), *options]) == 0
    printed = capsys.readouterr()
    assert "cannot be rendered" in printed.out  # and the prior is there all the same
    assert "states no licence" in printed.out
    assert "Off by" in printed.out
    card = load_prior(out).card
    assert card["shapes"] == 3  # and one set aside
    assert card["data"] == [f"3 shapes of the data set {dataset.name}, 100 to 100 mm in radius"]
    assert (card["side"], card["licence"]) == ("left", "not stated")
    assert card["validation"]["cases"] == 1
    assert card["validation"]["planes_mm"] == card["validation"]["typical_mm"]  # as much as a failed fit is worth
    assert card["training"]["date"]
    assert not any(f"case{k}" in json.dumps(card) for k in range(4))  # names of cases may tell who a patient is


@pytest.mark.skipif(not can_render(), reason="this machine has no off-screen OpenGL")
def test_the_picture_shows_mean_and_modes(ellipsoid_prior: ShapePrior, tmp_path: Path) -> None:
    draw_prior(tmp_path / "egg.png", ellipsoid_prior)
    reader = vtkPNGReader()
    reader.SetFileName(str(tmp_path / "egg.png"))
    reader.Update()
    width, height, _ = reader.GetOutput().GetDimensions()
    assert (width, height) == (300 * (1 + 2 * min(3, ellipsoid_prior.latent_basis.shape[1])), 300)
    pixels = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()).reshape(height, width, -1)
    tiles = [pixels[:250, k : k + 300].std() for k in range(0, width, 300)]
    assert min(tiles) > 10  # something is drawn in each


def test_label_maps_become_a_prior_in_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = np.indices((24, 24, 24)) - 11.5
    (tmp_path / "maps").mkdir()
    for number in range(3):
        ball = np.hypot(np.hypot(*grid[:2]), grid[2]) < 6 + number
        write_label_map(tmp_path / "maps" / f"ball{number}.nii.gz", LabelMap(ball, np.eye(4)))
    seen: list[int] = []

    def stop(meshes: Any, **_: Any) -> TrainingReport:
        seen.append(len(meshes))
        raise DatasetError("Far enough.")

    monkeypatch.setattr("dals.training.train", stop)
    monkeypatch.chdir(tmp_path)
    command = ["train", "balls", "ball.safetensors", "--from", "maps", "--device", "cpu", "--label"]
    assert main([*command, "1"]) == 2
    assert seen == [3]
    printed = capsys.readouterr()
    assert "3 shapes in balls: 3 made now" in printed.out
    assert printed.err.startswith("Making balls...\nPreparing shapes:")
    assert main([*command, "7"]) == 2  # no such label: nothing to train on
    assert seen == [3]
    assert "No case could be used" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert main([*command, "1"]) == 2
    assert "Under torchrun, leave out --from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["{dataset}", "x.safetensors", "--label", "1"], "--label goes with --from"),
        (["nowhere", "x.safetensors"], "nowhere"),
        (["{dataset}", "x.pt"], "must end in .safetensors"),
        (["{dataset}", "x.safetensors", "--names", "{dataset}/none.txt"], "none.txt does not exist"),
        (["{dataset}", "x.safetensors", "--card", "{dataset}/none.json"], "none.json does not exist"),
        (["{dataset}", "x.safetensors", "--card", "{dataset}/side.json"], "must be one of left, right, both, or null"),
        (["{dataset}", "{dataset}/notes.txt/x.safetensors"], "notes.txt"),
        (["{dataset}", "{dataset}/folder.safetensors"], "is a folder"),
    ],
    ids=["label", "no data set", "extension", "no names", "no card", "side", "no folder", "folder"],
)
def test_what_cannot_be_trained_is_said_before_the_training(
    options: list[str],
    sentence: str,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dals.training.train", lambda *_, **__: pytest.fail("it trained"))
    (dataset / "folder.safetensors").mkdir(exist_ok=True)
    (dataset / "notes.txt").touch()
    (dataset / "side.json").write_text('{"side": "upper"}', encoding="utf-8")
    assert main(["train", *(option.format(dataset=dataset) for option in options)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_process_killed_at_any_moment_loses_at_most_an_epoch(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "egg.safetensors"
    command = [sys.executable, "-m", "dals", "train", str(dataset), str(out), *SMALL, "--epochs", "100000"]
    log = out.with_suffix(".training") / "log.csv"
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 180
            while not (log.exists() and len(log.read_text(encoding="utf-8").splitlines()) > 3):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.03)
        finally:
            process.send_signal(signal.SIGKILL)
    assert not out.exists()
    # What a kill within the writing leaves, and the last line of the log may be cut short.
    (log.parent / ".0123abcd.partial.checkpoint.safetensors").write_bytes(b"half")
    before = max(int(row["epoch"]) for row in rows_of(log.parent)[:-1] if row["epoch"])
    command[-1] = str(before + 2)
    resumed = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert load_prior(out).card["training"]["epochs"] == before + 2
    epochs = [int(row["epoch"]) for row in rows_of(log.parent)]
    assert epochs == list(range(1, before + 3))
    assert {path.name for path in log.parent.iterdir()} <= {"checkpoint.safetensors", "log.csv", "tensorboard"}


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
@pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo is tried on Linux only")
def test_two_processes_train_one_prior(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "egg.safetensors"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "dals", "train", str(dataset), str(out), *SMALL, "--epochs", "3"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished after 3 epochs") == 1
    prior = load_prior(out)
    assert len(prior.latents) == 4
    assert all(math.isfinite(float(row["loss"])) for row in rows_of(out.with_suffix(".training")))
    assert len(rows_of(out.with_suffix(".training"))) == 3
