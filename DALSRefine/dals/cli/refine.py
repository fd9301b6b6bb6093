"""`dals refine`: reconstruct an organ's surface from contours, a segmentation or points."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli.batch import run_batch
from dals.cli.cases import KINDS, Case, prior_files, run_case
from dals.cli.cluster import add_cluster_options
from dals.cli.devices import add_device_option
from dals.cli.labels import organs_of, plain_label, run_labels
from dals.cli.numbers import component_of, seed_of
from dals.cli.progress import ProgressBar
from dals.errors import InputError
from dals.evaluation.formatting import interval_text
from dals.loading import without_collection

if TYPE_CHECKING:
    from dals.fit_settings import FitSettings
    from dals.model.prior import ShapePrior
    from dals.observations import Observation

_SHOWN_ML = 0.5
SUMMARY = "Refine contours, a segmentation or points into an organ's surface."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="mesh: .stl, .ply, .obj or .vtp")
    parser.add_argument("--prior", default="liver", metavar="PRIOR", help="name of a prior, or its file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--contours", type=Path, nargs="+", metavar="FILE", help="curves, Slicer markups JSON")
    source.add_argument("--sparse-segmentation", type=Path, metavar="FILE", help="label map painted on a few slices")
    source.add_argument("--segmentation", type=Path, metavar="FILE", help="full label map")
    source.add_argument("--points", type=Path, metavar="FILE", help="points on the surface")
    source.add_argument("--batch", type=Path, metavar="CSV", help="a table of cases (see docs/command-line.md)")
    parser.add_argument(
        "--label",
        action="append",
        metavar="N[:PRIOR]",
        help="label or segment name in a label map; with a colon and a prior for each, several organs at once",
    )
    parser.add_argument(
        "--component", metavar="C", help="component of a full label map: largest, left, right or rank by volume"
    )
    parser.add_argument(
        "--open-plane",
        action="append",
        metavar="NAME",
        help="a contour on whose plane not all of the organ was outlined; may be given several times",
    )
    parser.add_argument(
        "--probabilities", type=Path, metavar="FILE", help="network's probabilities of the full label map, 0 to 1"
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="the CT or MR that was outlined, painted on or segmented"
    )
    parser.add_argument(
        "--ras", action="store_true", help="write the mesh in RAS; read points without stated axes as RAS"
    )
    parser.add_argument("--output-segmentation", type=Path, metavar="FILE", help="the result as a label map")
    parser.add_argument(
        "--reference", type=Path, metavar="IMAGE", help="image that defines the grid of the output label map"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="JSON with volume, residuals, confidence and settings"
    )
    parser.add_argument(
        "--disagreement",
        type=Path,
        metavar="FILE",
        help="label map of edits (1 removed, 2 added, 5 and 6 only proposed) and of where the result differs from a "
        "typical organ (3 outside it, 4 missing)",
    )
    parser.add_argument(
        "--edits",
        choices=("applied", "proposed", "all"),
        help="for a full label map: carry out the edits that are probably right (applied, the default), none of them "
        "(proposed: they are only listed), or the doubtful ones, too (all)",
    )
    parser.add_argument(
        "--complete", action="store_true", help="continue an organ that the image's border cuts off beyond it"
    )
    parser.add_argument(
        "--side",
        choices=("auto", "left", "right"),
        default="auto",
        help="of the body, for a prior of one side: auto tries both and keeps the more probable one",
    )
    parser.add_argument("--remesh", action="store_true", help="even out the triangles (needs gpytoolbox)")
    add_device_option(parser)
    parser.add_argument("--seed", type=seed_of, default=0, metavar="N", help="seed of every random choice")
    parser.add_argument(
        "--level", type=int, choices=range(2, 7), metavar="N", help="subdivisions of the template (default: 4)"
    )
    parser.add_argument("--paper", action="store_true", help="the paper's settings: slower and less accurate")
    parser.add_argument("--rotate", action="store_true", help="also estimate a rotation, for patients who lie askew")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--resume", action="store_true", help="leave out the rows of a table that an earlier run has done with --resume"
    )
    add_cluster_options(parser)


def run(options: argparse.Namespace) -> int:
    """Refine one case or a table of them."""
    with without_collection():
        import dals.refinement  # noqa: F401 (what a case needs later)
        from dals.model.prior import load_prior
        from dals.ops.device import choose_device

    device = choose_device(options.device)
    if options.batch is not None:
        return run_batch(options, partial(refine_case, options), device)
    for name in ("scheduler", "workers", "resume"):
        if getattr(options, name):
            raise InputError(f"--{name} is for tables: give it with --batch.")
    if options.output is None:
        raise InputError("Name the mesh to write with -o OUT.stl.")
    organs = organs_of(options.label)
    _check_edits(options)
    case = _case(options, label=None if organs else plain_label(options.label))
    if organs:
        settings, steps = partial(_settings, options), partial(_steps, options)
        for path, report in run_labels(case, organs, device=device, settings=settings, steps=steps).items():
            _print_summary(path, report)
        return 0
    prior = load_prior(options.prior).to(device)
    _print_summary(case.output, refine_case(options, case, prior))
    return 0


def refine_case(options: argparse.Namespace, case: Case, prior: ShapePrior) -> dict[str, Any]:
    """Refine one case, write its files and return the report."""
    with _steps(options, f"Refining {prior.name} ({prior.latent_mean.device})") as on_step:
        return run_case(case, prior, settings=partial(_settings, options), on_step=on_step)


@contextmanager
def _steps(options: argparse.Namespace, title: str) -> Iterator[Callable[[Any], bool]]:
    """A callback that shows the steps of a fit in a progress bar."""
    with ProgressBar(title, quiet=options.quiet) as progress:

        def on_step(status: Any) -> bool:
            # Read the loss rarely: that makes an accelerator wait.
            if status.step % 10 == 0 or status.step == status.total:
                progress.update(status.step, status.total, f"{status.stage}, {status.loss_mm():.1f} mm")
            return True

        yield on_step


def _settings(options: argparse.Namespace, observation: Observation) -> FitSettings:
    settings = observation.paper if options.paper else observation.defaults
    if settings.edits is not None:  # in a table, they are for the segmentations
        settings = settings.changed(edits=options.edits, complete=options.complete or None)
    return settings.changed(seed=options.seed, level=options.level, rotating=options.rotate or None)


def _check_edits(options: argparse.Namespace) -> None:
    for name in ("edits", "complete"):
        if getattr(options, name) and (options.segmentation is None or options.paper):
            raise InputError(f"--{name} can only be given with a full segmentation, and not with --paper.")


def _case(options: argparse.Namespace, *, label: int | str | None) -> Case:
    kind = next(kind for kind in KINDS if getattr(options, kind) is not None)
    given = getattr(options, kind)
    return Case(
        kind=kind,
        sources=tuple(given) if isinstance(given, list) else (given,),
        output=options.output,
        label=label,
        component=component_of(options.component),
        probabilities=options.probabilities,
        image=options.image,
        space="RAS" if options.ras else "LPS",
        output_segmentation=options.output_segmentation,
        reference=options.reference,
        report=options.report,
        disagreement=options.disagreement,
        side=options.side,
        remesh=options.remesh,
        open_planes=tuple(options.open_plane or ()),
        also_read=prior_files([options.prior, *(organ.prior for organ in organs_of(options.label))]),
    )


def _print_summary(output: Path, report: dict[str, Any]) -> None:
    print(
        f"{output}: {interval_text(report)}, {report['surface_cm2']:.0f} cm2, "
        f"{report['iterations']} iterations in {report['seconds']:.1f} s."
    )
    for row in report["residuals_mm"]:
        print(f"  {row['name']}: {row['mean']:.1f} mm from the surface on average, {row['maximum']:.1f} mm at most")
    if "confidence" in report:
        dice = f" (Dice with the segmentation {report['agreement']['dice']:.3f})" if "agreement" in report else ""
        print(f"  Confidence: {report['confidence']['level']}{dice}")
        for note in report["confidence"].get("notes", []):
            print(f"  Note: {note}")
    if "side" in report:
        how = ", the more probable one" if report["side"]["chosen"] == "by the fit" else ""
        print(f"  Side: {report['side']['side']}{how}")
    if "image" in report:
        image = report["image"]
        print(f"  Image {image['name']}: " + (f"used, trust {image['trust']:.2f}" if image["trust"] else "not used"))
    for edit in report.get("edits", []):
        if edit["volume_ml"] >= _SHOWN_ML:
            print(f"  {_edit_line(edit)}")
    sys.stdout.flush()


def _edit_line(edit: dict[str, Any]) -> str:
    said = f"{'' if edit['applied'] else 'proposed: '}{edit['kind']}, {edit['volume_ml']:.1f} ml"
    if edit["kind"] == "slice steps smoothed":  # everywhere
        return said
    place = ", ".join(f"{x:.0f}" for x in edit["centre_mm"])
    return f"{said}, {edit['depth_mm']:.0f} mm deep, at R, A, S = {place} mm"
