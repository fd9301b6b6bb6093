"""One case of `dals refine`: its input and output files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dals.cli.output_files import Output, check_overwriting
from dals.cli.result_grid import check_meets, voxels_of
from dals.errors import DalsWarning, InputError, PriorError
from dals.io.atomic import all_or_none, atomic_path, check_writable

if TYPE_CHECKING:
    from dals.evaluation.confidence import SegmentationConfidence
    from dals.fit_settings import FitSettings
    from dals.fitting import OnStep
    from dals.fitting.sides import SideChoice
    from dals.geometry.components import ComponentChoice
    from dals.geometry.label_map import LabelMap
    from dals.model.prior import ShapePrior
    from dals.observations import Observation
    from dals.refinement import Refinement

Kind = Literal["contours", "sparse_segmentation", "segmentation", "points"]
KINDS: tuple[Kind, ...] = ("contours", "sparse_segmentation", "segmentation", "points")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Files of one refinement.

    Attributes
    ----------
    kind : str
        Kind of input.
    sources : tuple of Path
        Several files for contours, otherwise one.
    output : Path
        The mesh.
    label : int or str or None
        Label value or segment name in a label map.
    component : "largest", "left", "right", int or None
        Connected component of a full segmentation.
    probabilities : Path or None
        Network's probabilities of a full segmentation.
    image : Path or None
        CT or MR that contours or painted slices were drawn on, or that was segmented.
    space : "LPS" or "RAS"
        Axes of the written mesh, and of input points whose file does not state them.
    output_segmentation, reference, report : Path or None
        The result as a label map, the image that defines its grid, and the report.
    open_planes : tuple of str
        Names of contours whose planes may show more of the organ than was drawn.
    side : "auto", "left" or "right"
        Of the body, for priors of one side.
    disagreement : Path or None
        Label map of where a full segmentation and the result differ.
    remesh : bool
    also_read : tuple of Path
        Files that are read besides, and must not be overwritten: the prior, the table.

    Raises
    ------
    InputError
        If an option does not apply to the kind of input, or there is a reference without a label map to write.
    """

    kind: Kind
    sources: tuple[Path, ...]
    output: Path
    label: int | str | None = None
    component: ComponentChoice | None = None
    probabilities: Path | None = None
    image: Path | None = None
    space: Literal["LPS", "RAS"] = "LPS"
    output_segmentation: Path | None = None
    reference: Path | None = None
    report: Path | None = None
    disagreement: Path | None = None
    remesh: bool = False
    open_planes: tuple[str, ...] = ()
    side: SideChoice = "auto"
    also_read: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError(f"No file of {self.kind.replace('_', ' ')} is named.")
        if self.label is not None and self.kind in ("contours", "points"):
            raise InputError(f"--label can only be given with a label map, not with {self.kind}.")
        if self.open_planes and self.kind not in ("contours", "sparse_segmentation"):
            raise InputError(f"--open-plane can only be given with contours, not with {self.kind.replace('_', ' ')}.")
        if self.reference is not None and self.output_segmentation is None:
            raise InputError(
                "--reference names the grid of the label map that --output-segmentation writes; please name that, too."
            )
        for name in ("component", "probabilities", "disagreement"):
            if getattr(self, name) is not None and self.kind != "segmentation":
                raise InputError(
                    f"--{name} can only be given with a full segmentation, not with {self.kind.replace('_', ' ')}."
                )

        if self.image is not None and self.kind == "points":
            raise InputError(
                "--image can only be given with contours, painted slices or a segmentation, not with points."
            )

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that are read."""
        named = (*self.sources, self.probabilities, self.image, self.reference, *self.also_read)
        return tuple(path for path in named if path is not None)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All files that are written."""
        return (Output("mesh", self.output), *self.outputs_beside_mesh)

    @property
    def outputs_beside_mesh(self) -> tuple[Output, ...]:
        """All files that are written but the mesh."""
        named = (
            ("label map", self.output_segmentation),
            ("report", self.report),
            ("map of disagreement", self.disagreement),
        )
        return tuple(Output(what, path) for what, path in named if path is not None)


