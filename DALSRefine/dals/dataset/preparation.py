"""A data set of normalised shapes from meshes and label maps.

Each shape file states its source and settings, so that an interrupted run can resume.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TypeAlias

import numpy as np
import SimpleITK as sitk  # noqa: N813
from vtkmodules.vtkCommonCore import vtkSMPTools

from dals.dataset.normalisation import (
    FACES,
    MAX_DEVIATION_MM,
    MAX_VOLUME_CHANGE,
    SMOOTHING_MM,
    SPACING_MM,
    normalise,
)
from dals.dataset.storage import (
    check_index_replaceable,
    read_index,
    read_metadata,
    shape_path,
    write_index,
    write_shape,
)
from dals.errors import DalsError, DalsWarning, DatasetError, InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.io.coordinates import Space
from dals.io.folders import made_folder
from dals.io.input_files import LABEL_SUFFIXES, MESH_SUFFIXES, find_sources, known_suffix, unique_names
from dals.io.label_maps import read_label_map
from dals.io.meshes import read_mesh
from dals.io.regular_files import LARGEST_IMAGE, check_regular

CaseCallback: TypeAlias = Callable[[int, int, str, str | None], None]
"""Takes the number of cases done, of all, the name of this one, and why it cannot be used, or None."""


@dataclass(frozen=True)
class PreparationReport:
    """The outcome of `prepare`.

    Attributes
    ----------
    prepared : tuple of str
        Names of the shapes that this run made.
    skipped : dict of str to str
        Names of the unusable cases, and why.
    already_there : tuple of str
        Names of the shapes that an earlier run made from the same sources with the same settings.
    """

    prepared: tuple[str, ...]
    skipped: dict[str, str]
    already_there: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the usable shapes."""
        return (*self.prepared, *self.already_there)

    @property
    def usable(self) -> int:
        """Number of usable shapes."""
        return len(self.names)


@dataclass(frozen=True)
class _Case:
    name: str
    source: Path
    target: Path
    labels: tuple[int, ...] | None
    space: Space | None
    mirror: bool

    @property
    def settings(self) -> str:
        """All that the shape depends on besides its source, as one comparable text."""
        return json.dumps(
            {
                "labels": self.labels,
                "space": self.space,
                "mirror": self.mirror,
                "spacing_mm": SPACING_MM,
                "smoothing_mm": SMOOTHING_MM,
                "facets": FACES,
                "max_deviation_mm": MAX_DEVIATION_MM,
                "max_volume_change": MAX_VOLUME_CHANGE,
            },
            sort_keys=True,
        )


def prepare(
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    labels: int | Sequence[int] | None = None,
    space: Space | None = None,
    workers: int | None = None,
    mirror: bool = False,
    progress: CaseCallback | None = None,
) -> PreparationReport:
    """Make a data set of normalised shapes from meshes and label maps.

    Parameters
    ----------
    inputs : iterable of str or Path
        Files, folders (for the meshes and label maps directly inside) or glob patterns.
    out : str or Path
        Folder of the data set. It keeps its shapes from other inputs.
    labels : int or sequence of int, optional
        Labels whose union is the organ; all but 0 by default.
    space : {"LPS", "RAS"}, optional
        Coordinate system of meshes that name none.
    workers : int, optional
        Number of processes, by default one per core. With 1, this process does all the work.
    mirror : bool
        Swap left and right, and append ``-mirrored`` to the names.
    progress : callable, optional
        Called after each case.

    Returns
    -------
    PreparationReport

    Raises
    ------
    InputError
        If an input does not exist or there is none.
    OutputError
        If the folder cannot be written, or holds a `dataset.json` of another program.
    """
    target = Path(out)
    wanted = (labels,) if isinstance(labels, int) else None if labels is None else tuple(labels)
    suffix = "-mirrored" if mirror else ""
    named = unique_names(find_sources(inputs))
    cases = [
        _Case(name + suffix, source, shape_path(target, name + suffix), wanted, space, mirror)
        for name, source in named.items()
    ]
    check_index_replaceable(target)
    with made_folder(target / "shapes"):
        return _prepare(cases, target, workers, progress)


