"""`dals train`: trains a prior on a data set of normalised shapes."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli import prepare
from dals.cli.devices import add_device_option
from dals.cli.numbers import at_least, label_value, seed_of
from dals.cli.progress import ProgressBar
from dals.cli.training_card import NO_LICENCE, add_card_options, card_of, read_card
from dals.cli.training_display import TrainingDisplay
from dals.errors import DalsError, DalsWarning, DatasetError, InputError, OutputError
from dals.io.atomic import check_writable
from dals.io.regular_files import LARGEST_TEXT, check_regular

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dals.dataset.normalisation import NormalisedShape
    from dals.model.decoder import Decoder
    from dals.model.prior import ShapePrior
    from dals.training import TrainingReport, TrainingSettings
    from dals.training.checkpoint import TrainingProgress

SUMMARY = "Train a prior on a data set made by `dals prepare`."
WHEN_STOPPED = "the same command resumes from the last checkpoint"
_ON_THE_WAY = 2
"""Shapes that are measured during the training."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder made by `dals prepare`")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="file of the prior, NAME.safetensors; logs go to NAME.training"
    )
    parser.add_argument(
        "--from",
        dest="inputs",
        nargs="+",
        metavar="INPUT",
        help="make DATASET first, as `dals prepare DATASET INPUT...` does; its time is not limited",
    )
    parser.add_argument("--label", type=label_value, nargs="+", metavar="N", help="as in `dals prepare`, with --from")
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
        "--validation",
        type=at_least(0),
        metavar="N",
        help="shapes to keep from the training and to measure on; by default one in ten, at most 5",
    )
    add_card_options(parser)


def run(options: argparse.Namespace) -> int:
    """Train or resume, measure, and write the prior, its card and its picture."""
    from dals.model.prior_files import SUFFIX

    if options.out.suffix != SUFFIX:
        raise InputError(f"A prior's file name must end in {SUFFIX}, such as liver{SUFFIX}.")
    stated = read_card(options)
    _prepare(options)
    clock = time.process_time if options.processor_time else time.monotonic
    started = clock()
    first = os.environ.get("RANK", "0") == "0"  # of the processes under torchrun
    if first:
        print(f"Reading {options.dataset}...", file=sys.stderr, flush=True)

    from dals.dataset.storage import load_dataset
    from dals.training import train
    from dals.training.validation import split

    shapes, aside = split(load_dataset(options.dataset, names=_read_names(options.names)), options.validation)
    settings = _settings(options)
    folder = _training_folder(options.out)
    with _processes(options.device) as device:
        title = f"Training on {len(shapes)} shapes ({device})"
        with TrainingDisplay(title, folder=folder, time_limit=options.time_limit, quiet=not first) as display:
            course = _Course(options, shapes, aside, settings, display)
            report = train(
                [shape.mesh for shape in shapes],
                settings=settings,
                folder=folder,
                device=device,
                time_limit=options.time_limit,
                clock=clock,
                started=started,
                watcher=course.watcher,
            )
        if first:
            course.finish(report, device, stated)
    return 0


def _prepare(options: argparse.Namespace) -> None:
    """Make the data set first, if asked to."""
    if options.inputs is None:
        if options.label is not None:
            raise InputError("--label goes with --from, which makes the data set.")
        return
    if "RANK" in os.environ:
        raise InputError("Under torchrun, leave out --from: make the data set with dals prepare first.")
    print(f"Making {options.dataset}...", file=sys.stderr, flush=True)
    rest = {"ras": False, "mirror": False, "scheduler": None, "workers": None}
    prepare.run(argparse.Namespace(out=options.dataset, inputs=options.inputs, label=options.label, **rest))


class _Course:
    """Measures the prior on the way and at the end."""

    def __init__(
        self,
        options: argparse.Namespace,
        shapes: Sequence[NormalisedShape],
        aside: Sequence[NormalisedShape],
        settings: TrainingSettings,
        display: TrainingDisplay,
    ) -> None:
        from dals.training import Watcher
        from dals.training.validation import Validator

        self._options, self._shapes, self._settings, self._display = options, shapes, settings, display
        self._validator = Validator(shapes, aside)
        self.watcher = Watcher(
            on_set_up=display.on_set_up,
            on_start=display.on_start,
            on_step=display.on_step,
            examine=self._examine if aside else None,
        )

    def finish(self, report: TrainingReport, device: torch.device, stated: Mapping[str, Any]) -> None:
        """Measure what was trained, write it and say what it is worth."""
        from dals.model.prior import save_prior

        out = self._options.out
        prior = self._prior(report.decoder, report.latents)
        with ProgressBar("Measuring") as progress:
            progress.update(0.0, 1.0)
            verdict = self._validator.verdict(prior, progress=progress.update)
        card = card_of(
            out.stem,
            self._options.dataset,
            self._shapes,
            settings=self._settings,
            report=report,
            device=device,
            verdict=verdict,
            stated=stated,
        )
        save_prior(out, replace(prior, card=card))
        done = "finished" if report.finished else "time is up"
        print(
            f"{out}: {done} after {report.progress.epoch} epochs, {report.progress.step} steps, "
            f"{report.progress.seconds / 60:.1f} minutes; SHA-256 {prior.digest[:12]}."
        )
        if verdict.held_out is not None:
            print(f"  {verdict.held_out}")
        print(f"  {_drawn(out.with_suffix('.png'), prior)}", flush=True)
        if card["licence"] == NO_LICENCE:
            print("  The card states no licence: name it with --licence before you pass the prior on.", flush=True)
        if verdict.warning is not None:
            warnings.warn(verdict.warning, DalsWarning, stacklevel=2)

    def _examine(self, decoder: Decoder, latents: Tensor, progress: TrainingProgress) -> None:
        error = self._validator.held_out(self._prior(decoder, latents), most=_ON_THE_WAY)
        if error is not None:
            self._display.on_held_out(error, progress)

    def _prior(self, decoder: Decoder, latents: Tensor) -> ShapePrior:
        from dals.training.assembly import assembled_prior

        radius = self._settings.template_radius
        return assembled_prior(self._options.out.stem, self._shapes, decoder, latents, template_radius=radius)


def _drawn(path: Path, prior: ShapePrior) -> str:
    """Draw the prior, and say where, or why not."""
    try:
        from dals.demo.prior_picture import draw_prior

        draw_prior(path, prior)
    except DalsError as error:
        return str(error)
    except ImportError as error:  # a machine without OpenGL lacks what VTK is linked to
        return f"There is no picture of mean shape and modes, since VTK cannot render here: {error}."
    return f"Mean shape and first modes: {path}"


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


@contextmanager
def _processes(name: str) -> Iterator[torch.device]:
    """Join the other processes under torchrun; yield the device of this process."""
    import torch
    import torch.distributed as dist

    from dals.ops.device import choose_device

    device = choose_device(name)
    torch.set_float32_matmul_precision("high")  # TF32 where available; no effect on the CPU
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    yield device
    # Without this, threads of the group sometimes abort the process when the interpreter exits. It is not reached after
    # an error, when the others may be waiting: torchrun ends them.
    dist.barrier()
    dist.destroy_process_group()


def _read_names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    check_regular(path, limit=LARGEST_TEXT)
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"The list of names {path} cannot be read.") from error


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