def prior_files(names: Iterable[str]) -> tuple[Path, ...]:
    """The files of priors, as far as they are found."""
    from dals.model.prior_files import find_prior

    found = []
    for name in dict.fromkeys(names):
        with suppress(PriorError):  # loading it says so
            found.append(find_prior(name))
    return tuple(found)


def check_outputs(case: Case) -> None:
    """Raise an error before the fit if an output could not be written after it, or would overwrite an input."""
    from dals.io.label_maps import check_label_map_writable
    from dals.io.meshes import check_mesh_writable

    check_overwriting(case.outputs, case.inputs)
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


def read_observation(case: Case) -> Observation:
    """Read the input files as an observation."""
    import dals

    source = case.sources[0]
    readers: dict[Kind, Callable[[], Observation]] = {
        "contours": lambda: dals.read_contours(*case.sources).with_open_planes(case.open_planes),
        "sparse_segmentation": lambda: dals.read_painted_slices(source, label=case.label).with_open_planes(
            case.open_planes
        ),
        "segmentation": lambda: dals.read_segmentation(
            source, label=case.label, component=case.component, probabilities=case.probabilities
        ),
        "points": lambda: dals.read_points(source, space="RAS" if case.space == "RAS" else None),
    }
    return readers[case.kind]()


def run_case(
    case: Case,
    prior: ShapePrior,
    *,
    settings: Callable[[Observation], FitSettings],
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Refine one case, write the requested files and return the report."""
    from dals.io.volumes import read_volume
    from dals.refinement import refine

    check_outputs(case)
    observation, grid = read_observation(case), _grid(case)
    if grid is not None:
        check_meets(observation, grid, case.reference)
    image = None if case.image is None else read_volume(case.image)
    result = refine(
        observation,
        prior,
        settings=settings(observation),
        image=image,
        side=case.side,
        remesh=case.remesh,
        on_step=on_step,
    )
    warn_of(result)
    _write(case, result, grid)
    return result.report


def warn_of(result: Refinement) -> None:
    """Pass on the warnings of a refinement (`DalsWarning`)."""
    for sentence in result.warnings:
        warnings.warn(sentence, DalsWarning, stacklevel=2)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _grid(case: Case) -> LabelMap | None:
    """Grid of the output label map: that of the reference image if there is one, otherwise that of the input."""
    from dals.io.label_maps import read_grid

    if case.output_segmentation is None:
        return None
    return read_grid(case.reference or case.sources[0])


def _write(case: Case, result: Refinement, grid: LabelMap | None) -> None:
    from dals.io.label_maps import write_label_map
    from dals.io.meshes import write_mesh

    label_map = None if grid is None else voxels_of(result, grid, case.reference)
    with all_or_none():
        if case.disagreement is not None:
            write_disagreement(case.disagreement, result.confidence)  # type: ignore[arg-type]
        if case.output_segmentation is not None:
            assert label_map is not None
            write_label_map(case.output_segmentation, label_map)
        if case.report is not None:
            write_report(case.report, result.report)
        values = {} if result.uncertainty is None else {"uncertainty_mm": result.uncertainty.deviation_mm}
        write_mesh(case.output, result.mesh, space=case.space, point_values=values)


def write_disagreement(path: Path, confidence: SegmentationConfidence) -> None:
    """Write the map of where a segmentation differs from the result and from a typical organ."""
    from dals.evaluation.confidence import ADDED, ADDITION_PROPOSED, LACKING, REMOVAL_PROPOSED, REMOVED, UNUSUAL
    from dals.io.label_maps import Labelled, write_label_maps

    names = {
        REMOVED: "removed",
        ADDED: "added",
        UNUSUAL: "unusual",
        LACKING: "lacking",
        REMOVAL_PROPOSED: "removal proposed",
        ADDITION_PROPOSED: "addition proposed",
    }
    write_label_maps(path, [Labelled(confidence.region(value), value, name) for value, name in names.items()])
