"""Which fits each table takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.comparison import learnt
from benchmarks.comparison.registry import BY_ADAM, SHIPPED
from benchmarks.comparison.runner import Job
from benchmarks.systems.dals_system import Changes

BASELINES = ("Convex hull", "Poisson", "RBF", "DASM", "DASM+R", "PCA")
PLANE_BASELINES = ("Convex hull", "Poisson", "RBF", "Contour interpolation", "DASM", "DASM+R", "PCA")
OURS = ("DALS global", BY_ADAM, "DALS", "DALS+R")
PLANE_COUNTS = tuple(range(1, 11))
POINT_COUNTS = (100, 250, 1_000, 2_500)
FAULTS = (
    *("planes", "planes/noise=1", "planes/noise=2", "planes/noise=5", "planes/tilted"),
    "planes/missing=0.3",
)
SWEEP = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, math.inf)
"""Values of lambda_dir."""


@dataclass(frozen=True)
class Plan:
    """Jobs of one table, and the order of its lines."""

    jobs: tuple[Job, ...]
    systems: tuple[str, ...]


def plan_of(table: str, cases: Sequence[str], *, systems: Sequence[str] | None = None, quick: bool = False) -> Plan:
    """What a table takes.

    Parameters
    ----------
    table : str
        One of `TABLES`.
    cases : sequence of str
        Names of the shapes.
    systems : sequence of str, optional
        Only these.
    quick : bool
        Whether plots have fewer positions.
    """
    plan = _PLANS[table](cases, quick)
    if systems is None:
        return plan
    kept = tuple(job for job in plan.jobs if job.system in systems)
    left = {job.shown["system"] for job in kept}
    return Plan(kept, tuple(label for label in plan.systems if label in left))


def _each(systems: Sequence[str], conditions: Sequence[str], cases: Sequence[str]) -> tuple[Job, ...]:
    return tuple(Job(system, condition, case) for condition in conditions for system in systems for case in cases)


def _table1(cases: Sequence[str], quick: bool) -> Plan:
    systems = (*BASELINES, *learnt.NAMES, *OURS, SHIPPED)
    return Plan(_each(systems, ["points"], cases), systems)


def _table2(cases: Sequence[str], quick: bool) -> Plan:
    systems = ("DASM+R", *OURS)
    return Plan(_each(systems, ["points"], cases), systems)


def _table2_spleens(cases: Sequence[str], quick: bool) -> Plan:
    systems = ("Poisson", "PCA", "DASM", "DASM+R", *OURS)
    return Plan(_each(systems, ["points"], cases), systems)


def _table3(cases: Sequence[str], quick: bool) -> Plan:
    systems = (*PLANE_BASELINES, *learnt.NAMES, *OURS, SHIPPED)
    return Plan(_each(systems, ["planes"], cases), systems)


def _figure6(cases: Sequence[str], quick: bool) -> Plan:
    counts = (1, 3, 10) if quick else PLANE_COUNTS
    systems = (*PLANE_BASELINES, *learnt.NAMES, "DALS global", BY_ADAM, "DALS")
    return Plan(_each(systems, [f"planes:{count}" for count in counts], cases), systems)


def _table5(cases: Sequence[str], quick: bool) -> Plan:
    conditions = ("points", "planes")
    ablation = [
        Job(system, condition, case, label=label, changes=changes)
        for condition in conditions
        for system, label, changes in _variants()
        for case in cases
    ]
    sweep = [
        _with_lambda_dir(value, condition, case)
        for condition in conditions
        for value in (SWEEP[::2] if quick else SWEEP)
        for case in cases
    ]
    return Plan((*ablation, *sweep), tuple(label for _, label, _ in _variants()))


def _variants() -> list[tuple[str, str, Changes]]:
    """System, label and changes of each line of the ablation."""
    found = []
    for latents, plain, even in (
        ("one latent", "DALS global", "DALS global+R"),
        ("a latent per vertex", BY_ADAM, f"{BY_ADAM}+R"),
    ):
        for regular, changes in (("L_reg", ()), ("no L_reg", (("lambda_reg", 0.0),))):
            found.append((plain, f"{latents}, {regular}", changes))
            found.append((even, f"{latents}, {regular}, remeshed", changes))
    return found


def _with_lambda_dir(value: float, condition: str, case: str) -> Job:
    """At infinity all vertices share one latent, and all steps are steps of that latent."""
    label = f"{SWEEP_LABEL}{value:g}"
    if math.isinf(value):
        return Job("DALS global", condition, case, label=label)
    return Job(BY_ADAM, condition, case, label=label, changes=(("lambda_dir", value),))


SWEEP_LABEL = "lambda_dir = "


def _beyond(cases: Sequence[str], quick: bool) -> Plan:
    plane_systems = (*PLANE_BASELINES, *learnt.NAMES, "DALS global", BY_ADAM, "DALS")
    point_systems = (*BASELINES, *learnt.NAMES, "DALS global", BY_ADAM, "DALS")
    counts = POINT_COUNTS[:1] if quick else POINT_COUNTS
    faults = FAULTS[2:3] if quick else FAULTS
    unknown = [
        Job(system, condition, case, pose_known=False)
        for condition, systems in (("planes", plane_systems), ("points", point_systems))[: 1 if quick else 2]
        for system in systems
        for case in cases
    ]
    jobs = (
        *_each(plane_systems, faults, cases),
        *_each(point_systems, [f"points:{count}" for count in counts], cases),
        *unknown,
    )
    return Plan(jobs, tuple(dict.fromkeys((*plane_systems, *point_systems))))


def _pictures(cases: Sequence[str], quick: bool) -> Plan:
    points, planes = (*BASELINES, *learnt.NAMES, "DALS global", BY_ADAM, "DALS"), ("DALS global", BY_ADAM, "DALS")
    jobs = (*_each(points, ["points"], cases), *_each((*PLANE_BASELINES, *learnt.NAMES, *planes), ["planes"], cases))
    return Plan(jobs, tuple(dict.fromkeys(job.system for job in jobs)))


_PLANS = {
    "table1": _table1,
    "table2": _table2,
    "table2-spleens": _table2_spleens,
    "table3": _table3,
    "figure6": _figure6,
    "table5": _table5,
    "pictures": _pictures,
    "beyond": _beyond,
}
TABLES = tuple(_PLANS)
