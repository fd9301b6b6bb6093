"""Segmentations refined with priors, from networks to pictures: `python Testing/benchmarks/segment.py all --full`.

U-Net, V-Net, UNETR and nnU-Net learn from three labelled slices of each training image of the hippocampus and segment
the validation and test images (`networks`); these are refined with the hippocampus prior (`refine`). True masks of
livers are damaged or blemished, smoothed as is usual, and refined with the liver prior (`livers`). So is a network's
mask of a CT that ends in the liver (`ct`). Only what is missing is made; interrupted, it goes on where it was. Nothing
is chosen on the test cases.

`networks` needs MONAI and nnU-Net, the rest does not. Figures of whole test splits are stored under
`Testing/benchmarks/results`, others beside the networks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks.segmentation.cases import FOLDER, names_of, predicted
from dals.errors import DalsError

BACKBONES = ("unet", "vnet", "unetr", "nnunet")
FULL_MINUTES = {"unet": 9.0, "vnet": 7.0, "unetr": 9.0, "nnunet": 10.0}
QUICK_MINUTES = 1.0
QUICK = FOLDER / "quick"
QUICK_CASES = 3
SPLITS = ("validation", "test")
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Do what the command says."""
    options = _parser().parse_args()
    if options.command in ("networks", "all"):
        networks(options)
    if options.command in ("refine", "all"):
        refine(options)
    if options.command in ("livers", "all"):
        livers(options)
    if options.command == "ct":
        from benchmarks.segmentation.chaos_study import refine_ct

        refine_ct(prior_name=options.prior or "liver")
    return 0


def networks(options: argparse.Namespace) -> None:
    """Train what is not there, predict, and print how good the predictions are."""
    folder = QUICK if options.quick else FOLDER
    for backbone in options.backbones:
        make(backbone, minutes=options.minutes or _minutes(backbone, quick=options.quick), folder=folder)
    from benchmarks.segmentation.hippocampus_study import raw_scores
    from benchmarks.segmentation.table import brief

    for split in SPLITS[:1] if options.quick else SPLITS:
        found = raw_scores(options.backbones, split, folder=folder, workers=options.workers)
        print(f"{split}:\n{brief(found)}")


def make(backbone: str, *, minutes: float, folder: Path) -> None:
    """Train a network if it is not there, and predict."""
    from benchmarks.segmentation.predict import predict

    if backbone == "nnunet":
        from benchmarks.segmentation.nnunet import train_nnunet

        weights = train_nnunet(minutes=minutes, folder=folder)
    else:
        from benchmarks.segmentation.train import train

        weights = train(backbone, minutes=minutes, folder=folder)
    predict(backbone, weights, folder=folder)


def refine(options: argparse.Namespace) -> None:
    """Networks' predictions with the hippocampus prior."""
    from benchmarks.segmentation.hippocampus_study import refine_hippocampi

    folder, images = QUICK if options.quick else FOLDER, names_of(options.split)
    there = {backbone for backbone in options.backbones if predicted(backbone, options.split, folder=folder) == images}
    refine_hippocampi(
        options.backbones,
        options.split,
        folder=folder,
        results=_results(options, whole=there == set(BACKBONES)),
        prior_name=options.prior or "hippocampus",
        cases=_cases(options),
        workers=options.workers,
    )


def livers(options: argparse.Namespace) -> None:
    """Damaged, clean and blemished livers with the liver prior."""
    from benchmarks.segmentation.liver_study import refine_livers

    refine_livers(
        options.split,
        results=_results(options, whole=True),
        prior_name=options.prior or "liver",
        cases=_cases(options),
        workers=options.workers,
    )


def _minutes(backbone: str, *, quick: bool) -> float:
    return QUICK_MINUTES if quick else FULL_MINUTES[backbone]


def _cases(options: argparse.Namespace) -> int | None:
    return options.cases or (QUICK_CASES if options.quick else None)


def _results(options: argparse.Namespace, *, whole: bool) -> Path | None:
    """Where figures are stored: beside the code only if they are those of the shipped prior on all test cases."""
    if options.split != "test":
        return None
    if whole and _cases(options) is None and options.prior is None:
        return RESULTS
    return (QUICK if options.quick else FOLDER) / "results"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    everything = _command(commands, "all", "networks, refine and livers, the latter two on the test cases")
    everything.set_defaults(split="test", prior=None)
    training = _command(commands, "networks", "train, predict and score the networks")
    refining = _command(commands, "refine", "refine the predictions with the hippocampus prior, and compare")
    hepatic = _command(commands, "livers", "smooth and refine damaged livers, and compare")
    radiological = commands.add_parser("ct", help="refine a network's mask of a CT that ends in the liver")
    radiological.add_argument("--prior", help="another than the shipped one: its name or file")
    for command in (everything, training):
        command.add_argument("--minutes", type=float, help="for each network, of one core")
    for command in (everything, training, refining):
        command.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    for command in (everything, refining, hepatic):
        command.add_argument("--cases", type=int, help="only the first N of each group")
    for command, split in ((refining, "validation"), (hepatic, "test")):
        command.add_argument("--split", choices=SPLITS, default=split, help=f"{split} by default")
        command.add_argument("--prior", help="another than the shipped one: its name or file")
    return parser


def _command(commands: argparse._SubParsersAction, name: str, about: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    length = command.add_mutually_exclusive_group(required=name != "refine")
    length.add_argument(
        "--quick", action="store_true", help=f"{QUICK_MINUTES:g} minute a network in a folder of its own, few cases"
    )
    length.add_argument("--full", action="store_true", help="as for the stored figures")
    command.add_argument("--workers", type=int, default=2)
    return command


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DalsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
