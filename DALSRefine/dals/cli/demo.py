"""`dals demo`: refines a synthetic liver from contours, without and with a CT, and from a damaged label map."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli.devices import add_device_option
from dals.cli.numbers import seed_of
from dals.errors import DalsWarning, OutputError

if TYPE_CHECKING:
    from dals.cli.cases import Case, Kind
    from dals.fit_settings import FitSettings
    from dals.geometry.label_map import LabelMap
    from dals.geometry.mesh import TriangleMesh
    from dals.observations import Observation

SUMMARY = (
    "Refine a synthetic liver from contours, without and with a synthetic CT, and from a damaged label map; compare "
    "with the truth."
)
_OFFSETS = (0.06, -0.05, 0.07)  # of the planes from the centre, relative to the extent: users miss the centre, too
_VOXEL_MM, _CT_VOXEL_MM = (1.5, 1.5, 3.0), (2.0, 2.0, 3.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--output", type=Path, default=Path("dals-demo"), metavar="FOLDER", help="folder for the results"
    )
    parser.add_argument("--prior", default="liver", metavar="PRIOR", help="name of a prior, or its file")
    add_device_option(parser)
    parser.add_argument("--seed", type=seed_of, default=0, metavar="N", help="seed of every random choice")


@dataclass(frozen=True)
class _DemoCase:
    truth: TriangleMesh
    mask: LabelMap
    damaged: LabelMap
    contours: list[Path]
    label_map: Path
    image: Path


def run(options: argparse.Namespace) -> int:
    """Make the case, refine it in three ways, compare and render."""
    from dals.cli.cases import run_case
    from dals.cli.progress import ProgressBar
    from dals.io.meshes import read_mesh
    from dals.model.prior import load_prior
    from dals.ops.device import choose_device

    prior = load_prior(options.prior).to(choose_device(options.device))
    folder = _folder(options.output)
    demo = _make_case(folder, options.seed)
    results: dict[str, tuple[TriangleMesh, dict[str, Any]]] = {}

    def settings(observation: Observation) -> FitSettings:
        return observation.defaults.changed(seed=options.seed)

    cases = {
        "contours": _case(folder, "contours", demo.contours),
        "contours and CT": _case(folder, "contours", demo.contours, image=demo.image),
        "segmentation": _case(folder, "segmentation", [demo.label_map]),
    }
    for kind, case in cases.items():
        with ProgressBar(f"Refining from {kind}") as progress:

            def on_step(status: Any, progress: ProgressBar = progress) -> bool:
                if status.step % 10 == 0 or status.step == status.total:
                    progress.update(status.step, status.total, status.stage)
                return True

            report = run_case(
                case,
                prior,
                settings=settings,
                on_step=on_step,
            )
        results[kind] = (read_mesh(case.output), report)
    _print_table(demo, results)
    _draw(folder / "demo.png", demo, {kind: mesh for kind, (mesh, _) in results.items()})
    surfaces = ", ".join(case.output.name for case in cases.values())
    print(f"Written to {folder}: the inputs, {surfaces}, their reports and demo.png.")
    return 0


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {path} cannot be made; choose another one with --output.") from error
    return path


def _case(folder: Path, kind: Kind, sources: list[Path], *, image: Path | None = None) -> Case:
    from dals.cli.cases import Case

    name = f"from_{kind}" if image is None else f"from_{kind}_and_CT"
    return Case(
        kind=kind,
        sources=tuple(sources),
        image=image,
        output=folder / f"{name}.stl",
        report=folder / f"{name}.json",
    )


def _make_case(folder: Path, seed: int) -> _DemoCase:
    """Write contours on three off-centre planes, a damaged label map and a CT, as a user would have them."""
    import numpy as np

    from dals.demo.synthetic_ct import synthetic_ct, write_ct
    from dals.demo.synthetic_liver import cut_contour, damaged_mask, synthetic_liver
    from dals.geometry.label_map import LabelMap
    from dals.geometry.splines import sample_closed_spline
    from dals.geometry.voxelisation import mesh_to_label_map
    from dals.io.label_maps import write_label_map
    from dals.io.markups import write_contours
    from dals.observations import Contour

    truth = synthetic_liver()
    low, high = truth.vertices.min(axis=0), truth.vertices.max(axis=0)
    paths = []
    for axis, name in enumerate(("sagittal", "coronal", "axial")):
        origin = 0.5 * (low + high)
        origin[axis] += _OFFSETS[axis] * (high - low)[axis]
        clicked = cut_contour(truth, origin, np.eye(3)[axis], seed=seed + axis)
        paths.append(folder / f"{name}.mrk.json")
        write_contours(paths[-1], [Contour(sample_closed_spline(clicked), clicked, name)])

    def grid(spacing: tuple[float, float, float], margin_mm: float) -> LabelMap:
        matrix = np.diag([*spacing, 1.0])
        matrix[:3, 3] = low - margin_mm
        size = np.ceil((high - low + 2 * margin_mm) / spacing).astype(int)
        return LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid")

    mask = mesh_to_label_map(truth, grid(_VOXEL_MM, 20.0))
    damaged = mask.with_array(damaged_mask(mask.array, mask.spacing[::-1].tolist(), seed=seed))
    label_map = folder / "damaged.nii.gz"
    write_label_map(label_map, damaged)
    image = folder / "CT.nii.gz"
    write_ct(image, synthetic_ct(truth, grid(_CT_VOXEL_MM, 35.0), seed=seed))
    return _DemoCase(truth, mask, damaged, paths, label_map, image)


def _print_table(demo: _DemoCase, results: dict[str, tuple[TriangleMesh, dict[str, Any]]]) -> None:
    from dals.evaluation.metrics import compare, dice
    from dals.geometry.voxelisation import label_map_to_mesh
    from dals.geometry.winding import enclosed

    print(f"{'':16s} {'mean distance':>14s} {'Hausdorff':>10s} {'volume error':>13s} {'Dice':>6s} {'fit':>7s}")
    overlap = dice(demo.damaged, demo.mask)
    given = compare(label_map_to_mesh(demo.damaged), demo.truth, self_intersections=False)
    print(
        f"{'damaged mask':16s} {given.mean_distance:>11.2f} mm {given.hausdorff:>7.1f} mm "
        f"{_volume_error(demo):>12.1f}% {overlap:>6.3f}"
    )
    for kind, (mesh, report) in results.items():
        figures = compare(mesh, demo.truth, self_intersections=False)
        overlap = dice(enclosed(mesh, demo.mask), demo.mask)
        print(
            f"{kind:16s} {figures.mean_distance:>11.2f} mm {figures.hausdorff:>7.1f} mm "
            f"{figures.volume_error:>12.1f}% {overlap:>6.3f} {report['seconds']:>5.1f} s"
        )


def _volume_error(demo: _DemoCase) -> float:
    return 100.0 * (demo.damaged.volume / demo.mask.volume - 1.0)


def _draw(path: Path, demo: _DemoCase, meshes: dict[str, TriangleMesh]) -> None:
    from dals.demo.rendering import Panel, Polyline, Surface, render_meshes
    from dals.geometry.voxelisation import label_map_to_mesh
    from dals.io.markups import read_contours

    truth = Surface(mesh=demo.truth, colour=(0.55, 0.55, 0.60))
    contours = [Polyline(points=c.points, radius=1.4) for p in demo.contours for c in read_contours(p)]
    damaged = Surface(mesh=label_map_to_mesh(demo.damaged), colour=(0.85, 0.65, 0.25))
    panels = [
        Panel(title="Truth", surfaces=[truth]),
        Panel(title="Given: three contours", polylines=contours),
        Panel(title="Refined from them", surfaces=[Surface(mesh=meshes["contours"])], polylines=contours),
        Panel(title="Given: a damaged label map", surfaces=[damaged]),
        Panel(title="Refined from it", surfaces=[Surface(mesh=meshes["segmentation"])]),
    ]
    try:
        render_meshes(path, panels, size=(420, 400))
    except OutputError as error:  # without OpenGL there are still meshes and numbers
        warnings.warn(str(error), DalsWarning, stacklevel=2)
