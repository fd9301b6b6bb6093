"""What a fourth, fifth and sixth contour are worth where they are suggested: `python Testing/benchmarks/next_plane.py`.

Livers are refined from all outlines on three planes through the centre, with an unknown pose and the default settings.
Then three planes are added one by one: each where the panel suggests it for the surface before, where Figure 6 has it,
and at a random axial, coronal or sagittal position. By default, to try it, on livers of BTCV, which the shipped prior
knows; `--held-out` reports on the livers of msd_test, which it has not seen, and stores every case under
`Testing/benchmarks/results`; nothing is tuned on them. Interrupted, it goes on with the next case.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "DALSRefine"), str(Path(__file__).resolve().parents[1])]

import numpy as np
import torch

from benchmarks import protocol
from benchmarks.calibration import validation_livers
from benchmarks.comparison.observations import PLANE_ORDER, planes_of, unchecked
from benchmarks.significance import signed_rank_p
from benchmarks.stored import store
from dals.dataset.normalisation import NormalisedShape
from dals.evaluation.next_plane import SAME_PLANE_MM, suggested_plane
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray
from dals.io.atomic import atomic_path
from dals.model.prior import ShapePrior, load_prior
from dals.observations.contours import Contour, Plane
from dals.refinement import Refinement, refine

NAME = "next-plane"
START, SUGGESTED, FIXED, RANDOM = "start", "suggested", "as in Figure 6", "random"
WAYS = (SUGGESTED, FIXED, RANDOM)
FIRST, LAST = 3, 6
"""Planes at the start and at the end."""
_MARGIN = 0.05  # of the extent at either end, where no random plane lies
_HEAD = "| planes | where | livers | ASSD mm: mean / median / worst | Chamfer 1e-3: mean / median / worst |"


@dataclass(frozen=True)
class Row:
    """A liver, refined from some planes.

    Attributes
    ----------
    case, way : str
    planes : int
    normal : str
        Axis across the last plane: "sagittal", "coronal" or "axial"; empty for the start.
    offset_mm : float
        The last plane's distance from the liver's centre along that axis.
    missed : int
        Suggested planes that did not cut the liver and were passed over.
    assd_mm, hausdorff_mm : float
    chamfer : float
        Canonical.
    expected_mm : float
        Mean distance that the product expects.
    """

    case: str
    way: str
    planes: int
    normal: str
    offset_mm: float
    missed: int
    assd_mm: float
    hausdorff_mm: float
    chamfer: float
    expected_mm: float


def main() -> int:
    """Measure what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true", help="livers of msd_test in place of BTCV's")
    parser.add_argument("--quick", action="store_true", help="only two cases; nothing is stored")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="only these; others stay as they are")
    parser.add_argument("--cases", type=int, help="only the first N; nothing is stored")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then stop after the case at hand")
    options = parser.parse_args()
    torch.set_num_threads(1)
    limit = 2 if options.quick else options.cases
    shapes = (protocol.held_out("liver") if options.held_out else validation_livers())[:limit]
    folder = protocol.CACHE / NAME / ("held-out" if options.held_out else "validation")
    prior, began, rows = load_prior("liver"), time.monotonic(), []
    for shape in shapes:
        if time.monotonic() - began > 60 * options.minutes:
            print("The time is over; the same command goes on from here.", file=sys.stderr)
            break
        rows += _cached(shape, prior, options.ways, folder / f"{shape.name}.json")
        print(shape.name, file=sys.stderr, flush=True)
        if options.held_out and limit is None:
            store(NAME, Row, rows, table(rows))
    print(table(rows))
    return 0


def measure(shape: NormalisedShape, prior: ShapePrior, ways: Sequence[str] = WAYS) -> list[Row]:
    """A liver with three planes, and with each further one by each of some ways."""
    first = planes_of(shape, FIRST)
    start = _refined(first, prior)
    rows = [_row(shape, START, FIRST, start)]
    random = _random_planes(shape)
    for way in ways:
        contours, result = list(first), start
        for planes in range(FIRST + 1, LAST + 1):
            missed = 0
            if way == SUGGESTED:
                plane, missed = _suggested_plane(shape, contours, result)
            else:
                plane = random(contours) if way == RANDOM else _fixed_plane(shape, planes - 1)
            contours += _outlines(shape, plane, f"{way} {planes}")
            result = _refined(contours, prior)
            rows.append(_row(shape, way, planes, result, plane, missed))
    return rows


def _suggested_plane(shape: NormalisedShape, contours: list[Contour], result: Refinement) -> tuple[Plane, int]:
    """The plane that the panel suggests, of those that cut the liver; and how many did not."""
    assert result.uncertainty is not None
    mesh, drawn, missed = result.mesh, [contour.plane for contour in contours], 0
    while True:
        plane = suggested_plane(mesh.vertices, mesh.faces, result.uncertainty.deviation_mm, drawn)
        if section_loops(shape.patient_mesh, plane.origin, plane.normal):
            return plane, missed
        drawn.append(plane)
        missed += 1


def _fixed_plane(shape: NormalisedShape, index: int) -> Plane:
    low, high = _box(shape)
    axis, position = PLANE_ORDER[index]
    return _plane(shape, axis, float((low + high)[axis] / 2 + position * (high - low)[axis]))


