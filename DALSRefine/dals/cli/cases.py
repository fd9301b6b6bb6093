"""One case of `dals refine`: what is read, what is written, and the way in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dals.cli.segmentations import checked_segmentation
from dals.errors import InputError
from dals.io.atomic import atomic_path, check_writable

if TYPE_CHECKING:
    from dals.evaluation.confidence import Agreement
    from dals.fitting import FitResult, FitSettings, FitStatus, Observation, Task
    from dals.geometry.components import ComponentChoice
    from dals.geometry.label_map import LabelMap
    from dals.geometry.mesh import TriangleMesh
    from dals.model.prior import ShapePrior

Kind = Literal["contours", "sparse_segmentation", "segmentation", "points"]
KINDS: tuple[Kind, ...] = ("contours", "sparse_segmentation", "segmentation", "points")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Files of one refinement.

    Attributes
    ----------
    kind : str
        What the sources are.
    sources : tuple of Path
        Several for contours, else one.
    output : Path
        The mesh.
    label : int or str or None
        Label or segment in a label map.
    component : "largest", "left", "right", int or None
        Which separate part of a full segmentation.
    probabilities : Path or None
        How sure a network was of a full segmentation.
    space : "LPS" or "RAS"
        Of the mesh that is written, and of points that do not state theirs.
    output_segmentation, reference, report : Path or None
        The result as a label map, the image that gives its grid, the report.
    remesh : bool

    Raises
    ------
    InputError
        If something is given that does not go with the kind of sources.
    """

    kind: Kind
    sources: tuple[Path, ...]
    output: Path
    label: int | str | None = None
    component: ComponentChoice | None = None
    probabilities: Path | None = None
    space: Literal["LPS", "RAS"] = "LPS"
    output_segmentation: Path | None = None
    reference: Path | None = None
    report: Path | None = None
    disagreement: Path | None = None
    remesh: bool = False

    def __post_init__(self) -> None:
        for name in ("component", "probabilities", "disagreement"):
            if getattr(self, name) is not None and self.kind != "segmentation":
                raise InputError(
                    f"--{name} can only be given with a full segmentation, not with {self.kind.replace('_', ' ')}."
                )


def check_outputs(case: Case) -> None:
    """Raise before the work begins if something could not be written after it."""
    from dals.io.label_maps import check_label_map_writable
    from dals.io.meshes import check_mesh_writable

    check_mesh_writable(case.output)
    if case.output_segmentation is not None:
        check_label_map_writable(case.output_segmentation)
        if case.reference is None and case.kind in ("contours", "points"):
            raise InputError(
                "A segmentation can only be written on the grid of an image; name one with --reference IMAGE."
            )
    if case.report is not None:
        check_writable(case.report)
    if case.disagreement is not None:
        check_label_map_writable(case.disagreement)


def read_observation(case: Case) -> tuple[Observation, LabelMap | None]:
    """Read what the user gave, and the grid on which the result can be written, if any."""
    from dals.io.label_maps import read_grid, read_label_map
    from dals.io.markups import read_contours
    from dals.io.points import read_points
    from dals.observations.observations import PlanarContours, PointCloud
    from dals.observations.painted_slices import contours_from_sparse_label_map

    grid = None if case.reference is None else read_grid(case.reference)
    if case.kind == "contours":
        contours = tuple(contour for path in case.sources for contour in read_contours(path))
        return PlanarContours(contours), grid
    if case.kind == "points":
        space: Literal["RAS"] | None = "RAS" if case.space == "RAS" else None
        return PointCloud(read_points(case.sources[0], space=space)), grid
    label_map = read_label_map(case.sources[0], label=case.label)
    grid = grid or label_map.empty_like()
    if case.kind == "sparse_segmentation":
        return contours_from_sparse_label_map(label_map), grid
    return checked_segmentation(label_map, component=case.component, probabilities=case.probabilities), grid


def run_case(
    case: Case,
    prior: ShapePrior,
    *,
    settings: Callable[[Task], FitSettings],
    on_step: Callable[[FitStatus], bool | None] | None = None,
) -> dict[str, Any]:
    """Refine one case, write what was asked for and return its report."""
    check_outputs(case)
    observation, grid = read_observation(case)
    result, mesh = fitted(observation, prior, settings=settings, on_step=on_step, remeshing=case.remesh)
    report, judged = reported(result, observation, prior, mesh)
    if case.disagreement is not None and judged is not None:
        _write_disagreement(case.disagreement, judged, observation)
    _write(case, mesh, grid, report)
    return report


def fitted(
    observation: Observation,
    prior: ShapePrior,
    *,
    settings: Callable[[Task], FitSettings],
    on_step: Callable[[FitStatus], bool | None] | None = None,
    remeshing: bool = False,
) -> tuple[FitResult, TriangleMesh]:
    """What a fit came to, and its surface as it is written."""
    from dals.evaluation.report import warn_of_unusual_size
    from dals.fitting import fit, task_of
    from dals.geometry.remeshing import remesh

    warn_of_unusual_size(observation, prior)
    result = fit(prior, observation, settings=settings(task_of(observation)), callback=on_step)
    return result, remesh(result.mesh) if remeshing else result.mesh


def reported(
    result: FitResult, observation: Observation, prior: ShapePrior, mesh: TriangleMesh
) -> tuple[dict[str, Any], Agreement | None]:
    """The report of a surface as it is written, and how far it agrees with the segmentation if there was one."""
    from dals.evaluation.confidence import judged
    from dals.evaluation.report import make_report

    found = judged(result, observation, prior, mesh)
    return make_report(result, observation, prior, mesh, judged=found), found


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _write_disagreement(path: Path, judged: Agreement, observation: Observation) -> None:
    from dals.evaluation.confidence import ADDED, LACKING, REMOVED, UNUSUAL
    from dals.io.label_maps import Labelled, write_label_maps
    from dals.observations.observations import Segmentation

    assert isinstance(observation, Segmentation)
    names = {REMOVED: "removed", ADDED: "added", UNUSUAL: "unusual", LACKING: "lacking"}
    write_label_maps(
        path,
        [Labelled(observation.label_map.with_array(judged.map == value), value, name) for value, name in names.items()],
    )


def _write(case: Case, mesh: TriangleMesh, grid: LabelMap | None, report: dict[str, Any]) -> None:
    from dals.geometry.voxelisation import mesh_to_label_map
    from dals.io.label_maps import write_label_map
    from dals.io.meshes import write_mesh

    if case.output_segmentation is not None:
        assert grid is not None
        write_label_map(case.output_segmentation, mesh_to_label_map(mesh, grid))
    if case.report is not None:
        write_report(case.report, report)
    write_mesh(case.output, mesh, space=case.space)  # last: where it is, everything is
