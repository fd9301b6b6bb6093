"""The learnt systems as the tables want them: by name, trained briefly where that will do.

All are trained on the same shapes, which are neither test nor validation shapes, in the same time on one core.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.comparison.shapes import dataset_folder, prepared, training_names
from benchmarks.systems import trained
from benchmarks.systems.auto_decoder import Status
from benchmarks.systems.base import System
from benchmarks.systems.prior_training import train_prior
from dals.errors import DatasetError

NAMES: tuple[str, ...] = tuple(trained.NAMES)
"""The implicit systems."""
PRIOR = "DALS"
"""The prior that the rows of DALS, and PCA's correspondences, come from."""
QUICK_SHAPES = 12
"""A quick training sees so many shapes: their signed distances take longer than the training."""


def weights(name: str, *, organ: str, quick: bool) -> Path:
    """Where the weights of `PRIOR` or one of `NAMES` are.

    Raises
    ------
    DatasetError
        If it was not trained yet.
    """
    path = trained.weights_path(name, organ=organ, quick=quick)
    if not path.is_file():
        raise DatasetError(f"There are no weights of {name} for the {organ}: run train_systems.py first.")
    return path


@functools.cache
def load(name: str, *, organ: str, quick: bool) -> System:
    """One of `NAMES`, read once in each process."""
    return trained.load_system(name, weights(name, organ=organ, quick=quick))


def train(
    name: str,
    *,
    organ: str,
    quick: bool,
    on_shape: Callable[[str], None] | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> None:
    """Train `PRIOR` or one of `NAMES`; see `trained.train_system`."""
    chosen = training_names(organ)[: QUICK_SHAPES if quick else None]
    shapes = prepared(organ, chosen)
    path = trained.weights_path(name, organ=organ, quick=quick)
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == PRIOR:
        train_prior(dataset_folder(organ), [shape.name for shape in shapes], path, minutes=minutes(quick))
    else:
        trained.train_system(name, shapes, path, minutes=minutes(quick), on_shape=on_shape, on_status=on_status)


def prepare(names: Sequence[str], *, organ: str, quick: bool, workers: int) -> None:
    """Train the quick systems that have no weights; full ones are trained by `train_systems.py`."""
    missing = [name for name in names if not trained.weights_path(name, organ=organ, quick=quick).is_file()]
    if not quick or not missing:
        return
    prepared(organ, training_names(organ)[:QUICK_SHAPES])  # once, before the workers want them
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(_train_quickly, name, organ) for name in missing]:
            future.result()


def trained_minutes(name: str, *, organ: str, quick: bool) -> float:
    """How long one of `NAMES` was trained, as its weights say."""
    return trained.trained_minutes(name, weights(name, organ=organ, quick=quick))


def minutes(quick: bool) -> float:
    """How long each is trained."""
    return trained.QUICK_MINUTES if quick else trained.FULL_MINUTES


def _train_quickly(name: str, organ: str) -> None:
    import torch

    torch.set_num_threads(1)
    train(name, organ=organ, quick=True)
