"""Train the systems that the tables compare: `python Testing/benchmarks/train_systems.py`.

On livers of the training split, without those that settings are tuned on: each for 30 minutes on one
core, one after the other; several can be trained at the same time with `--systems`. Interrupted at any moment, it
goes on where it was. What has weights already is left alone.
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

from benchmarks.comparison import learnt
from benchmarks.systems.auto_decoder import Status
from benchmarks.systems.trained import weights_path
from dals.errors import DalsError

ORGAN = "liver"
SYSTEMS = (learnt.PRIOR, *learnt.NAMES)


def main() -> int:
    """Train what has no weights yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help=f"{learnt.minutes(True):g} minutes each, on few shapes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.systems:
        path = weights_path(name, organ=ORGAN, quick=options.quick)
        if path.exists():
            print(f"{name}: {path} is there already.")
            continue
        print(f"{name}: {learnt.minutes(options.quick):g} minutes of one core", flush=True)
        learnt.train(name, organ=ORGAN, quick=options.quick, on_shape=_tell_shape, on_status=_tell)
    return 0


def _tell_shape(name: str) -> None:
    print(f"  signed distances of {name}", flush=True)


def _tell(status: Status) -> None:
    print(
        f"  {100 * status.fraction:3.0f}%  {status.seconds / 60:5.1f} min  step {status.step:6d}"
        f"  loss {status.loss:.5f}  distance error {status.error:.5f}",
        flush=True,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DalsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
