"""Make the shipped liver prior from the training livers: `python Testing/benchmarks/make_liver_prior.py`.

Prepares `msd_train` and `amos_train` (never `msd_test`), trains, and writes
`Resources/Priors/liver.safetensors`. Interrupted at any moment, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks.protocol import CACHE, LIVERS
from dals.cli import main as dals

CARD = Path(__file__).resolve().parent / "liver_card.json"


def main() -> int:
    """Prepare and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Priors" / "liver.safetensors")
    parser.add_argument("--time-limit", default="66m", help="of the training; the shipped prior had 66m on two cores")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    splits = json.loads((LIVERS / "splits.json").read_text(encoding="utf-8"))
    names = [*splits["msd_train"], *splits["amos_train"]]
    dataset, trained = CACHE / "livers_train", CACHE / "prior" / "liver.safetensors"
    trained.parent.mkdir(parents=True, exist_ok=True)
    inputs = [str(LIVERS / "meshes" / f"{name}.ply") for name in names]
    status = dals(["prepare", str(dataset), *inputs, "--ras"])
    arguments = ["--time-limit", options.time_limit, "--points", "1500", "--card", str(CARD)]
    status = status or dals(["train", str(dataset), str(trained), "--device", options.device, *arguments])
    if status == 0:
        options.out.write_bytes(trained.read_bytes())
    return status


if __name__ == "__main__":
    sys.exit(main())
