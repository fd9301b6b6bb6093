"""`dals train`: trains a prior on a data set of normalised shapes."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli.devices import add_device_option
from dals.cli.numbers import at_least, seed_of
from dals.cli.progress import ProgressBar
from dals.errors import DatasetError, InputError, OutputError
from dals.io.atomic import check_writable
from dals.io.regular_files import LARGEST_TEXT, check_regular
from dals.model.prior_files import SIDES

if TYPE_CHECKING:
    import torch

    from dals.dataset.normalisation import NormalisedShape
    from dals.training import TrainingReport, TrainingSettings

SUMMARY = "Train a prior on a data set made by `dals prepare`."
WHEN_STOPPED = "the same command resumes from the last checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder made by `dals prepare`")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="file of the prior, NAME.safetensors; logs go to NAME.training"
    )
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="text file with the names of the shapes to train on, one per line; by default all",
    )
    parser.add_argument("--recipe", choices=("project", "paper"), default="project", help="default settings")
    parser.add_argument(
        "--time-limit", type=_duration, metavar="TIME", help="training time over all runs, such as 90s, 40m or 2h"
    )
    parser.add_argument("--processor-time", action="store_true", help="limit CPU time, not wall-clock time")
    parser.add_argument("--epochs", type=at_least(1), metavar="N", help="maximum number of epochs")
    parser.add_argument("--variants", type=at_least(0), metavar="N", help="warped copies of each shape")
    parser.add_argument("--batch-size", type=at_least(1), metavar="N", help="shapes per step")
    parser.add_argument("--points", type=at_least(1), metavar="N", help="points per shape for the Chamfer distance")
    parser.add_argument("--learning-rate", type=_rate, metavar="RATE", help="initial learning rate of Adam")
    parser.add_argument("--blend", type=_rate, metavar="W", help="weight of blends of latents, such as 0.05")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="precision of the hidden layers")
    add_device_option(parser)
    parser.add_argument("--seed", type=seed_of, metavar="N", help="seed of every random choice")
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="JSON with entries for the model card; the entry side is left, right or both",
    )


def run(options: argparse.Namespace) -> int:
    """Train or resume, and write the prior."""
    from dals.dataset.storage import load_dataset
    from dals.model.prior import save_prior
    from dals.model.prior_files import SUFFIX
    from dals.training import train

    if options.out.suffix != SUFFIX:
        raise InputError(f"A prior's file name must end in {SUFFIX}, such as liver{SUFFIX}.")
    extra = _read_card(options.card)
    shapes = load_dataset(options.dataset, names=_read_names(options.names))
    settings = _settings(options)
    folder = _training_folder(options.out)
    with _processes(options.device) as (device, first):
        with ProgressBar(f"Training on {len(shapes)} shapes ({device})", quiet=not first) as progress:
            report = train(
                [shape.mesh for shape in shapes],
                settings=settings,
                folder=folder,
                device=device,
                time_limit=options.time_limit,
                clock=time.process_time if options.processor_time else time.monotonic,
                on_epoch=lambda e: progress.update(
                    e.fraction, 1.0, f"epoch {e.epoch}, loss {e.loss:.2e}, Chamfer {e.chamfer:.2e}"
                ),
            )
        if first:
            prior = _prior(options.out, shapes, settings, report, device, extra)
            save_prior(options.out, prior)
            done = "finished" if report.finished else "time is up"
            print(
                f"{options.out}: {done} after {report.progress.epoch} epochs, {report.progress.step} steps, "
                f"{report.progress.seconds / 60:.1f} minutes; SHA-256 {prior.digest[:12]}."
            )
    return 0


def _training_folder(out: Path) -> Path:
    """Make the folder of checkpoint and logs now, to find out before hours of training whether it can be written."""
    folder = out.with_suffix(".training")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made; choose another place for the prior.") from error
    check_writable(out)
    return folder


def _settings(options: argparse.Namespace) -> TrainingSettings:
    from dals.training import TrainingSettings

    base = TrainingSettings.paper() if options.recipe == "paper" else TrainingSettings()
    names = ("epochs", "variants", "batch_size", "points", "learning_rate", "precision", "seed")
    return base.changed(lambda_blend=options.blend, **{name: getattr(options, name) for name in names})


def _prior(
    out: Path,
    shapes: list[NormalisedShape],
    settings: TrainingSettings,
    report: TrainingReport,
    device: torch.device,
    extra: dict[str, Any],
) -> Any:
    import torch

    from dals import __version__
    from dals.model.prior import ShapePrior, frozen, latent_distribution, prior_digest, right_side_out

    mean, basis = latent_distribution(report.latents)
    card = {
        "organ": out.stem,
        "shapes": len(shapes),
        "training": {
            "settings": asdict(settings),
            "epochs": report.progress.epoch,
            "steps": report.progress.step,
            "minutes": round(report.progress.seconds / 60, 1),
            "device": _device_name(device),
            "version": __version__,
        },
        "intended_use": "Research on shape completion; not a medical device.",
        **extra,
    }
    trained = ShapePrior(
        name=out.stem,
        decoder=frozen(report.decoder),
        latents=report.latents,
        latent_mean=mean,
        latent_basis=basis,
        scales_mm=torch.tensor([shape.scale_mm for shape in shapes], dtype=torch.float32),
        template_radius=settings.template_radius,
        card=card,
    )
    prior = right_side_out(trained)
    return prior.with_digest(prior_digest(prior))


@contextmanager
def _processes(name: str) -> Iterator[tuple[torch.device, bool]]:
    """Join the other processes under torchrun; yield the device of this process and whether it is the first."""
    import torch
    import torch.distributed as dist

    from dals.ops.device import choose_device

    device = choose_device(name)
    torch.set_float32_matmul_precision("high")  # TF32 where available; no effect on the CPU
    if "LOCAL_RANK" not in os.environ:
        yield device, True
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    yield device, dist.get_rank() == 0
    # Without this, threads of the group sometimes abort the process when the interpreter exits. It is not reached after
    # an error, when the others may be waiting: torchrun ends them.
    dist.barrier()
    dist.destroy_process_group()


def _device_name(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def _read_names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    check_regular(path, limit=LARGEST_TEXT)
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"The list of names {path} cannot be read.") from error


def _read_card(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    check_regular(path, limit=LARGEST_TEXT)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The card {path} cannot be read as JSON.") from error
    if not isinstance(card, dict):
        raise InputError(f"The card {path} must hold one JSON object.")
    if card.get("side") not in (None, *SIDES):
        raise InputError(f"The side on the card {path} must be one of {', '.join(SIDES)}, or null.")
    return card


def _duration(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no duration; write 90s, 40m or 2h")
    return seconds


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return rate
