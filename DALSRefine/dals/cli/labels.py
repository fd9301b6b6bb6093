"""Several organs of one label map, each with its own prior: `dals refine --label 1:liver --label 2:spleen`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dals.cli.cases import Case, warn_of, write_report
from dals.cli.numbers import label_of
from dals.cli.output_files import Output, check_overwriting
from dals.cli.result_grid import check_meets, voxels_of
from dals.errors import DalsWarning, InputError, PriorError
from dals.io.atomic import all_or_none, check_writable

if TYPE_CHECKING:
    import torch

    from dals.fit_settings import FitSettings
    from dals.fitting import OnStep
    from dals.io.label_maps import Labelled
    from dals.model.prior import ShapePrior
    from dals.observations import Observation, Segmentation
    from dals.refinement import Refinement

_COLON = (
    "what follows the first colon of --label is a prior; a segment whose own name has a colon is given by its value"
)


@dataclass(frozen=True)
class LabelledOrgan:
    """An option `--label LABEL:PRIOR`.

    Attributes
    ----------
    label : int or str
        Value of a label or name of a segment.
    prior : str
        Name of a prior or path of its file.
    """

    label: int | str
    prior: str


def is_with_prior(text: str) -> bool:
    """Whether a label has its own prior."""
    return ":" in text


def plain_label(texts: Sequence[str] | None) -> int | str | None:
    """The single label without a prior, or None.

    Raises
    ------
    InputError
        If there are several labels, one is empty, or one has a prior.
    """
    texts = texts or ()
    if not all(text.strip() for text in texts):
        raise InputError("--label is empty; please name a label value or a segment.")
    if any(map(is_with_prior, texts)):
        raise InputError(f"A table holds one organ a row, without a prior in its label ({_COLON}).")
    if len(texts) > 1:
        raise InputError("Several labels need a prior each: --label 1:liver --label 2:spleen, for instance.")
    return label_of(texts[0]) if texts else None


def organs_of(texts: Sequence[str] | None) -> tuple[LabelledOrgan, ...]:
    """The labels with their own priors; empty if none has one.

    The text is split at the first colon, so that the path of a prior may have a drive letter.

    Raises
    ------
    InputError
        If only some labels have a prior, a label is empty, or one is repeated.
    """
    texts = texts or ()
    if not any(map(is_with_prior, texts)):
        return ()
    organs: list[LabelledOrgan] = []
    for text in texts:
        name, _, prior = (part.strip() for part in text.partition(":"))
        label = label_of(name)
        if label is None or not prior:
            raise InputError(f"--label {text} must be a label, a colon and a prior, as every other label: 1:liver.")
        if label in [organ.label for organ in organs]:
            raise InputError(f"The label {label} is named twice; name each organ once.")
        organs.append(LabelledOrgan(label, prior))
    return tuple(organs)


def run_labels(
    case: Case,
    organs: Sequence[LabelledOrgan],
    *,
    device: torch.device,
    settings: Callable[[Observation], FitSettings],
    steps: Callable[[str], AbstractContextManager[OnStep]],
) -> dict[Path, dict[str, Any]]:
    """Refine several organs, separate them, and write all files at the end.

    Parameters
    ----------
    case : Case
        A full segmentation. The names of the meshes, one per label, are derived from its output.
    organs : sequence of LabelledOrgan
    device : torch.device
    settings : callable
        Takes an observation and returns the settings of its fit.
    steps : callable
        Takes a title and returns a context manager whose value is the `on_step` of a fit.

    Returns
    -------
    dict
        The report of each written mesh.
    """
    from dals.io.label_maps import read_grid, read_label_maps
    from dals.refinement import refine_together

    paths = output_paths(case.output, organs)
    _check_outputs(case, paths)
    labels = read_label_maps(case.sources[0], [organ.label for organ in organs])
    labels = labels if case.output_segmentation is None else _distinct(labels, case.output_segmentation)
    grid = labels[0].label_map.empty_like() if case.reference is None else read_grid(case.reference)
    observations = [_observation(organ, label, case) for organ, label in zip(organs, labels, strict=True)]
    for observation in observations:
        check_meets(observation, grid, case.reference)
    priors = _priors(organs, device)
    with ExitStack() as shown:

        def on_step(index: int) -> OnStep:
            shown.close()  # the previous organ is done
            organ = organs[index]
            name = priors[organ.prior].name
            title = f"Label {organ.label}, {index + 1} of {len(organs)}: refining {name} ({device})"
            return shown.enter_context(steps(title))

        results = refine_together(
            observations,
            [priors[organ.prior] for organ in organs],
            names=[f"label {organ.label}" for organ in organs],
            settings=[settings(observation) for observation in observations],
            remesh=case.remesh,
            on_step=on_step,
        )
    for result in results:
        warn_of(result)
    reports = {str(organ.label): result.report for organ, result in zip(organs, results, strict=True)}
    _write(case, paths, results, [label._replace(label_map=grid) for label in labels], reports)
    return dict(zip(paths, reports.values(), strict=True))


def output_paths(output: Path, organs: Sequence[LabelledOrgan]) -> list[Path]:
    """One mesh per label: out_1.stl, out_spleen.stl. Names are unique even if letter case is ignored."""
    paths: list[Path] = []
    for organ in organs:
        safe = re.sub(r"[^\w-]+", "_", str(organ.label)).strip("_")
        name = stem = f"{output.stem}_{safe or 'label'}"
        number = 1
        while f"{name}{output.suffix}".casefold() in [path.name.casefold() for path in paths]:
            number += 1
            name = f"{stem}_{number}"
        paths.append(output.with_name(name + output.suffix))
    return paths


def _check_outputs(case: Case, paths: Sequence[Path]) -> None:
    """Raise an error before the fits if an output could not be written after them."""
    from dals.io.label_maps import check_label_map_writable
    from dals.io.meshes import check_mesh_writable

    if case.kind != "segmentation":
        raise InputError(f"Labels with priors of their own need --segmentation ({_COLON}).")
    if case.probabilities is not None:
        raise InputError("Probabilities are those of one organ; refine labels with probabilities one at a time.")
    if case.disagreement is not None:
        raise InputError("A map of disagreement is that of one organ; refine labels with --disagreement one at a time.")
    if case.image is not None:
        raise InputError("An image is used for one organ at a time; refine labels with --image one at a time.")
    if case.side != "auto":
        raise InputError("The side is that of one organ; refine labels with --side one at a time.")
    check_overwriting([*(Output("mesh", path) for path in paths), *case.outputs_beside_mesh], case.inputs)
    for path in paths:
        check_mesh_writable(path)
    if case.output_segmentation is not None:
        check_label_map_writable(case.output_segmentation)
    if case.report is not None:
        check_writable(case.report)


def _distinct(labels: list[Labelled], path: Path) -> list[Labelled]:
    """The labels with distinct values: their own if these differ, otherwise 1, 2, ..."""
    from dals.io.label_maps import check_label_map_writable

    if len({label.value for label in labels}) < len(labels):
        labels = [label._replace(value=number) for number, label in enumerate(labels, start=1)]
        listed = ", ".join(f"{label.name} is {label.value}" for label in labels)
        warnings.warn(
            f"Several segments have the same label value, so that {path} gets others: {listed}.",
            DalsWarning,
            stacklevel=2,
        )
    check_label_map_writable(path, values=[label.value for label in labels])
    return labels


def _observation(organ: LabelledOrgan, label: Labelled, case: Case) -> Segmentation:
    from dals.observations import Segmentation

    label_map = label.label_map
    named = label_map.with_array(label_map.array, name=f"{label_map.name} (label {organ.label})")
    return Segmentation(named, component=case.component)


def _priors(organs: Sequence[LabelledOrgan], device: torch.device) -> dict[str, ShapePrior]:
    from dals.model.prior import load_prior

    try:
        return {name: load_prior(name).to(device) for name in dict.fromkeys(organ.prior for organ in organs)}
    except PriorError as error:
        raise PriorError(f"{str(error).removesuffix('.')} ({_COLON}).") from error


def _write(
    case: Case,
    paths: Sequence[Path],
    results: Sequence[Refinement],
    labels: Sequence[Labelled],
    reports: dict[str, dict[str, Any]],
) -> None:
    from dals.io.label_maps import write_label_maps
    from dals.io.meshes import write_mesh

    maps = []
    if case.output_segmentation is not None:
        maps = [
            label._replace(label_map=voxels_of(result, label.label_map, case.reference))
            for result, label in zip(results, labels, strict=True)
        ]
    with all_or_none():
        if case.output_segmentation is not None:
            write_label_maps(case.output_segmentation, maps)
        if case.report is not None:
            write_report(case.report, {"labels": reports})
        for path, result in zip(paths, results, strict=True):
            write_mesh(path, result.mesh, space=case.space)
