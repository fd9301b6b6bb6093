"""Train the implicit systems that the project's method is compared with: `python Testing/benchmarks/train_systems.py`.

On livers (hippocampi) of the training split alone, each for 30 minutes of processor time on one core, one after the
other; several can be trained at the same time with `--systems`. Interrupted at any moment, it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and Torch read it

import torch

from benchmarks.comparison.shapes import prepared, shapes_of, split_names
from benchmarks.systems import trained
from benchmarks.systems.auto_decoder import Status
from dals.dataset import load_dataset
from dals.errors import DalsError
from dals.standardise import StandardShape


def main() -> int:
    """Train what has no weights yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=trained.NAMES, default=list(trained.NAMES), metavar="NAME")
    parser.add_argument("--organ", choices=("liver", "hippocampus"), default="liver")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="shapes to be measured later")
    parser.add_argument("--minutes", type=float, help=f"processor time of each; default: {trained.FULL_MINUTES:g}")
    parser.add_argument("--quick", action="store_true", help=f"{trained.QUICK_MINUTES:g} minute each")
    parser.add_argument("--shapes", type=Path, help="folder of a prepared data set with the training shapes")
    parser.add_argument("--out", type=Path, default=trained.WEIGHTS, help="folder of the weights")
    parser.add_argument("--fresh", action="store_true", help="train anew what has weights already")
    options = parser.parse_args()
    minutes = options.minutes or (trained.QUICK_MINUTES if options.quick else trained.FULL_MINUTES)
    torch.set_num_threads(1)
    try:
        shapes = _shapes(options.organ, options.split, options.shapes)
        for name in options.systems:
            path = trained.weights_path(
                name, organ=options.organ, split=options.split, quick=options.quick, folder=options.out
            )
            if path.exists() and not options.fresh:
                print(f"{name}: {path} is there already.")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            print(f"{name}: {minutes:g} minutes of one core on {len(shapes)} shapes", flush=True)
            trained.train_system(name, shapes, path, minutes=minutes, on_shape=_tell_shape, on_status=_tell)
    except DalsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _shapes(organ: str, split: str, folder: Path | None) -> list[StandardShape]:
    """Those of the training split; without the ones left out for validation if these shall be measured."""
    if folder is not None:
        chosen = split_names(organ) if split == "test" else [s.name for s in shapes_of(organ, "training")]
        return load_dataset(folder, names=chosen)
    return prepared(organ, split_names(organ)) if split == "test" else shapes_of(organ, "training")


def _tell_shape(name: str) -> None:
    print(f"  signed distances of {name}", flush=True)


def _tell(status: Status) -> None:
    print(
        f"  {100 * status.fraction:3.0f}%  {status.seconds / 60:5.1f} min  step {status.step:6d}"
        f"  loss {status.loss:.5f}  distance error {status.error:.5f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
