"""All that needs a GPU, in under ten minutes: `python Testing/benchmarks/gpu.py [--out FILE.json]`.

Training speed, fit timings and agreement with the processor's result, on the embedded
synthetic liver and made-up training shapes: needs no data.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

import torch

from benchmarks.speed import body_scan, scan_of, synthetic_case
from dals.dataset.normalisation import canonical
from dals.demo.synthetic_liver import synthetic_liver
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.prior import load_prior
from dals.observations import Observation, PointCloud, Segmentation
from dals.refinement import refine
from dals.training import TrainingSettings, train
from dals.training.augmentation import PointWolfSettings, draw_warps


def main() -> int:
    """Measure, print, and store if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--prior", default="liver")
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself out")
    parser.add_argument("--train-seconds", type=float, default=60.0)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device; nothing was measured.", file=sys.stderr)
        return 2
    device = torch.device(options.device)
    figures: dict[str, Any] = {"device": _name(device), "torch": torch.__version__}
    figures["training"] = {
        precision: _training(device, options.train_seconds, precision) for precision in ("float32", "bfloat16")
    }
    figures["fits"] = _fits(options.prior, device)
    print(json.dumps(figures, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _training(device: torch.device, seconds: float, precision: str) -> dict[str, float]:
    """Steps and shapes a second of the default recipe on warped synthetic livers."""
    settings = TrainingSettings().changed(precision=precision, variants=10, batch_size=32)
    with tempfile.TemporaryDirectory() as folder:
        report = train(_made_up_shapes(8), settings=settings, folder=Path(folder), device=device, time_limit=seconds)
    steps, spent = report.progress.step, report.progress.seconds
    return {"steps_per_second": steps / spent, "shapes_per_second": steps * settings.batch_size / spent}


def _made_up_shapes(count: int) -> list[TriangleMesh]:
    base = canonical(synthetic_liver(spacing=6.0)).mesh
    vertices = torch.as_tensor(base.vertices, dtype=torch.float32).expand(count, -1, -1)
    warps = draw_warps(vertices, PointWolfSettings(), generator=torch.Generator().manual_seed(0))
    return [TriangleMesh(v.numpy(), base.faces) for v in warps.apply(vertices)]


def _fits(prior_name: str, device: torch.device) -> dict[str, Any]:
    """Seconds of each task, and the distance of the surface from that of the processor."""
    rows = {}
    for name, (observation, options) in _tasks().items():
        prior = load_prior(prior_name)
        on_device = prior.to(device)
        seconds = []
        for _ in range(2):  # the first one warms up
            began = time.monotonic()
            ours = refine(observation, on_device, **options)
            seconds.append(time.monotonic() - began)
        began = time.monotonic()
        reference = refine(observation, prior, **options)
        rows[name] = {
            "seconds": seconds[-1],
            "cpu_seconds": time.monotonic() - began,
            "distance_from_cpu_mm": _gap(ours.mesh, reference.mesh),
        }
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    return rows


def _tasks() -> dict[str, tuple[Observation, dict[str, Any]]]:
    """Observations of the synthetic liver, and the options of `refine`."""
    truth, contours = synthetic_case()
    rng = np.random.default_rng(0)
    points = PointCloud(truth.vertices[rng.choice(len(truth.vertices), 2_500, replace=False)])
    segmentation = Segmentation(body_scan(truth))
    return {
        "contours": (contours, {}),
        "contours and image": (contours, {"image": scan_of(truth)}),
        "points": (points, {}),
        "segmentation": (segmentation, {}),
        "contours, paper's loop": (contours, {"settings": contours.paper}),
        "segmentation, paper's loop": (segmentation, {"settings": segmentation.paper}),
    }


def _gap(mesh: TriangleMesh, other: TriangleMesh) -> dict[str, float]:
    """Mean and largest distance between two surfaces, mm, in both directions."""
    both = np.concatenate([surface_distances(mesh.vertices, other), surface_distances(other.vertices, mesh)])
    return {"mean": float(both.mean()), "maximum": float(both.max())}


if __name__ == "__main__":
    sys.exit(main())
