"""The compared systems by name, made in the process that uses them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import protocol
from benchmarks.comparison import learnt
from benchmarks.comparison.shapes import prepared, split_names, validation_names
from benchmarks.systems.base import System
from benchmarks.systems.dals_system import DalsSystem
from benchmarks.systems.dasm import DasmSystem
from benchmarks.systems.hull import HullSystem
from benchmarks.systems.interpolation import InterpolationSystem
from benchmarks.systems.pca import PcaModel, PcaSystem, correspondences, decoded_shapes, learn
from benchmarks.systems.poisson_rbf import PoissonSystem, RbfSystem
from dals.prior import ShapePrior, load_prior

CORRESPONDENCES = protocol.CACHE / "correspondences"


@dataclass(frozen=True)
class Context:
    """What systems are made from.

    Attributes
    ----------
    organ : "liver" or "hippocampus"
    split : str
        Which shapes are measured; a model of the training shapes leaves the validation shapes out unless it is "test".
    prior : str
        Name or file of the shape prior.
    quick : bool
        Whether learnt systems are those of a short training.
    """

    organ: str
    split: str
    prior: str
    quick: bool

    @property
    def training_names(self) -> tuple[str, ...]:
        """Shapes that models may be learnt from."""
        names = split_names(self.organ)
        left_out = [] if self.split == "test" else validation_names(names)
        return tuple(name for name in names if name not in left_out)


@functools.cache
def the_prior(name: str) -> ShapePrior:
    """A prior, read once in each process."""
    return load_prior(name)


@functools.cache
def the_pca(context: Context) -> PcaModel:
    """The point distribution model of the training shapes; its fits are cached on disk.

    The quick one is of what the prior holds of its training shapes, without any fit.
    """
    if context.quick:
        return learn(decoded_shapes(the_prior(context.prior)))
    shapes = prepared(context.organ, list(context.training_names))
    return learn(correspondences(context.prior, shapes, CORRESPONDENCES / context.organ))


def _dals(name: str, **options: Any) -> Callable[[Context], System]:
    return lambda context: DalsSystem(the_prior(context.prior), name=name, **options)


_FACTORIES: dict[str, Callable[[Context], System]] = {
    "Convex hull": lambda context: HullSystem(),
    "Poisson": lambda context: PoissonSystem(),
    "RBF": lambda context: RbfSystem(),
    "Contour interpolation": lambda context: InterpolationSystem(),
    "DASM": lambda context: DasmSystem(),
    "DASM+R": lambda context: DasmSystem(remeshed=True, name="DASM+R"),
    "PCA": lambda context: PcaSystem(the_pca(context)),
    "DALS global": _dals("DALS global", single=True),
    "DALS": _dals("DALS"),
    "DALS+R": _dals("DALS+R", remeshed=True),
}


_SOURCES = {
    "Convex hull": "hull",
    "Poisson": "poisson_rbf",
    "RBF": "poisson_rbf",
    "Contour interpolation": "interpolation",
    "DASM": "dasm",
    "DASM+R": "dasm",
    "PCA": "pca",
}


def names() -> tuple[str, ...]:
    """All systems, in the order of the tables."""
    classical = [name for name in _FACTORIES if not name.startswith("DALS")]
    return (*classical, *learnt.NAMES, *(name for name in _FACTORIES if name.startswith("DALS")))


def make(
    name: str, context: Context, *, estimates_pose: bool = False, changes: tuple[tuple[str, Any], ...] = ()
) -> System:
    """A system by name.

    Parameters
    ----------
    name : str
        One of `names`.
    context : Context
    estimates_pose : bool
        Whether a system that can shall estimate the pose: only DALS does.
    changes : tuple of (str, value)
        Fit settings of DALS that differ from the defaults.

    Raises
    ------
    DalsError
        If a model that it needs is missing.
    """
    if name in learnt.NAMES:
        return learnt.load(name, organ=context.organ, quick=context.quick, split=context.split)
    system = _FACTORIES[name](context)
    if isinstance(system, DalsSystem):
        return replace(system, estimates_pose=estimates_pose, changes=changes)
    return system


def prepare(systems: tuple[str, ...], context: Context, *, workers: int) -> None:
    """Make what the systems need and the workers of a table should not make twice: models and their training data."""
    wanted = [name for name in systems if name in learnt.NAMES]
    learnt.prepare(wanted, organ=context.organ, quick=context.quick, split=context.split, workers=workers)
    if "PCA" in systems and not context.quick:
        shapes = prepared(context.organ, list(context.training_names))
        correspondences(context.prior, shapes, CORRESPONDENCES / context.organ, workers=workers)


def model_megabytes(name: str, context: Context) -> float | None:
    """Size of what a system has learnt, MB (10^6 bytes) of float32; None if it has learnt nothing."""
    if name in learnt.NAMES:
        return learnt.megabytes(name)
    if name.startswith("DALS"):
        return 4e-6 * sum(value.numel() for value in the_prior(context.prior).decoder.state_dict().values())
    return 4e-6 * the_pca(context).size if name == "PCA" else None


@functools.cache
def model_identity(name: str, context: Context) -> str:
    """What a result depends on: changes with the model, and with the code and tuning of a system without one."""
    if name in learnt.NAMES:
        return learnt.identity(name, organ=context.organ, quick=context.quick, split=context.split)
    prior = the_prior(context.prior).digest[:12] if name == "PCA" or name.startswith("DALS") else ""
    if name not in _SOURCES:
        return prior
    source = Path(__file__).parents[1] / "systems" / f"{_SOURCES[name]}.py"
    return f"{prior} {hashlib.sha256(source.read_bytes()).hexdigest()[:12]}".strip()
