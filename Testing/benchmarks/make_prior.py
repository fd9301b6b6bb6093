"""Make a shipped prior from its training shapes: `python Testing/benchmarks/make_prior.py liver`.

Prepares the shapes of the training split (never those that benchmarks are run on), trains, and writes
`Resources/Priors/ORGAN.safetensors`. Interrupted at any moment, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks.organs import ORGANS
from benchmarks.protocol import CACHE, training_shapes
from dals.cli import main as dals
from dals.errors import DalsError

CARDS = Path(__file__).resolve().parent / "cards"
VARIANTS = {"liver": 60, "hippocampus": 30, "spleen": 150, "kidney": 150, "parotid": 100, "brainstem": 150}
"""Warps of each shape: more where there are few shapes."""
BLENDED = ("spleen", "kidney", "parotid", "brainstem")
"""Organs of few shapes, whose blends are trained, too."""
TIME_LIMIT = "6h"
"""On a processor; a GPU takes minutes for as many steps, and the schedule follows the time."""


def main() -> int:
    """Prepare and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("organ", choices=ORGANS)
    parser.add_argument("--out", type=Path, help="instead of Resources/Priors/ORGAN.safetensors")
    parser.add_argument("--time-limit", default=TIME_LIMIT, help="of the training")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    organ: str = options.organ
    trained = CACHE / "prior" / f"{organ}.safetensors"
    trained.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--time-limit", options.time_limit, "--points", "1500", "--batch-size", "32", "--validation", "0"]
    arguments += ["--variants", str(VARIANTS[organ]), "--card", str(CARDS / f"{organ}.json")]
    arguments += ["--blend", "0.05"] if organ in BLENDED else []
    status = dals(["train", str(training_shapes(organ)), str(trained), *arguments, "--device", options.device])
    if status == 0:
        out = options.out or ROOT / "Resources" / "Priors" / trained.name
        out.write_bytes(trained.read_bytes())
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DalsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
