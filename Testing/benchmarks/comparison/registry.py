"""The compared systems by name, made in the process that uses them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import protocol
from benchmarks.comparison import learnt
from benchmarks.comparison.shapes import prepared, training_names
from benchmarks.comparison.sources import sources, statements
from benchmarks.systems import trained
from benchmarks.systems.base import System
from benchmarks.systems.dals_system import DalsSystem
from benchmarks.systems.dasm import DasmSystem
from benchmarks.systems.hull import HullSystem
from benchmarks.systems.interpolation import InterpolationSystem
from benchmarks.systems.pca import PcaModel, PcaSystem, correspondences, decoded_shapes, learn
from benchmarks.systems.poisson_rbf import PoissonSystem, RbfSystem
from dals.model.prior import ShapePrior, load_prior

CORRESPONDENCES = protocol.CACHE / "correspondences"
BY_ADAM = "DALS by Adam"
"""The paper's energy and descent; "DALS" is the fit of `dals refine`."""
SHIPPED = "DALS, shipped prior"


@dataclass(frozen=True)
class Context:
    """What systems are made from.

    Attributes
    ----------
    organ : "liver", "hippocampus" or "spleen"
    split : str
        Which shapes are measured.
    quick : bool
        Whether learnt systems are those of a short training.
    chosen_prior : str, optional
        Name or file of another prior than the one that was trained like the other systems (livers) or the shipped one
        (hippocampi, spleens).
    """

    organ: str
    split: str
    quick: bool
    chosen_prior: str | None = None

    @property
    def trains_prior(self) -> bool:
        """Whether the prior is one of the systems that `learnt` trains."""
        return self.chosen_prior is None and self.organ == "liver"

    @property
    def prior(self) -> str:
        """Name or file of the prior of DALS and PCA."""
        if self.trains_prior:
            return str(learnt.weights(learnt.PRIOR, organ=self.organ, quick=self.quick))
        return self.chosen_prior or self.organ


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
    return learn(_correspondences(context))


def _correspondences(context: Context, *, workers: int = 1) -> Any:
    shapes = prepared(context.organ, training_names(context.organ))
    return correspondences(context.prior, shapes, CORRESPONDENCES / context.organ, workers=workers)


def _dals(name: str, **options: Any) -> Callable[[Context], System]:
    return lambda context: DalsSystem(_prior_of(name, context), name=name, **options)


def _prior_of(name: str, context: Context) -> ShapePrior:
    return the_prior(context.organ if name == SHIPPED else context.prior)


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
    BY_ADAM: _dals(BY_ADAM, by_adam=True),
    f"{BY_ADAM}+R": _dals(f"{BY_ADAM}+R", by_adam=True, remeshed=True),
    "DALS global+R": _dals("DALS global+R", single=True, remeshed=True),
    SHIPPED: _dals(SHIPPED),
}
_MODULES = {
    "Convex hull": ("hull",),
    "Poisson": ("poisson_rbf",),
    "RBF": ("poisson_rbf",),
    "Contour interpolation": ("interpolation",),
    "DASM": ("dasm",),
    "DASM+R": ("dasm",),
    "PCA": ("pca",),
    "DeepSDF": ("implicit", "deepsdf"),
    "SIREN": ("implicit", "siren"),
    "DUAL-MLP global": ("implicit", "dual_mlp"),
    "DUAL-MLP local": ("implicit", "dual_mlp"),
    **dict.fromkeys((name for name in _FACTORIES if name.startswith("DALS")), ("dals_system",)),
}
"""Where each system's fit is; what these modules import from their own package counts, too."""
_SYSTEMS = Path(__file__).parents[1] / "systems"
_OBSERVED_BY = (Path(__file__).with_name("observations.py"), Path(protocol.__file__))


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
        return learnt.load(name, organ=context.organ, quick=context.quick)
    system = _FACTORIES[name](context)
    if isinstance(system, DalsSystem):
        return replace(system, estimates_pose=estimates_pose, changes=changes)
    return system


def prepare(systems: tuple[str, ...], context: Context, *, workers: int) -> None:
    """Make what the systems need and the workers of a table should not make twice: models and their training data."""
    wanted = [name for name in systems if name in learnt.NAMES]
    if context.trains_prior and any(name == "PCA" or name.startswith("DALS") for name in systems):
        wanted.insert(0, learnt.PRIOR)
    learnt.prepare(wanted, organ=context.organ, quick=context.quick, workers=workers)
    if "PCA" in systems and not context.quick:
        _correspondences(context, workers=workers)


def model_megabytes(name: str, context: Context) -> float | None:
    """Size of what a system has learnt, MB (10^6 bytes) of float32; None if it has learnt nothing."""
    if name in learnt.NAMES:
        return trained.megabytes(name)
    if name.startswith("DALS"):
        return 4e-6 * sum(value.numel() for value in _prior_of(name, context).decoder.state_dict().values())
    return 4e-6 * the_pca(context).size if name == "PCA" else None


@functools.cache
def model_identity(name: str, context: Context) -> str:
    """What a result depends on: changes with the model, the code and tuning of a system, and with what is observed.

    The package `dals` is not among it: each row says of which commit it is.
    """
    digest = hashlib.sha256()
    if name in learnt.NAMES:
        digest.update(trained.identity(name, learnt.weights(name, organ=context.organ, quick=context.quick)))
    if name == "PCA" or name.startswith("DALS"):
        digest.update(_prior_of(name, context).digest.encode())
    for source in (*sources(_MODULES[name], folder=_SYSTEMS), *_OBSERVED_BY):
        digest.update(statements(source))
    return digest.hexdigest()[:12]


def budgets(systems: Sequence[str], context: Context) -> str:
    """How long the models were trained, in words."""
    parts = []
    for name in ("DALS", SHIPPED):
        if name in systems:
            training = _prior_of(name, context).card["training"]
            parts.append(f"{name} {training['minutes']:g} min ({training['device']})")
    implicit = [name for name in systems if name in learnt.NAMES]
    for minutes in sorted(
        {learnt.trained_minutes(name, organ=context.organ, quick=context.quick) for name in implicit}
    ):
        parts.append(f"each implicit system {minutes:g} min (cpu, 1 thread)")
    return ", ".join(parts)