def _random_planes(shape: NormalisedShape) -> Callable[[list[Contour]], Plane]:
    """Gives planes at random positions, none so near to a drawn one that the product would not suggest it."""
    rng = protocol.rng_of(f"{shape.name} next plane")
    low, high = _box(shape)

    def draw(contours: list[Contour]) -> Plane:
        while True:
            axis = int(rng.integers(3))
            share = rng.uniform(_MARGIN, 1 - _MARGIN)
            position = float(low[axis] + share * (high - low)[axis])
            beside = [each.plane.origin[axis] for each in contours if abs(each.plane.normal[axis]) > 0.5]
            if all(abs(position - other) >= SAME_PLANE_MM for other in beside):
                return _plane(shape, axis, position)

    return draw


def _plane(shape: NormalisedShape, axis: int, position: float) -> Plane:
    origin = np.array(shape.centre_mm, dtype=np.float64)
    origin[axis] = position
    return Plane(origin, np.eye(3)[axis])


def _box(shape: NormalisedShape) -> tuple[FloatArray, FloatArray]:
    vertices = shape.patient_mesh.vertices
    return vertices.min(axis=0), vertices.max(axis=0)


def _outlines(shape: NormalisedShape, plane: Plane, name: str) -> list[Contour]:
    loops = section_loops(shape.patient_mesh, plane.origin, plane.normal)
    return [Contour(loop, None, f"{name} {index}") for index, loop in enumerate(loops)]


def _refined(contours: list[Contour], prior: ShapePrior) -> Refinement:
    return refine(unchecked(contours), prior, device="cpu")


def _row(
    shape: NormalisedShape, way: str, planes: int, result: Refinement, plane: Plane | None = None, missed: int = 0
) -> Row:
    axis = 0 if plane is None else int(np.argmax(np.abs(plane.normal)))
    judged = protocol.judge(result.mesh, shape)
    assert result.uncertainty is not None
    return Row(
        case=shape.name,
        way=way,
        planes=planes,
        normal="" if plane is None else protocol.AXES[axis],
        offset_mm=0.0 if plane is None else float(plane.origin[axis] - shape.centre_mm[axis]),
        missed=missed,
        assd_mm=judged["mean_distance_mm"],
        hausdorff_mm=judged["hausdorff_mm"],
        chamfer=judged["chamfer"],
        expected_mm=result.uncertainty.expected_distance_mm,
    )


def table(rows: Sequence[Row]) -> str:
    """Markdown: distances by planes and way, and paired tests."""
    lines = [_HEAD, "| --- | --- | --- | --- | --- |"]
    for planes in range(FIRST, LAST + 1):
        for way in (START,) if planes == FIRST else WAYS:
            own = list(_of(rows, way, planes).values())
            if own:
                figures = f"{_three(own, 'assd_mm', 1.0)} | {_three(own, 'chamfer', 1e3)}"
                title = "through the centre" if way == START else way
                lines.append(f"| {planes} | {title} | {len(own)} | {figures} |")
    lines += ["", "| compared | first better | p of ASSD | p of Chamfer |", "| --- | --- | --- | --- |"]
    pairs = [
        ((SUGGESTED, planes), (other, planes)) for other in (FIXED, RANDOM) for planes in range(FIRST + 1, LAST + 1)
    ]
    for first, second in [*pairs, ((SUGGESTED, LAST - 1), (FIXED, LAST)), ((SUGGESTED, LAST - 1), (RANDOM, LAST))]:
        lines += _compared(rows, first, second)
    missed = sum(row.missed for row in rows)
    return "\n".join([*lines, "", f"Suggested planes that did not cut the liver: {missed}."])


def _compared(rows: Sequence[Row], first: tuple[str, int], second: tuple[str, int]) -> list[str]:
    """A line on the livers that were measured both ways; none without any."""
    found = [_of(rows, *each) for each in (first, second)]
    cases = [case for case in found[0] if case in found[1]]
    if not cases:
        return []
    one, other = ([some[case] for case in cases] for some in found)
    titles = " – ".join(f"{planes} {way}" for way, planes in (first, second))
    better = sum(a.assd_mm < b.assd_mm for a, b in zip(one, other, strict=True))
    tests = [
        signed_rank_p(*(np.array([getattr(row, name) for row in some]) for some in (one, other)))
        for name in ("assd_mm", "chamfer")
    ]
    return [f"| {titles} | {better} of {len(cases)} | {tests[0]:.2g} | {tests[1]:.2g} |"]


def _of(rows: Sequence[Row], way: str, planes: int) -> dict[str, Row]:
    """By their cases."""
    return {row.case: row for row in rows if (row.way, row.planes) == (way, planes)}


def _three(rows: Sequence[Row], name: str, factor: float) -> str:
    values = [factor * getattr(row, name) for row in rows]
    return f"{np.mean(values):.2f} / {np.median(values):.2f} / {np.max(values):.2f}"


def _cached(shape: NormalisedShape, prior: ShapePrior, ways: Sequence[str], path: Path) -> list[Row]:
    """What was measured of a liver before, and what is now; to measure anew, delete the file."""
    rows = [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []
    lacking = [way for way in ways if not _of(rows, way, LAST)]
    if not lacking:
        return rows
    found = measure(shape, prior, lacking)
    rows += found[1:] if rows else found  # the start is the same
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    sys.exit(main())
