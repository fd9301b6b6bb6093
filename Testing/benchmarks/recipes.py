"""The project's training recipe beside the paper's, in equal time: `python Testing/benchmarks/recipes.py`.

Trains both on the training livers without every eighth, one after the other on one thread each, and fits
the livers left out: with 2,500 points (one latent, and one per vertex) and with three central planes, the
pose known. The held-out livers have no part in it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

import torch

from benchmarks import organs, protocol
from benchmarks.systems.dals_system import BASES
from dals.cli import main as dals
from dals.dataset.normalisation import NormalisedShape
from dals.dataset.storage import load_dataset
from dals.fit_settings import FitSettings
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.observations import Observation, kind_named
from dals.refinement import refine

EVERY = 8


def main() -> int:
    """Train both, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25.0, help="for each recipe")
    options = parser.parse_args()
    torch.set_num_threads(1)
    splits = json.loads((organs.LIVERS / "splits.json").read_text(encoding="utf-8"))
    names = [*splits["msd_train"], *splits["amos_train"]]
    left_out = names[::EVERY]
    dataset = protocol.CACHE / "liver_train"
    inputs = [str(organs.LIVERS / "meshes" / f"{name}.ply") for name in names]
    if dals(["prepare", str(dataset), *inputs, "--ras"]) != 0:
        return 2
    usable = {shape.name: shape for shape in load_dataset(dataset)}
    chosen = protocol.CACHE / "recipes.txt"
    chosen.write_text("\n".join(name for name in usable if name not in left_out), encoding="utf-8")
    for recipe in ("project", "paper"):
        trained = protocol.CACHE / "recipes" / f"{recipe}.safetensors"
        trained.parent.mkdir(parents=True, exist_ok=True)
        limit = ["--time-limit", f"{round(60 * options.minutes)}s", "--device", "cpu", "--validation", "0"]
        if dals(["train", str(dataset), str(trained), "--names", str(chosen), "--recipe", recipe, *limit]) != 0:
            return 2
        prior = load_prior(trained)
        figures = np.mean([_fits(prior, usable[name]) for name in left_out if name in usable], axis=0)
        steps = prior.card["training"]["steps"]
        print(
            f"{recipe:8s} {steps} steps; Chamfer: points, one latent {figures[0]:.2e}; points {figures[1]:.2e}; "
            f"planes {figures[2]:.2e}"
        )
    return 0


def _fits(prior: ShapePrior, shape: NormalisedShape) -> list[float]:
    points, pose = BASES["points"], protocol.known_pose(shape)
    single = replace(points, lambda_dir=math.inf, shared_steps=100, level=3)
    tasks: list[tuple[Observation, FitSettings]] = [
        (protocol.points_of(shape), single),
        (protocol.points_of(shape), points),
        (protocol.central_planes_of(shape), kind_named("contours").defaults),
    ]
    return [_chamfer(prior, observation, settings, pose, shape) for observation, settings in tasks]


def _chamfer(
    prior: ShapePrior, observation: Observation, settings: FitSettings, pose: Pose, shape: NormalisedShape
) -> float:
    return float(protocol.judge(refine(observation, prior, settings=settings, pose=pose).mesh, shape)["chamfer"])


if __name__ == "__main__":
    sys.exit(main())
