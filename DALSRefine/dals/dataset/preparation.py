"""A data set of normalised shapes from meshes and label maps.

Each shape file states its source and settings, so that an interrupted run can resume.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from dals.dataset.cases import ShapeCase, is_up_to_date
from dals.dataset.processes import make_in_processes
from dals.dataset.storage import check_index_replaceable, read_index, read_metadata, shape_path, write_index
from dals.errors import DatasetError
from dals.io.coordinates import Space
from dals.io.folders import made_folder
from dals.io.input_files import find_sources, unique_names

CaseCallback: TypeAlias = Callable[[int, int, str, str | None], None]
"""Takes the number of cases done, of all, the name of this one, and why it cannot be used, or None."""
Maker: TypeAlias = Callable[[Sequence[ShapeCase]], Iterator[tuple[str, str | None]]]
"""Makes shapes in any order with `make_shape`; yields each name with why it failed, or None, when it is done."""


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
    repaired : dict of str to str
        Names of the usable shapes that had handles, and what was done to them.
    """

    prepared: tuple[str, ...]
    skipped: dict[str, str]
    already_there: tuple[str, ...]
    repaired: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the usable shapes."""
        return (*self.prepared, *self.already_there)

    @property
    def usable(self) -> int:
        """Number of usable shapes."""
        return len(self.names)


def prepare(
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    labels: int | Sequence[int] | None = None,
    space: Space | None = None,
    workers: int | None = None,
    mirror: bool = False,
    progress: CaseCallback | None = None,
    make: Maker | None = None,
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
    make : callable, optional
        Makes the shapes instead of this machine's processes, for instance on a cluster.

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
        ShapeCase(name + suffix, source, shape_path(target, name + suffix), wanted, space, mirror)
        for name, source in named.items()
    ]
    check_index_replaceable(target)
    with made_folder(target / "shapes"):
        return _prepare(cases, target, make or partial(make_in_processes, workers=workers), progress)


def _prepare(cases: Sequence[ShapeCase], target: Path, make: Maker, progress: CaseCallback | None) -> PreparationReport:
    already_there = tuple(case.name for case in cases if is_up_to_date(case))
    todo = [case for case in cases if case.name not in set(already_there)]
    outcome: dict[str, str | None] = {}
    for done, (name, reason) in enumerate(make(todo), start=len(already_there) + 1):
        outcome[name] = reason
        if progress is not None:
            progress(done, len(cases), name, reason)
    prepared = tuple(case.name for case in todo if outcome[case.name] is None)
    skipped = {case.name: str(outcome[case.name]) for case in todo if outcome[case.name] is not None}
    for name in skipped:
        # A shape from an older source of this name would pass for the present one.
        shape_path(target, name).unlink(missing_ok=True)
    usable = [*prepared, *already_there]
    _update_index(target, usable, skipped)
    repairs = ((name, read_metadata(shape_path(target, name)).get("repair", "")) for name in usable)
    return PreparationReport(prepared, skipped, already_there, {name: done for name, done in repairs if done})


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
