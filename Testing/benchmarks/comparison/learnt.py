"""The implicit systems of `systems.trained` as the tables want them: by name, trained briefly where that will do."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.comparison.shapes import prepared, split_names, validation_names
from benchmarks.systems import trained
from benchmarks.systems.base import System
from dals.errors import DatasetError

NAMES: tuple[str, ...] = tuple(trained.NAMES)
QUICK_SHAPES = 12
"""A quick training sees so many shapes: their signed distances take longer than the training."""


@functools.cache
def load(name: str, *, organ: str, quick: bool, split: str) -> System:
    """A trained system, read once in each process.

    Raises
    ------
    DatasetError
        If it has no weights.
    """
    path = _path(name, organ=organ, quick=quick, split=split)
    if not path.is_file():
        raise DatasetError(f"There are no weights of {name}: run train_systems.py --split {split} first")
    return trained.load_system(name, path)


def prepare(names: Sequence[str], *, organ: str, quick: bool, split: str, workers: int) -> None:
    """Train the quick systems that have no weights; full ones are trained by `train_systems.py`."""
    missing = [name for name in names if not _path(name, organ=organ, quick=quick, split=split).is_file()]
    if not quick or not missing:
        return
    left_out = [] if split == "test" else validation_names(split_names(organ))
    chosen = [name for name in split_names(organ) if name not in left_out][:QUICK_SHAPES]
    prepared(organ, chosen)  # once, before the workers want them
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=get_context("spawn")) as pool:
        # The first one computes the signed distances that the others find on disk.
        pool.submit(_train, missing[0], organ, split, tuple(chosen)).result()
        others = [pool.submit(_train, name, organ, split, tuple(chosen)) for name in missing[1:]]
        for other in others:
            other.result()


def megabytes(name: str) -> float:
    """Size of the network, MB (10^6 bytes) of float32."""
    return trained.megabytes(name)


def identity(name: str, *, organ: str, quick: bool, split: str) -> str:
    """Changes whenever the weights do; "none" without weights."""
    path = _path(name, organ=organ, quick=quick, split=split)
    return trained.identity(path) if path.is_file() else "none"


def budgets(*, quick: bool) -> str:
    """How long each was trained, in words."""
    minutes = trained.QUICK_MINUTES if quick else trained.FULL_MINUTES
    return f"implicit systems {minutes:g} min of one core each" + (f" on {QUICK_SHAPES} shapes" if quick else "")


def _path(name: str, *, organ: str, quick: bool, split: str) -> Path:
    return trained.weights_path(name, organ=organ, split=split, quick=quick)


def _train(name: str, organ: str, split: str, shapes: tuple[str, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    path = _path(name, organ=organ, quick=True, split=split)
    path.parent.mkdir(parents=True, exist_ok=True)
    trained.train_system(name, prepared(organ, list(shapes)), path, minutes=trained.QUICK_MINUTES)
