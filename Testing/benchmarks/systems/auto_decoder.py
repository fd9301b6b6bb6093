"""Training of an implicit auto-decoder: the network and a latent of every training shape, together.

The loss is DeepSDF's: the difference of clamped signed distances, and the latents' squared length. The budget
is processor time, so that other work on the machine costs a system nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.systems.sdf_samples import SampleBank
from dals.training.checkpoint import TrainingProgress, load_checkpoint, save_checkpoint


class ImplicitDecoder(nn.Module, ABC):
    """A network that tells the signed distance at points, given a shape's latent."""

    latent_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        """Signed distances (B, N), canonical units, from latents (B, *latent_shape) and points (B, N, 3)."""

    def roughness(self, latents: Tensor) -> Tensor:
        """What a smooth latent has little of; zero where a shape has only one latent."""
        return latents.new_zeros(())


@dataclass(frozen=True)
class AutoDecoderSettings:
    """How an auto-decoder is trained.

    Attributes
    ----------
    batch_size, points : int
        Shapes in a step, and samples of each.
    learning_rate, latent_learning_rate, final_share : float
        At the start, and the share of it that is left at the end of the cosine decay.
    warm_up : int
        Steps over which the learning rates first rise.
    clamp : float
        Distances beyond it count as this, canonical units.
    latent_prior : float
        Weight of a latent's squared length.
    roughness : float
        Weight of the decoder's `roughness`.
    latent_deviation : float
        Of the normal distribution from which latents start.
    real_share : float
        Share of the visits that go to unwarped shapes, if there are warped ones.
    bfloat16 : bool
        Whether hidden layers compute in this precision.
    seed : int
    """

    batch_size: int = 16
    points: int = 256
    learning_rate: float = 5e-4
    latent_learning_rate: float = 1e-3
    final_share: float = 0.01
    warm_up: int = 100
    clamp: float = 0.1
    latent_prior: float = 1e-4
    roughness: float = 0.0
    latent_deviation: float = 0.01
    real_share: float = 0.3
    bfloat16: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Status:
    """Where a training run stands: means of loss and distance error since the last status."""

    step: int
    seconds: float
    fraction: float
    loss: float
    error: float


def train(
    decoder: ImplicitDecoder,
    bank: SampleBank,
    settings: AutoDecoderSettings,
    *,
    seconds: float = math.inf,
    steps: int | None = None,
    checkpoint: Path | None = None,
    on_status: Callable[[Status], None] | None = None,
    save_every: float = 60.0,
) -> Tensor:
    """Train a decoder in place and return the latents of the bank's items, (len(bank), *latent_shape).

    Parameters
    ----------
    decoder : ImplicitDecoder
    bank : SampleBank
    settings : AutoDecoderSettings
    seconds : float
        Processor time over all starts.
    steps : int, optional
        At most; the learning rate reaches its end with the limit that comes first.
    checkpoint : Path, optional
        A run that was killed goes on from there.
    on_status
        Called about a hundred times in a run.
    save_every : float
        Seconds of processor time between checkpoints.

    Raises
    ------
    DatasetError
        If the checkpoint is of other shapes or settings, or damaged.
    """
    run = _Run(decoder, bank, settings, seconds=seconds, steps=steps, checkpoint=checkpoint)
    return run.go(on_status, save_every=save_every)


