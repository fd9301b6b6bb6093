"""The training loop of Eq. 1, on a CPU, a GPU, or several GPUs under torchrun."""

from __future__ import annotations

import hashlib
import json
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
from dals.model.decoder import Decoder
from dals.model.pose_correction import random_rotations
from dals.model.template import icosphere
from dals.training.averaging import RunningMean
from dals.training.checkpoint import TrainingProgress, load_checkpoint, save_checkpoint
from dals.training.energy import TERMS, batch_energy
from dals.training.logs import TrainingLog
from dals.training.reports import EpochStatus, TrainingReport
from dals.training.settings import TrainingSettings
from dals.training.shapes import ShapeBank, descriptor_latents

_CHECKPOINT_SECONDS = 120.0


def train(
    meshes: Sequence[TriangleMesh],
    *,
    settings: TrainingSettings,
    folder: Path,
    device: torch.device,
    time_limit: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_epoch: Callable[[EpochStatus], None] | None = None,
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
        Seconds of training over all runs. The cosine schedule ends with it.
    clock : callable
        Measures the training time in seconds, such as `time.process_time`.
    on_epoch
        Called after each epoch on the first process.

    Raises
    ------
    DatasetError
        No shapes, or a checkpoint of another run in `folder`.
    """
    if len(meshes) < 2:
        raise DatasetError("Training needs at least two shapes; prepare more cases first.")
    trainer = _Trainer(meshes, settings=settings, folder=folder, device=device, time_limit=time_limit, clock=clock)
    return trainer.run(on_epoch)


class _Trainer:
    def __init__(
        self,
        meshes: Sequence[TriangleMesh],
        *,
        settings: TrainingSettings,
        folder: Path,
        device: torch.device,
        time_limit: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.settings, self.device, self.time_limit, self.clock = settings, device, time_limit, clock
        self.rank, self.processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        if settings.batch_size % self.processes:
            raise DatasetError(f"A batch of {settings.batch_size} shapes cannot be shared by {self.processes} devices.")
        torch.manual_seed(settings.seed)
        self.bank = ShapeBank(
            meshes,
            variants=settings.variants,
            augmentation=settings.augmentation,
            seed=settings.seed,
            device=device,
        )
        template = icosphere(settings.template_level)
        self.sphere = torch.as_tensor(template.vertices, dtype=torch.float32, device=device) * settings.template_radius
        self.faces = torch.as_tensor(template.faces, device=device)
        self.least_volume = 0.5 * min(abs(mesh.volume) for mesh in meshes)
        self.decoder = _starting_decoder(settings).to(device)
        self.latents = nn.Parameter(self._starting_latents())
        self.optimiser = torch.optim.Adam(
            [{"params": list(self.decoder.parameters())}, {"params": [self.latents]}],
            lr=settings.learning_rate,
            fused=device.type in ("cpu", "cuda"),
        )
        self.steps_per_epoch = max(1, len(self.bank) // settings.batch_size)
        self.progress = TrainingProgress(learning_rate=settings.learning_rate)
        self.mean = RunningMean([*self.decoder.parameters(), self.latents], settings.mean_decay)
        self.checkpoint = folder / "checkpoint.safetensors"
        self.key = _run_key(meshes, settings)
        if self.checkpoint.exists():
            self.progress = load_checkpoint(
                self.checkpoint,
                decoder=self.decoder,
                latents=self.latents,
                optimiser=self.optimiser,
                mean=self.mean,
                key=self.key,
            )
        self.log = TrainingLog(folder, last_epoch=self.progress.epoch) if self.rank == 0 else None

    def run(self, on_epoch: Callable[[EpochStatus], None] | None) -> TrainingReport:
        self._started = self.clock() - self.progress.seconds
        self._saved = self.clock()
        while self.progress.epoch < self.settings.epochs and not self._out_of_time():
            totals = self._epoch()
            if totals is None:
                break
            self._finish_epoch(totals, on_epoch)
        self._save()
        self.mean.apply()
        latents = self.latents.detach().cpu()
        finished = self.progress.epoch >= self.settings.epochs
        self.decoder.eval()
        return TrainingReport(self.decoder.cpu(), latents[: self.bank.real], self.progress, finished)

    def _epoch(self) -> Tensor | None:
        """Train for one epoch; returns mean (loss, chamfer, reg, norm), or None if the time ran out."""
        totals = torch.zeros(len(TERMS), device=self.device)
        first = self.progress.step - self.progress.epoch * self.steps_per_epoch
        for _ in range(first, self.steps_per_epoch):
            if self._out_of_time():
                return None
            self._set_learning_rate()
            totals += self._step()
            self.progress.step += 1
            if self.clock() - self._saved > _CHECKPOINT_SECONDS:
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
        settings = self.settings
        size = settings.decoder.latent_size
        if settings.latent_start == "descriptor":
            return descriptor_latents(self.bank, size, scale=settings.latent_scale, seed=settings.seed)
        generator = torch.Generator().manual_seed(settings.seed)
        latents = torch.randn(len(self.bank), size, generator=generator)
        return (latents * settings.latent_scale).to(self.device)

    def _set_learning_rate(self) -> None:
        settings = self.settings
        if settings.schedule == "cosine":
            low, high = settings.min_learning_rate, settings.learning_rate
            self.progress.learning_rate = low + 0.5 * (high - low) * (1 + math.cos(math.pi * self._fraction()))
        ramp = min(1.0, (self.progress.step + 1) / self.settings.warm_up) if self.settings.warm_up else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = ramp * self.progress.learning_rate

    def _finish_epoch(self, totals: Tensor, on_epoch: Callable[[EpochStatus], None] | None) -> None:
        if self.processes > 1:
            dist.all_reduce(totals)
            totals /= self.processes
        loss, fit, reg, norm = totals.tolist()
        progress, settings = self.progress, self.settings
        progress.epoch = progress.step // self.steps_per_epoch
        progress.seconds = self.clock() - self._started
        progress.stale_epochs = 0 if loss < progress.best_loss else progress.stale_epochs + 1
        progress.best_loss = min(loss, progress.best_loss)
        if settings.schedule == "plateau" and progress.stale_epochs > settings.patience:
            progress.learning_rate = max(progress.learning_rate / 2, settings.min_learning_rate)
            progress.stale_epochs = 0
        if self.log is not None:  # before the checkpoint: a surplus row is dropped later, a lost one stays lost
            row = {"loss": loss, "chamfer": fit, "reg": reg, "norm": norm}
            self.log.write({**row, **{k: v for k, v in asdict(progress).items() if k in _LOGGED}})
        self._save()
        if on_epoch is not None and self.rank == 0:
            on_epoch(EpochStatus(progress.epoch, progress.step, loss, fit, progress.seconds, self._fraction()))

    def _save(self) -> None:
        self._saved = self.clock()
        self.progress.seconds = self._saved - self._started
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

    def _fraction(self) -> float:
        """The completed fraction of the run, by steps or by time, whichever ends first."""
        by_steps = self.progress.step / (self.settings.epochs * self.steps_per_epoch)
        if self.time_limit is None:
            return min(1.0, by_steps)
        return min(1.0, max(by_steps, self._elapsed() / self.time_limit))

    def _elapsed(self) -> float:
        """Training time so far, by the clock of the first process: all processes must decide alike."""
        elapsed = self.clock() - self._started
        if self.processes == 1:
            return elapsed
        shared = torch.tensor([elapsed], device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def _out_of_time(self) -> bool:
        return self.time_limit is not None and self._elapsed() >= self.time_limit


def _starting_decoder(settings: TrainingSettings) -> Decoder:
    """A decoder whose surfaces are nearly the template."""
    decoder = Decoder(settings.decoder)
    with torch.no_grad():
        decoder.output.weight.mul_(settings.displacement_start)
        decoder.output.bias.mul_(settings.displacement_start)
    return decoder


_LOGGED = ("epoch", "step", "seconds", "learning_rate")


def _run_key(meshes: Sequence[TriangleMesh], settings: TrainingSettings) -> str:
    """Identifies data and settings, except the number of epochs, so that a run resumes only its own checkpoint."""
    digest = hashlib.sha256(json.dumps({**asdict(settings), "epochs": 0}, sort_keys=True).encode())
    for mesh in meshes:
        digest.update(mesh.vertices.tobytes())
    return digest.hexdigest()[:16]
