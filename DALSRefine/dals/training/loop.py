"""The training loop of Eq. 1, on a CPU, a GPU, or several GPUs under torchrun."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dals.errors import DatasetError
from dals.geometry.mesh import TriangleMesh
from dals.model.pose_correction import random_rotations
from dals.model.template import icosphere
from dals.training.averaging import RunningMean
from dals.training.checkpoint import TrainingProgress, load_checkpoint, save_checkpoint
from dals.training.energy import TERMS, batch_energy
from dals.training.logs import TrainingLog
from dals.training.reports import EpochStatus, StepStatus, TrainingReport, Watcher
from dals.training.settings import TrainingSettings
from dals.training.shapes import ShapeBank
from dals.training.start import run_key, starting_decoder, starting_latents
from dals.training.timing import Pace, TrainingClock

_CHECKPOINT_SECONDS = 120.0
_TELLING_SECONDS = 1.0
_EXAMINED_SHARE = 0.05
_FIRST_EXAMINATION = 60.0  # seconds
_RECENT = 0.05
"""Share of a step in the running mean of the loss."""
_LOGGED = ("epoch", "step", "seconds", "learning_rate")


def train(
    meshes: Sequence[TriangleMesh],
    *,
    settings: TrainingSettings,
    folder: Path,
    device: torch.device,
    time_limit: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    started: float | None = None,
    watcher: Watcher | None = None,
) -> TrainingReport:
    """Train a decoder and the latents of normalised shapes.

    An interrupted run resumes from `folder/checkpoint.safetensors`.

    Parameters
    ----------
    meshes
        Canonical meshes (zero mean, unit sphere).
    settings : TrainingSettings
    folder : Path
        Checkpoint and logs.
    device : torch.device
    time_limit : float, optional
        Seconds of training over all runs, set-up included. The cosine schedule ends with it.
    clock : callable
        Measures the training time in seconds, such as `time.process_time`.
    started : float, optional
        What `clock` said when the set-up began; by default, it begins now.
    watcher : Watcher, optional
        What to call on the way.

    Raises
    ------
    DatasetError
        No shapes, or a checkpoint of another run in `folder`.
    """
    if len(meshes) < 2:
        raise DatasetError("Training needs at least two shapes; prepare more cases first.")
    processes = dist.get_world_size() if dist.is_initialized() else 1
    timing = TrainingClock(clock, started=started, limit=time_limit, device=device, processes=processes)
    return _Trainer(meshes, settings=settings, folder=folder, device=device, timing=timing, watcher=watcher).run()


class _Trainer:
    def __init__(
        self,
        meshes: Sequence[TriangleMesh],
        *,
        settings: TrainingSettings,
        folder: Path,
        device: torch.device,
        timing: TrainingClock,
        watcher: Watcher | None = None,
    ) -> None:
        self.settings, self.device, self.timing = settings, device, timing
        self.rank, self.processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.watcher = watcher if watcher is not None and self.rank == 0 else Watcher()
        if settings.batch_size % self.processes:
            raise DatasetError(f"A batch of {settings.batch_size} shapes cannot be shared by {self.processes} devices.")
        torch.manual_seed(settings.seed)
        self.bank = ShapeBank(
            meshes,
            variants=settings.variants,
            augmentation=settings.augmentation,
            seed=settings.seed,
            device=device,
            on_set_up=self.watcher.on_set_up,
        )
        template = icosphere(settings.template_level)
        self.sphere = torch.as_tensor(template.vertices, dtype=torch.float32, device=device) * settings.template_radius
        self.faces = torch.as_tensor(template.faces, device=device)
        self.least_volume = 0.5 * min(abs(mesh.volume) for mesh in meshes)
        self.decoder = starting_decoder(settings).to(device)
        self.checkpoint = folder / "checkpoint.safetensors"
        self.latents = nn.Parameter(self._starting_latents())
        self.optimiser = torch.optim.Adam(
            [{"params": list(self.decoder.parameters())}, {"params": [self.latents]}],
            lr=settings.learning_rate,
            fused=device.type in ("cpu", "cuda"),
        )
        self.steps_per_epoch = max(1, len(self.bank) // settings.batch_size)
        self.progress = TrainingProgress(learning_rate=settings.learning_rate)
        self.mean = RunningMean([*self.decoder.parameters(), self.latents], settings.mean_decay)
        self.key = run_key(meshes, settings)
        if self.checkpoint.exists():
            self.progress = load_checkpoint(
                self.checkpoint,
                decoder=self.decoder,
                latents=self.latents,
                optimiser=self.optimiser,
                mean=self.mean,
                key=self.key,
            )
        self.timing.resume(self.progress.seconds)
        self.log = TrainingLog(folder, last_epoch=self.progress.epoch) if self.rank == 0 else None

    def run(self) -> TrainingReport:
        first = self.progress.step
        if self.watcher.on_start is not None:
            self.watcher.on_start(self.progress, self.steps)
        began = self._saved = self.timing.elapsed()
        self._told, self._origin = -math.inf, (first, began)
        self._examinations = Pace(_EXAMINED_SHARE, first=began + _FIRST_EXAMINATION)
        self._recent: Tensor | None = None
        while self.progress.epoch < self.settings.epochs and not self.timing.is_over():
            totals = self._epoch()
            if totals is None:
                break
            self._finish_epoch(totals)
        if self.progress.step > first:  # otherwise, the checkpoint has it all
            self._tell(last=True)
            self._save()
        self.mean.apply()
        latents = self.latents.detach().cpu()
        finished = self.progress.epoch >= self.settings.epochs
        self.decoder.eval()
        return TrainingReport(self.decoder.cpu(), latents[: self.bank.real], self.progress, finished)

    @property
    def steps(self) -> int:
        """Of the whole run, if no time limit ends it."""
        return self.settings.epochs * self.steps_per_epoch

    def _epoch(self) -> Tensor | None:
        """Train for one epoch; returns mean (loss, chamfer, reg, norm), or None if the time ran out."""
        totals = torch.zeros(len(TERMS), device=self.device)
        first = self.progress.step - self.progress.epoch * self.steps_per_epoch
        for _ in range(first, self.steps_per_epoch):
            if self.timing.is_over():
                return None
            self._set_learning_rate()
            parts = self._step()
            totals += parts
            self._recent = parts if self._recent is None else torch.lerp(self._recent, parts, _RECENT)
            self.progress.step += 1
            self._tell()
            if self.timing.elapsed() - self._saved > _CHECKPOINT_SECONDS:
                self._save()
        return totals / (self.steps_per_epoch - first)

    def _step(self) -> Tensor:
        settings = self.settings
        # Seeded by the step, so that a resumed run draws the same as an uninterrupted one.
        seed = (settings.seed * 1_000_003 + self.progress.step) * 64 + self.rank
        generator = torch.Generator(device=self.device).manual_seed(seed)
        items = self._choose_items(generator)
        target = self.bank.draw(items, settings.points, generator=generator)
        rotation = random_rotations(len(items), generator=generator, device=self.device)
        loss, parts = batch_energy(
            self.decoder,
            self.latents[items],
            self.sphere @ rotation,
            self.faces,
            target,
            settings=settings,
            least_volume=self.least_volume,
            generator=generator,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._share_gradients()
        self.optimiser.step()
        self.mean.update(self.progress.step)
        return parts

    def _choose_items(self, generator: torch.Generator) -> Tensor:
        """Draw the shapes of this step: uniformly, or with a fixed share of unwarped ones."""
        count = self.settings.batch_size // self.processes
        share, real, total = self.settings.real_share, self.bank.real, len(self.bank)
        uniform = torch.rand(2, count, generator=generator, device=self.device)
        if share is None or total == real:
            return (uniform[0] * total).long().clamp_max(total - 1)
        unwarped = (uniform[0] * real).long().clamp_max(real - 1)
        warped = real + (uniform[0] * (total - real)).long().clamp_max(total - real - 1)
        return torch.where(uniform[1] < share, unwarped, warped)

    def _share_gradients(self) -> None:
        if self.processes == 1:
            return
        gradients = [p.grad for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.processes
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _starting_latents(self) -> Tensor:
        if self.checkpoint.exists():  # which holds them
            return torch.zeros(len(self.bank), self.settings.decoder.latent_size, device=self.device)
        return starting_latents(self.bank, self.settings, on_set_up=self.watcher.on_set_up)

    def _tell(self, *, last: bool = False) -> None:
        """Tell of the latest step, and let the state be examined, if it is time."""
        now = self.progress.seconds = self.timing.elapsed()
        telling = last or now - self._told >= _TELLING_SECONDS
        if self.watcher.on_step is not None and self._recent is not None and telling:
            self._told = now
            loss, fit, *_ = self._recent.tolist()
            left, share = self._seconds_left(now), self._fraction(now)
            self.watcher.on_step(StepStatus(self.progress.step, self.steps, loss, fit, now, left, share))
        if self.watcher.examine is not None and not last and self._examinations.is_due(now):
            decoder, (*weights, latents) = copy.deepcopy(self.decoder).cpu(), self.mean.copies()
            for parameter, value in zip(decoder.parameters(), weights, strict=True):
                parameter.data = value
            self.watcher.examine(decoder, latents[: self.bank.real], self.progress)
            self._examinations.done(now, self.timing.elapsed())

    def _seconds_left(self, now: float) -> float:
        first, began = self._origin
        by_steps = (now - began) / (self.progress.step - first) * (self.steps - self.progress.step)
        return by_steps if self.timing.limit is None else max(0.0, min(by_steps, self.timing.limit - now))

    def _set_learning_rate(self) -> None:
        settings = self.settings
        if settings.schedule == "cosine":
            low, high = settings.min_learning_rate, settings.learning_rate
            seconds = 0.0 if self.timing.limit is None else self.timing.agreed()
            self.progress.learning_rate = low + 0.5 * (high - low) * (1 + math.cos(math.pi * self._fraction(seconds)))
        ramp = min(1.0, (self.progress.step + 1) / self.settings.warm_up) if self.settings.warm_up else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = ramp * self.progress.learning_rate

    def _finish_epoch(self, totals: Tensor) -> None:
        if self.processes > 1:
            dist.all_reduce(totals)
            totals /= self.processes
        loss, fit, reg, norm = totals.tolist()
        progress, settings = self.progress, self.settings
        progress.epoch = progress.step // self.steps_per_epoch
        progress.seconds = self.timing.elapsed()
        progress.stale_epochs = 0 if loss < progress.best_loss else progress.stale_epochs + 1
        progress.best_loss = min(loss, progress.best_loss)
        if settings.schedule == "plateau" and progress.stale_epochs > settings.patience:
            progress.learning_rate = max(progress.learning_rate / 2, settings.min_learning_rate)
            progress.stale_epochs = 0
        if self.log is not None:  # before the checkpoint: a surplus row is dropped later, a lost one stays lost
            row = {"loss": loss, "chamfer": fit, "reg": reg, "norm": norm}
            self.log.write({**row, **{k: v for k, v in asdict(progress).items() if k in _LOGGED}})
        self._save()
        if self.watcher.on_epoch is not None:
            fraction = self._fraction(progress.seconds)
            self.watcher.on_epoch(EpochStatus(progress.epoch, progress.step, loss, fit, progress.seconds, fraction))

    def _save(self) -> None:
        self._saved = self.progress.seconds = self.timing.elapsed()
        if self.rank == 0:
            save_checkpoint(
                self.checkpoint,
                decoder=self.decoder,
                latents=self.latents,
                optimiser=self.optimiser,
                mean=self.mean,
                progress=self.progress,
                key=self.key,
            )

    def _fraction(self, seconds: float) -> float:
        """The completed fraction of the run, by steps or by time, whichever ends first."""
        by_steps = self.progress.step / self.steps
        return min(1.0, by_steps if self.timing.limit is None else max(by_steps, seconds / self.timing.limit))
