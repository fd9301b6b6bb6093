"""`dals evaluate`: compares a surface with the ground truth."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from dals.cli.numbers import at_least, label_value, seed_of
from dals.cli.output_files import Output, check_overwriting
from dals.io.atomic import atomic_path, check_writable

SUMMARY = "Compare a surface with one or more ground truths: distances, F-scores, triangle quality, volume error."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("mesh", type=Path, metavar="MESH", help="surface to evaluate")
    parser.add_argument("truths", type=Path, nargs="+", metavar="GROUND_TRUTH", help="mesh or label map")
    parser.add_argument("--label", type=label_value, metavar="N", help="label in a label map")
    parser.add_argument("--ras", action="store_true", help="meshes that name no coordinate system are in RAS, not LPS")
    parser.add_argument(
        "--samples", type=at_least(1), default=100_000, metavar="N", help="random points on each surface"
    )
    parser.add_argument("--seed", type=seed_of, default=0, metavar="N", help="seed of the random points")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")


def run(options: argparse.Namespace) -> int:
    """Compare, print and write the figures."""
    from dals.evaluation.metrics import compare
    from dals.io.meshes import read_mesh

    if options.json is not None:
        check_overwriting([Output("file of figures", options.json)], [options.mesh, *options.truths])
        check_writable(options.json)
    space: Literal["RAS"] | None = "RAS" if options.ras else None
    mesh = read_mesh(options.mesh, space=space)
    results: dict[str, Any] = {}
    for path in options.truths:
        truth = _truth(path, space, options.label)
        figures = compare(mesh, truth, samples=options.samples, seed=options.seed, self_intersections=_has_libigl())
        results[str(path)] = {"millimetres": asdict(figures), "canonical": asdict(figures.canonical)}
        _print(path, results[str(path)])
    if options.json is not None:
        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _truth(path: Path, space: Any, label: int | None) -> Any:
    from dals.dataset.normalisation import normalise
    from dals.io.input_files import MESH_SUFFIXES, known_suffix
    from dals.io.label_maps import read_label_map
    from dals.io.meshes import read_mesh

    if known_suffix(path) in MESH_SUFFIXES:
        return read_mesh(path, space=space)
    return normalise(read_label_map(path, label=label)).patient_mesh


def _has_libigl() -> bool:
    """Whether libigl is installed, which finds self-intersections."""
    return find_spec("igl") is not None


def _print(path: Path, figures: dict[str, Any]) -> None:
    print(f"{path}: millimetres, and canonical units where they differ")
    for name, value in figures["millimetres"].items():
        canonical = figures["canonical"][name]
        same = value is None or value == canonical
        print(f"  {name:26s} {_number(value)}" + ("" if same else f"   canonical {_number(canonical)}"))


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"
