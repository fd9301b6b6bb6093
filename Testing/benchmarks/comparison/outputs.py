"""What each table leaves in the results folder: CSV of all cases, Markdown, PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import protocol
from benchmarks.comparison import paired, plots, registry
from benchmarks.comparison.observations import observation_of
from benchmarks.comparison.pictures import Exhibit, draw
from benchmarks.comparison.plans import SWEEP_LABEL, Plan
from benchmarks.comparison.registry import Context
from benchmarks.comparison.report import COLUMNS, RESOURCES, Row, markdown, provenance, write_rows, write_text
from benchmarks.comparison.runner import Job, key_of, mesh_path
from dals.dataset.normalisation import NormalisedShape
from dals.io.meshes import read_mesh
from dals.observations import PlanarContours

TITLES = {
    "table1": "Livers from 2,500 points",
    "table2": "Hippocampi from 2,500 points",
    "table2-spleens": "Spleens from 2,500 points",
    "table3": "Livers from three orthogonal planes",
    "figure6": "Livers from one to ten planes",
    "table5": "What the parts of the method are worth",
    "pictures": "Surfaces from 2,500 points and from three planes",
    "beyond": "Observations worse than the paper's",
}
_PAIRED = {
    **dict.fromkeys(("table1", "table2", "table2-spleens", "table3"), ("DALS", ("chamfer", "f_score_2"))),
    "table5": ("a latent per vertex, L_reg", ("chamfer", "quality")),
}
"""Whose difference from the others is tested (Wilcoxon signed-rank, two-sided), and in what."""
_FOOTNOTE = (
    "Mean ± standard deviation over the cases, canonical units; 100,000 samples of each surface. Fits: seconds of one "
    "core, and the peak growth of the process's memory, without model and libraries."
)


def write(
    table: str,
    plan: Plan,
    rows: Sequence[Row],
    shapes: Sequence[NormalisedShape],
    context: Context,
    *,
    folder: Path,
    name: str,
    meshes: Path | None = None,
) -> str:
    """Write a table's files, of the shapes that have rows, and return its Markdown.

    Rows that know the size of their model are those of an earlier table.
    """
    planned, measured = len(shapes), {str(row["case"]) for row in rows}
    shapes = [shape for shape in shapes if shape.name in measured]
    anew = {str(row["system"]) for row in rows if "model_mb" not in row}
    kept = dict.fromkeys(str(row["system"]) for row in rows if "model_mb" in row)
    earlier = ", ".join(f"{label} (in part)" if label in anew else label for label in kept)
    shown = {job.shown["system"]: job.system for job in plan.jobs if job.shown["system"] in anew}
    sizes = {label: registry.model_megabytes(system, context) for label, system in shown.items()}
    rows = [row if "model_mb" in row else {**row, "model_mb": sizes[str(row["system"])]} for row in rows]
    about = provenance(
        protocol.ROOT,
        cases=f"{len(measured)} of {planned} ({context.organ}, {context.split})",
        other_prior=context.chosen_prior and Path(context.chosen_prior).name,
        training=registry.budgets(tuple(shown.values()), context),
        rows_of_an_earlier_table=earlier and f"{earlier} (commits in the CSV, training as in the README)",
        size="quick: short models and few cases, not to be quoted" if context.quick else "full",
    )
    surface = None if meshes is None else lambda job: mesh_path(meshes, job, key_of(job, context))
    parts = [f"# {TITLES[table]}\n", about, _tables(table, plan, rows), _FOOTNOTE + "\n"]
    parts += [f"![{image.stem}]({image.name})\n" for image in _images(table, plan, rows, shapes, folder, name, surface)]
    text = "\n".join(parts)
    write_rows(folder / f"{name}.csv", rows)
    write_text(folder / f"{name}.md", text)
    return text


def _tables(table: str, plan: Plan, rows: Sequence[Row]) -> str:
    columns = {**COLUMNS, **RESOURCES}
    labels = [label for label in dict.fromkeys(str(row["system"]) for row in rows) if label.startswith(SWEEP_LABEL)]
    text = markdown(rows, systems=plan.systems, columns=columns)
    if table in _PAIRED:
        reference, metrics = _PAIRED[table]
        for condition in dict.fromkeys(str(row["condition"]) for row in rows):
            chosen = [row for row in rows if row["condition"] == condition]
            table_of_pairs = paired.markdown(chosen, systems=plan.systems, reference=reference, metrics=metrics)
            text += f"\n{condition}:\n\n{table_of_pairs}" if table_of_pairs else ""
    if labels:
        text += "\n" + markdown(rows, systems=labels, columns=columns)
    return text


def _images(
    table: str,
    plan: Plan,
    rows: Sequence[Row],
    shapes: Sequence[NormalisedShape],
    folder: Path,
    name: str,
    surface: Callable[[Job], Path] | None,
) -> list[Path]:
    if table == "figure6":
        image = folder / f"{name}.png"
        plots.draw_curves(
            image, rows, systems=plan.systems, position=_amount("planes"), label="planes", title=TITLES[table]
        )
        return [image]
    if table == "table5":
        return _sweep_plots(rows, folder, name)
    if table == "beyond":
        image = folder / f"{name}-points.png"
        chosen = [row for row in rows if str(row["condition"]).startswith("points:")]
        position = _amount("points")
        plots.draw_curves(
            image, chosen, systems=plan.systems, position=position, label="points", logarithmic=True, title="Few points"
        )
        return [image] if chosen else []
    return _pictures(plan, rows, shapes, folder, name, surface) if surface is not None else []


def _sweep_plots(rows: Sequence[Row], folder: Path, name: str) -> list[Path]:
    """The metrics against lambda_dir: zero and infinity have places a decade beyond the others."""
    images = []
    values = {float(str(row["system"])[len(SWEEP_LABEL) :]) for row in rows if _is_sweep(row)}
    finite = sorted(value for value in values if 0 < value < float("inf"))
    for condition in dict.fromkeys(str(row["condition"]) for row in rows if _is_sweep(row)):
        chosen = [
            {**row, "system": "DALS", "lambda_dir": float(str(row["system"])[len(SWEEP_LABEL) :])}
            for row in rows
            if _is_sweep(row) and row["condition"] == condition
        ]

        def position(row: Row) -> float:
            return float(min(max(row["lambda_dir"], finite[0] / 10), finite[-1] * 10))

        image = folder / f"{name}-lambda-dir-{condition}.png"
        label = f"lambda_dir (0 at {finite[0] / 10:g}, infinity at {finite[-1] * 10:g})"
        title = f"lambda_dir, {condition}"
        plots.draw_curves(
            image, chosen, systems=["DALS"], position=position, label=label, logarithmic=True, title=title
        )
        images.append(image)
    return images


def _is_sweep(row: Row) -> bool:
    return str(row["system"]).startswith(SWEEP_LABEL)


def _amount(kind: str) -> Callable[[Row], float]:
    """How many planes or points a row's observation has."""

    def amount(row: Row) -> float:
        return float(str(row["condition"]).removeprefix(f"{kind}:"))

    return amount


def _pictures(
    plan: Plan,
    rows: Sequence[Row],
    shapes: Sequence[NormalisedShape],
    folder: Path,
    name: str,
    surface: Callable[[Job], Path],
) -> list[Path]:
    errors = {(row["system"], row["condition"], row["case"]): str(row["error"]) for row in rows}
    images = []
    for shape in shapes:
        for condition in dict.fromkeys(job.condition for job in plan.jobs):
            jobs = [job for job in plan.jobs if job.condition == condition and job.case == shape.name]
            exhibits = [_exhibit(job, surface(job), errors) for job in jobs]
            observation = observation_of(shape, condition)
            planes = isinstance(observation, PlanarContours)
            given = [contour.points for contour in observation.contours] if planes else []  # type: ignore[union-attr]
            image = folder / f"{name}-{condition}-{shape.name}.png"
            draw(image, shape.patient_mesh, exhibits, given=given)
            images.append(image)
    return images


def _exhibit(job: Job, path: Path, errors: dict[tuple[str, str, str], str]) -> Exhibit:
    error = errors.get((job.shown["system"], job.shown["condition"], job.case), "")
    return Exhibit(job.shown["system"], None if error else read_mesh(path), "not applicable" if error else "")