def _prepare(
    cases: Sequence[_Case], target: Path, workers: int | None, progress: CaseCallback | None
) -> PreparationReport:
    already_there = tuple(case.name for case in cases if _is_up_to_date(case))
    todo = [case for case in cases if case.name not in set(already_there)]
    outcome: dict[str, str | None] = {}
    for done, (name, reason) in enumerate(_run(todo, workers), start=len(already_there) + 1):
        outcome[name] = reason
        if progress is not None:
            progress(done, len(cases), name, reason)
    prepared = tuple(case.name for case in todo if outcome[case.name] is None)
    skipped = {case.name: str(outcome[case.name]) for case in todo if outcome[case.name] is not None}
    for name in skipped:
        # A shape from an older source of this name would pass for the present one.
        shape_path(target, name).unlink(missing_ok=True)
    _update_index(target, [*prepared, *already_there], skipped)
    return PreparationReport(prepared, skipped, already_there)


def _update_index(target: Path, names: Sequence[str], skipped: dict[str, str]) -> None:
    """List these cases, and those of earlier runs whose shapes still exist."""
    earlier: dict[str, dict[str, str]] = {"shapes": {}, "skipped": {}}
    with contextlib.suppress(DatasetError):
        earlier = read_index(target)
    if not names and not earlier["shapes"]:
        return  # nothing came of it: no data set
    kept = [name for name in earlier["shapes"] if name not in skipped and shape_path(target, name).exists()]
    still_skipped = {name: reason for name, reason in earlier["skipped"].items() if name not in names}
    write_index(target, {*kept, *names}, {**still_skipped, **skipped})


def _run(cases: Sequence[_Case], workers: int | None) -> Iterator[tuple[str, str | None]]:
    """Make the shapes; yield each name with the reason of failure, or None, as soon as it is done."""
    count = min(workers or _available_cores(), len(cases))
    if count <= 1:
        for case in cases:
            yield case.name, _make(case)
        return
    # Spawned, because a fork of a process with threads (torch, VTK, Qt) may deadlock.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        names = {pool.submit(_make, case): case.name for case in cases}
        try:
            for future in as_completed(names):
                try:
                    yield names[future], future.result()
                except BrokenProcessPool:
                    yield names[future], "Its process was killed, perhaps for lack of memory."
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Use one core, leave Ctrl-C to the parent, and exit when the parent exits for any reason."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    vtkSMPTools().Initialize(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _make(case: _Case) -> str | None:
    """Make one shape file; returns why it failed, or None."""
    try:
        digest = _digest(case.source)
        shape = normalise(_read(case), name=case.name, mirror=case.mirror)
        about = {"source": case.source.name, "source_sha256": digest, "settings": case.settings}
        write_shape(shape, case.target, metadata=about)
    except OutputError:
        # A full disk would fail all other cases, too.
        raise
    except DalsError as error:
        return str(error)
    except Exception as error:  # one bad file must not end the run
        return f"Unexpected {type(error).__name__}: {error}"
    return None


def _read(case: _Case) -> TriangleMesh | LabelMap:
    suffix = known_suffix(case.source)
    if suffix in MESH_SUFFIXES:
        return read_mesh(case.source, space=case.space)
    if suffix in LABEL_SUFFIXES:
        return _read_labels(case.source, case.labels)
    raise InputError(
        f"{case.source.name} is neither a mesh nor a label map ({' '.join(MESH_SUFFIXES + LABEL_SUFFIXES)})."
    )


def _read_labels(source: Path, labels: tuple[int, ...] | None) -> LabelMap:
    """The union of the given labels, of which at least one must exist, or of all labels."""
    if labels is None:
        with warnings.catch_warnings():
            # Several labels are expected here.
            warnings.simplefilter("ignore", DalsWarning)
            return read_label_map(source)
    found: list[LabelMap] = []
    missing: InputError | None = None
    for label in labels:
        try:
            found.append(read_label_map(source, label=label))
        except InputError as error:
            missing = error
    if not found:
        raise missing or InputError("No label was asked for.")
    return found[0].with_array(np.logical_or.reduce([part.array for part in found]))


def _is_up_to_date(case: _Case) -> bool:
    """Whether this shape exists, made from the same bytes with the same settings."""
    if not case.target.exists():
        return False
    try:
        metadata = read_metadata(case.target)
    except DatasetError:
        return False
    return metadata.get("settings") == case.settings and metadata.get("source_sha256") == _digest(case.source)


def _digest(path: Path) -> str:
    check_regular(path, limit=LARGEST_IMAGE)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
