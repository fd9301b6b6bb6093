"""The model card that `dals train` writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.errors import InputError
from dals.io.regular_files import LARGEST_TEXT, check_regular
from dals.model.prior_files import SIDES

if TYPE_CHECKING:
    import torch

    from dals.dataset.normalisation import NormalisedShape
    from dals.training import TrainingReport, TrainingSettings
    from dals.training.validation import Verdict

NO_LICENCE = "not stated"


def add_card_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that the card takes its entries from."""
    parser.add_argument("--licence", metavar="TEXT", help="of the prior, for the model card: follows from its data")
    parser.add_argument("--side", choices=SIDES, help="of the body that the shapes are of, for the model card")
    parser.add_argument("--card", type=Path, metavar="FILE", help="JSON with further entries for the model card")


def read_card(options: argparse.Namespace) -> dict[str, Any]:
    """The entries that the user states, by options or in a file; options count more.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    card = {} if options.card is None else _read(options.card)
    stated = {"licence": options.licence, "side": options.side}
    return {**card, **{name: value for name, value in stated.items() if value is not None}}


def _read(path: Path) -> dict[str, Any]:
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


def card_of(
    organ: str,
    dataset: Path,
    shapes: Sequence[NormalisedShape],
    *,
    settings: TrainingSettings,
    report: TrainingReport,
    device: torch.device,
    verdict: Verdict,
    stated: Mapping[str, Any],
) -> dict[str, Any]:
    """The card; what the user stated counts more. It names no case, since names may tell who a patient is."""
    from dals import __version__

    scales = [shape.scale_mm for shape in shapes]
    radii = f"{min(scales):.0f} to {max(scales):.0f}"
    return {
        "organ": organ,
        "data": [f"{len(shapes)} shapes of the data set {dataset.resolve().name}, {radii} mm in radius"],
        "shapes": len(shapes),
        "licence": NO_LICENCE,
        "training": {
            "settings": asdict(settings),
            "epochs": report.progress.epoch,
            "steps": report.progress.step,
            "minutes": round(report.progress.seconds / 60, 1),
            "date": date.today().isoformat(),
            "device": _device_name(device),
            "version": __version__,
        },
        "validation": verdict.figures,
        "intended_use": "Research on shape completion; not a medical device.",
        **stated,
    }


def _device_name(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type
