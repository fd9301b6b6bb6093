"""Make a shipped prior from its training shapes: `python Testing/benchmarks/make_prior.py liver`.

Prepares the shapes of the training split (never those that benchmarks are run on), trains, and writes
`Resources/Priors/ORGAN.safetensors`. Interrupted at any moment, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks.protocol import CACHE, HIPPOCAMPI, LIVERS
from dals.cli import main as dals

CARDS = Path(__file__).resolve().parent / "cards"
TIME_LIMITS = {"liver": "66m", "hippocampus": "25m"}
"""What the shipped priors had: the liver on two cores, the hippocampus on one, both shared with other work."""


def main() -> int:
    """Prepare and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("organ", choices=tuple(TIME_LIMITS))
    parser.add_argument("--out", type=Path, help="instead of Resources/Priors/ORGAN.safetensors")
    parser.add_argument("--time-limit", help="of the training")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    organ: str = options.organ
    dataset, trained = CACHE / f"{organ}_train", CACHE / "prior" / f"{organ}.safetensors"
    trained.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--time-limit", options.time_limit or TIME_LIMITS[organ], "--points", "1500"]
    arguments += ["--card", str(CARDS / f"{organ}.json"), "--device", options.device]
    status = dals(["prepare", str(dataset), *_inputs(organ)]) or dals(["train", str(dataset), str(trained), *arguments])
    if status == 0:
        out = options.out or ROOT / "Resources" / "Priors" / trained.name
        out.write_bytes(trained.read_bytes())
    return status


def _inputs(organ: str) -> list[str]:
    """Files and options for `dals prepare`."""
    if organ == "liver":
        splits = json.loads((LIVERS / "splits.json").read_text(encoding="utf-8"))
        names = [*splits["msd_train"], *splits["amos_train"]]
        return [*(str(LIVERS / "meshes" / f"{name}.ply") for name in names), "--ras"]
    names = json.loads((HIPPOCAMPI / "splits.json").read_text(encoding="utf-8"))["prior_train"]
    return [*(str(HIPPOCAMPI / "labels" / f"{name}.nii.gz") for name in names), "--label", "1", "2"]


if __name__ == "__main__":
    sys.exit(main())