class _Run:
    def __init__(
        self,
        decoder: ImplicitDecoder,
        bank: SampleBank,
        settings: AutoDecoderSettings,
        *,
        seconds: float,
        steps: int | None,
        checkpoint: Path | None,
    ) -> None:
        self.decoder, self.bank, self.settings = decoder, bank, settings
        self.seconds, self.steps, self.checkpoint = seconds, steps, checkpoint
        start = torch.randn(len(bank), *decoder.latent_shape, generator=torch.Generator().manual_seed(settings.seed))
        self.latents = nn.Parameter(start * settings.latent_deviation)
        groups = [
            {"params": list(decoder.parameters()), "highest": settings.learning_rate},
            {"params": [self.latents], "highest": settings.latent_learning_rate},
        ]
        self.optimiser = torch.optim.Adam(groups, fused=True)
        self.progress = TrainingProgress()
        self.key = hashlib.sha256(
            json.dumps([asdict(settings), str(decoder), bank.digest, decoder.latent_shape]).encode()
        ).hexdigest()[:16]
        if checkpoint is not None and checkpoint.exists():
            self.progress = load_checkpoint(
                checkpoint, decoder=decoder, latents=self.latents, optimiser=self.optimiser, key=self.key
            )

    def go(self, on_status: Callable[[Status], None] | None, *, save_every: float) -> Tensor:
        self._started = time.process_time() - self.progress.seconds
        saved, told, since = time.process_time(), self._fraction(), self.progress.step
        totals = torch.zeros(2)
        self.decoder.train()
        while self._fraction() < 1:
            totals += self._step()
            self.progress.step += 1
            self.progress.seconds = time.process_time() - self._started
            if time.process_time() - saved >= save_every:
                self._save()
                saved = time.process_time()
            if self._fraction() >= min(told + 0.01, 1):
                loss, error = (totals / (self.progress.step - since)).tolist()
                if on_status is not None:
                    on_status(Status(self.progress.step, self.progress.seconds, self._fraction(), loss, error))
                told, since, totals = self._fraction(), self.progress.step, torch.zeros(2)
        self._save()
        self.decoder.eval()
        return self.latents.detach()

    def _step(self) -> Tensor:
        settings = self.settings
        # Seeded by the step, so that a resumed run draws what an uninterrupted one would have drawn.
        seed = settings.seed * 1_000_003 + self.progress.step
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # for dropout
        self._set_learning_rates()
        items = self._choose(generator)
        points, distances = self.bank.draw(items, settings.points, generator=generator)
        latents = self.latents[items]
        with autocast(settings.bfloat16):
            found = self.decoder(latents, points)
        error = (clamped(found, settings.clamp) - distances.clamp(-settings.clamp, settings.clamp)).abs().mean()
        loss = error + settings.latent_prior * latents.square().flatten(1).sum(dim=1).mean()
        if settings.roughness:
            loss = loss + settings.roughness * self.decoder.roughness(latents)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return torch.stack([loss.detach(), error.detach()])

    def _choose(self, generator: torch.Generator) -> Tensor:
        """Different shapes for a step; a fixed share of them unwarped."""
        count, real, total = min(self.settings.batch_size, len(self.bank)), self.bank.real, len(self.bank)
        if total == real:
            return torch.randperm(real, generator=generator)[:count]
        unwarped = min(real, round(count * self.settings.real_share))
        warped = real + torch.randperm(total - real, generator=generator)[: count - unwarped]
        return torch.cat([torch.randperm(real, generator=generator)[:unwarped], warped])

    def _set_learning_rates(self) -> None:
        settings = self.settings
        decay = settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * self._fraction()))
        ramp = min(1.0, (self.progress.step + 1) / settings.warm_up) if settings.warm_up else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = ramp * decay * group["highest"]

    def _fraction(self) -> float:
        by_steps = self.progress.step / self.steps if self.steps is not None else 0.0
        return min(1.0, max(by_steps, self.progress.seconds / self.seconds))

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(
            self.checkpoint,
            decoder=self.decoder,
            latents=self.latents,
            optimiser=self.optimiser,
            progress=self.progress,
            key=self.key,
        )


def clamped(distances: Tensor, limit: float) -> Tensor:
    """Distances in float32, between -limit and limit."""
    return distances.float().clamp(-limit, limit)


def autocast(bfloat16: bool) -> AbstractContextManager[object]:
    """Matrix products in bfloat16, twice as fast on processors that have it, or nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bfloat16)
