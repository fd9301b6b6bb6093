"""Time and memory of the main job, beside the paper's plain loop: `python Testing/benchmarks/speed.py`.

Uses the embedded synthetic liver, so that it runs anywhere. Everything is measured in one
run on the same machine; the ratios are what can be compared between machines. `--beside`
adds the cold starts of another commit, whose folder `git worktree add FOLDER COMMIT` makes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine")]

import torch

from dals.demo.synthetic_ct import synthetic_ct, write_ct
from dals.demo.synthetic_liver import cut_contour, synthetic_liver
from dals.evaluation.metrics import compare
from dals.fit_settings import FitSettings
from dals.fitting import FitStep
from dals.geometry.label_map import LabelMap
from dals.geometry.splines import sample_closed_spline
from dals.geometry.volume import Volume
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import write_label_map
from dals.io.markups import write_contours
from dals.model.decoder import Decoder
from dals.model.prior import ShapePrior, load_prior
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours, kind_named
from dals.refinement import refine

OFFSETS = (0.06, -0.05, 0.07)
SPACING_MM = (0.8, 0.8, 5.0)
CT_SPACING_MM, CT_MARGIN_MM = (1.6, 1.6, 5.0), 40.0
WHOLE_CT_SPACING_MM, WHOLE_CT = (0.8, 0.8, 2.5), (120, 512, 512)
"""Of a scan as hospitals make it; its shape is (K, J, I)."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prior", default="liver")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-paper", action="store_true", help="leave out the paper's loop (half a minute)")
    parser.add_argument("--beside", type=Path, help="folder of another commit, whose cold starts are measured, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prior = load_prior(options.prior)
    truth, contours = synthetic_case()
    rows = _cold_starts(options.prior, truth, contours, beside=options.beside)
    default = kind_named("contours").defaults
    rows["default"] = _measure(prior, contours, truth, default)
    rows["refit"] = _refit(prior, contours)
    rows["refit with image"] = _refit(prior, contours, image=scan_of(truth))
    if not options.skip_paper:
        rows["paper's loop"] = _measure(prior, contours, truth, kind_named("contours").paper)
    _print(rows, _floor(prior, default))
    return 0


def synthetic_case() -> tuple[Any, PlanarContours]:
    """The truth and three clicked contours off the middle."""
    truth = synthetic_liver()
    low, high = truth.vertices.min(axis=0), truth.vertices.max(axis=0)
    contours = []
    for axis, offset in enumerate(OFFSETS):
        origin = 0.5 * (low + high)
        origin[axis] += offset * (high - low)[axis]
        clicks = cut_contour(truth, origin, np.eye(3)[axis], seed=axis)
        contours.append(Contour(sample_closed_spline(clicks), clicks, f"plane {axis}"))
    return truth, PlanarContours(tuple(contours))


def body_scan(truth: Any) -> LabelMap:
    """The organ's segmentation in an image of 512 x 512 x 100 voxels of 0.8 x 0.8 x 5 mm."""
    matrix = np.diag([*SPACING_MM, 1.0])
    matrix[:3, 3] = truth.vertices.mean(axis=0) - matrix[:3, :3] @ [300.0, 220.0, 60.0]
    return mesh_to_label_map(truth, LabelMap(np.zeros((100, 512, 512), dtype=np.bool_), matrix, "scan"))


def scan_of(truth: Any, spacing_mm: tuple[float, float, float] = CT_SPACING_MM) -> Volume:
    """A synthetic CT of the organ and what is around it."""
    low, high = truth.vertices.min(axis=0) - CT_MARGIN_MM, truth.vertices.max(axis=0) + CT_MARGIN_MM
    matrix = np.diag([*spacing_mm, 1.0])
    matrix[:3, 3] = low
    size = np.ceil((high - low) / spacing_mm).astype(int)
    return synthetic_ct(truth, LabelMap(np.zeros(size[::-1], dtype=np.bool_), matrix, "scan"))


def whole_ct(truth: Any) -> Volume:
    """The same in 512 x 512 x 120 voxels of 0.8 x 0.8 x 2.5 mm, with air around it."""
    near = scan_of(truth, WHOLE_CT_SPACING_MM)
    before = [(whole - part) // 2 for whole, part in zip(WHOLE_CT, near.array.shape, strict=True)]
    array = np.full(WHOLE_CT, near.array.min(), dtype=near.array.dtype)
    array[tuple(slice(a, a + n) for a, n in zip(before, near.array.shape, strict=True))] = near.array
    matrix = near.ijk_to_ras.copy()
    matrix[:3, 3] -= matrix[:3, :3] @ before[::-1]
    return Volume(array, matrix, near.name)


def _cold_starts(
    prior: str, truth: Any, contours: PlanarContours, *, beside: Path | None
) -> dict[str, dict[str, float]]:
    """`dals refine` in a fresh process, from contours, with a CT and without, and from a segmentation.

    The quicker of two starts in turn.
    """
    roots = {"cold": ROOT, **({} if beside is None else {"beside": beside.resolve()})}
    with tempfile.TemporaryDirectory() as folder:
        curves, scan, ct = (Path(folder) / name for name in ("contours.mrk.json", "scan.nii.gz", "ct.nii.gz"))
        write_contours(curves, contours.contours)
        write_label_map(scan, body_scan(truth))
        write_ct(ct, whole_ct(truth))
        drawn = ["--contours", str(curves)]
        given = {"contours": drawn, "segmentation": ["--segmentation", str(scan)]}
        starts = {f"{name}, {what}": (root, way) for what, way in given.items() for name, root in roots.items()}
        starts["cold, contours and CT"] = ROOT, [*drawn, "--image", str(ct)]
        rows: dict[str, dict[str, float]] = {}
        for _ in range(2):
            for name, (root, way) in starts.items():
                row = _cold_start(root, prior, way, Path(folder))
                rows[name] = min(row, rows.get(name, row), key=lambda one: one["wall_s"])
    return rows


def _cold_start(root: Path, prior: str, given: list[str], folder: Path) -> dict[str, float]:
    """Wall time and peak memory of `dals refine` in a fresh process."""
    report = folder / "report.json"
    arguments = ["refine", "-o", str(folder / "out.stl"), "--prior", prior, "--report", str(report), "--quiet", *given]
    # What the system says of resources used begins with the parent's.
    code = (
        "import sys; from dals.cli import main; status = main(sys.argv[1:]);"
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print('PEAK', peak); sys.exit(status)"
    )
    began = time.monotonic()
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root / "DALSRefine")
    wall = time.monotonic() - began
    peak = float(done.stdout.split("PEAK")[1])
    return {"wall_s": wall, "fit_s": json.loads(report.read_text())["seconds"], "peak_gb": peak / 1024**2}


def _refit(prior: ShapePrior, contours: PlanarContours, *, image: Volume | None = None) -> dict[str, float]:
    """After a point was moved by 5 mm: seconds to the first changed surface and to the end, report and all."""
    first, *others = contours.contours
    assert first.control_points is not None
    clicks = first.control_points.copy()
    outwards = clicks[0] - clicks.mean(axis=0)
    clicks[0] += 5.0 * outwards / np.linalg.norm(outwards)
    moved = PlanarContours((Contour(sample_closed_spline(clicks), clicks, first.name), *others))
    start = refine(contours, prior, image=image).state
    changed: list[float] = []

    def told(step: FitStep) -> None:
        if not changed:
            step.mesh()
            changed.append(time.monotonic() - began)

    times = []
    for _ in range(2):
        changed.clear()
        began = time.monotonic()
        refine(moved, prior, image=image, start=start, on_step=told)
        times.append((time.monotonic() - began, changed[0]))
    end, first_change = min(times)
    return {"first_s": first_change, "wall_s": end}


def _measure(prior: ShapePrior, contours: PlanarContours, truth: Any, settings: FitSettings) -> dict[str, float]:
    result = refine(contours, prior, settings=settings)
    unit = float(np.linalg.norm(truth.vertices - truth.centroid, axis=1).max())
    figures = compare(result.mesh, truth)
    return {
        "fit_s": result.report["seconds"],
        "steps": result.report["iterations"],
        "chamfer": figures.scaled(1 / unit).chamfer,
        "mean_mm": figures.mean_distance,
    }


def flops(decoder: Decoder, vertices: int) -> int:
    """Floating-point operations of a forward pass with one latent per vertex, and of the gradient of the input."""
    weights = sum(layer.weight.numel() for layer in decoder.modules() if isinstance(layer, torch.nn.Linear))
    return 2 * 2 * vertices * weights


def _floor(prior: ShapePrior, settings: FitSettings) -> dict[str, float]:
    """Operations and weight bytes of one step with per-vertex latents, and the time the machine's best takes."""
    vertices = len(icosphere(settings.level).vertices)
    operations = flops(prior.decoder, vertices)
    weight_bytes = 4 * sum(p.numel() for p in prior.decoder.parameters())
    a, b = torch.randn(vertices, 724), torch.randn(724, 724)
    a @ b
    began = time.monotonic()
    for _ in range(20):
        a @ b
    rate = 20 * 2 * vertices * 724 * 724 / (time.monotonic() - began)
    return {
        "gflop_a_step": operations / 1e9,
        "weights_mb": weight_bytes / 1e6,
        "matmul_gflops": rate / 1e9,
        "floor_ms": 1e3 * operations / rate,
    }


def _print(rows: dict[str, dict[str, float]], floor: dict[str, float]) -> None:
    for name, row in rows.items():
        print(f"{name:20s} " + "  ".join(f"{k} {v:.4g}" for k, v in row.items()))
    print("floor                " + "  ".join(f"{k} {v:.4g}" for k, v in floor.items()))
    if "paper's loop" in rows:
        paper, ours = rows["paper's loop"], rows["default"]
        step = paper["fit_s"] / paper["steps"]
        print(
            f"ratios               fit time {ours['fit_s'] / paper['fit_s']:.3f} of the paper's loop, "
            f"Chamfer {ours['chamfer'] / paper['chamfer']:.3f} of its; "
            f"its step takes {1e3 * step:.0f} ms, {1e3 * step / floor['floor_ms']:.2f} times the floor"
        )


if __name__ == "__main__":
    sys.exit(main())
