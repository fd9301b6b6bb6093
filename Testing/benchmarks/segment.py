"""Networks that segment the hippocampus: `python Testing/benchmarks/segment.py networks --full`.

U-Net, V-Net, UNETR and nnU-Net learn from three labelled slices of each training image, segment the validation
and test images, and are scored. Only what is missing is made; interrupted, it goes on where it was. Nothing
is chosen on the test images.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks.segmentation.cases import FOLDER

BACKBONES = ("unet", "vnet", "unetr", "nnunet")
FULL_MINUTES = {"unet": 9.0, "vnet": 7.0, "unetr": 9.0, "nnunet": 10.0}
QUICK_MINUTES = 1.0


def main() -> int:
    """Train, predict, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    networks = commands.add_parser("networks", help="train, predict and score the networks")
    length = networks.add_mutually_exclusive_group(required=True)
    length.add_argument("--quick", action="store_true", help=f"{QUICK_MINUTES:g} minute each, in a folder of its own")
    length.add_argument("--full", action="store_true", help="as for the stored figures")
    networks.add_argument("--minutes", type=float, help="for each network, of one core")
    networks.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    refining = commands.add_parser("refine", help="refine the predictions with the hippocampus prior, and compare")
    refining.add_argument("--split", choices=("validation", "test"), default="validation")
    refining.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    options = parser.parse_args()
    if options.command == "refine":
        for backbone in options.backbones:
            refine(backbone, options.split)
        return 0
    for backbone in options.backbones:
        minutes = options.minutes or (FULL_MINUTES[backbone] if options.full else QUICK_MINUTES)
        make(backbone, minutes=minutes, folder=FOLDER if options.full else FOLDER / "quick")
    return 0


def make(backbone: str, *, minutes: float, folder: Path) -> None:
    """Train a network if it is not there, predict, print and store its scores."""
    from benchmarks.segmentation.predict import predict
    from benchmarks.segmentation.scores import scores, summary

    if backbone == "nnunet":
        from benchmarks.segmentation.nnunet import train_nnunet

        weights = train_nnunet(minutes=minutes, folder=folder)
    else:
        from benchmarks.segmentation.train import train

        weights = train(backbone, minutes=minutes, folder=folder)
    stored = folder / "scores" / f"{backbone}.json"
    if predict(backbone, weights, folder=folder) or not stored.exists():
        stored.parent.mkdir(parents=True, exist_ok=True)
        found = {split: summary(scores(backbone, split, folder=folder)) for split in ("validation", "test")}
        stored.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for split, figures in json.loads(stored.read_text(encoding="utf-8")).items():
        overlap, distance = figures["dice"], figures["hausdorff_mm"]
        print(
            f"{backbone:7}{split:11} Dice {overlap['mean']:.3f} ± {overlap['std']:.3f}  "
            f"Hausdorff {distance['mean']:.2f} ± {distance['std']:.2f} mm"
        )


def refine(backbone: str, split: str) -> None:
    """Print what refining a network's predictions changes, if they are there."""
    from benchmarks.segmentation.cases import label_path, names_of
    from benchmarks.segmentation.refine import refined_case, summary
    from dals.prior import load_prior

    cases = [name for name in names_of(split) if label_path(backbone, name).is_file()]
    if not cases:
        print(f"{backbone:7}{split:11} no predictions yet")
        return
    prior = load_prior("hippocampus")
    found = summary([refined_case(prior, backbone, case, folder=FOLDER) for case in cases])
    print(f"{backbone:7}{split:11} " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
