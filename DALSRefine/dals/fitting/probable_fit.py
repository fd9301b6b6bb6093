"""A fit by Gauss-Newton: from a first guess to a surface, from coarse templates to fine ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dals.errors import FitCancelledError, InputError
from dals.fit_settings import FitSettings
from dals.fitting.first_guess import FOREIGN, at_either_end, first_guess
from dals.fitting.fold_removal import remove_folds
from dals.fitting.gauss_newton import GaussNewton, Unknowns
from dals.fitting.local_kernel import local_basis, local_weights
from dals.fitting.precise_decoder import PreciseDecoder
from dals.fitting.residuals import ResidualTerm
from dals.fitting.result import FitStep, OnStep, Stage
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import Observation
from dals.ops.dense import product

_TRIAL_LEVEL = 2
_TRIAL_NOISE, _SHARED_NOISE, _LOCAL_NOISE, _FINE_NOISE = (0.1, 0.04), 0.03, (0.025, 0.02), 0.012
"""Standard deviations of an observation, canonical: large ones first, so that far and near places agree on the pose."""
_TRIAL_SHARE, _COARSE_SHARE = 0.6, 0.6
_RESUMED_STEPS = 2
_SMALL = 5.0
"""Standard deviations by which what was observed is smaller than usual, from which on it may be of a small organ."""
_CLEARLY = 0.55
"""So many times as improbable as a small organ, or less, the usual size is taken."""


def steps_of_refit(settings: FitSettings) -> int:
    """How many steps a fit takes that goes on from an earlier one."""
    return min(_RESUMED_STEPS, settings.total_steps)


class ProbableFit:
    """Runs the stages of a fit and tells of them.

    Parameters
    ----------
    prior : ShapePrior
    observation : Observation
    term : ResidualTerm
        Of the observation.
    settings : FitSettings
    known : Pose, optional
        The true pose.
    on_step : callable, optional
        As in `fit`.
    """

    def __init__(
        self,
        prior: ShapePrior,
        observation: Observation,
        term: ResidualTerm,
        settings: FitSettings,
        *,
        known: Pose | None,
        on_step: OnStep | None,
    ) -> None:
        self.prior, self.observation, self.term, self.settings = prior, observation, term, settings
        self.known, self.on_step = known, on_step
        self.decoder = PreciseDecoder(prior)
        self.done, self.total = 0, settings.total_steps
        self.improbability = math.inf
        self.plain: TriangleMesh | None = None
        self._plain_state: FitState | None = None

    def run(self, start: FitState | None = None, *, steps: int | None = None) -> tuple[TriangleMesh, FitState]:
        """Fit, from the beginning or from the end of an earlier fit.

        Parameters
        ----------
        start : FitState, optional
            Of the earlier fit.
        steps : int, optional
            From there, if not as many as after a contour was moved.

        Returns
        -------
        TriangleMesh
            RAS mm. Its first vertices are those of the template of the settings' level.
        FitState

        Raises
        ------
        FitCancelledError
            If `on_step` returned False.
        InputError
            If `start` is of another prior.
        """
        solver, unknowns = self._from_start() if start is None else self._resumed(start, steps)
        pose, level = solver.pose(unknowns), self.settings.level
        self.improbability = solver.improbability(unknowns, _FINE_NOISE, level)
        mesh = self._surface(solver, unknowns, level)
        mesh = remove_folds(mesh) if self.settings.removing_folds else mesh
        if not self.settings.single_latent:
            finished = self.term.finished(pose.to_canonical(mesh.vertices), level, pose)
            mesh = TriangleMesh(pose.to_patient(finished.vertices), finished.faces)
        return mesh, replace(self._state(unknowns, pose, level=level), plain=self._plain_state)

    def earlier(self, start: FitState) -> TriangleMesh:
        """The surface of an earlier fit's end state, without corrections, RAS mm; errors as in `run`."""
        solver = self._solver(start.pose)
        return self._surface(solver, self._unknowns(start), self.settings.level)

    def shared_only(self, start: FitState | None) -> tuple[TriangleMesh, FitState]:
        """The surface (RAS mm) and the state of one latent for all vertices.

        From the beginning, or from that of an earlier fit, where one step goes nearly all of the way.
        """
        level = self._shared_level
        if start is None:
            solver, unknowns = self._likeliest_shared()
        else:
            solver = self._solver(start.pose)
            unknowns = self._stage(solver, self._unknowns(start), "shared", [_SHARED_NOISE], level=level)
        return self._surface(solver, unknowns, level), self._state(unknowns, solver.pose(unknowns), level=level)

    def _surface(self, solver: GaussNewton, unknowns: Unknowns, level: int) -> TriangleMesh:
        """Without corrections, RAS mm."""
        return TriangleMesh(solver.pose(unknowns).to_patient(solver.decode(unknowns, level)), icosphere(level).faces)

    def _solver(self, first: Pose, term: ResidualTerm | None = None) -> GaussNewton:
        known = self.known is not None
        first = first if self.known is None else self.known
        return GaussNewton(self.prior, self.decoder, term or self.term, self.settings, first=first, known=known)

    def _guesses(self) -> tuple[list[Pose], Pose | None]:
        """First poses to start from, and one of a small organ.

        What was observed shows a part of the organ, so that it is not smaller than it usually is. Where that would be
        most of the organ lacking, it may as well be a small one.
        """
        if self.known is not None:
            return [self.known], None
        mean = self.decoder.vertices(np.zeros((1, self.decoder.size)), self._shared_level)
        guess = first_guess(self.observation, mean)
        usual, deviation = self.prior.log_scale
        lacking = usual - math.log(guess.scale)
        if not 0 < lacking < max(math.log(FOREIGN), _SMALL * deviation):
            return [guess], None
        factor = math.exp(lacking)
        # About the middle of the organ, or of its part.
        whole = Pose(guess.scale * factor, guess.translation + guess.scale * (1 - factor) * mean.mean(axis=0))
        likely = [whole, *at_either_end(self.observation, mean, whole.scale)]
        return likely, None if lacking < _SMALL * deviation else guess

    def _from_start(self) -> tuple[GaussNewton, Unknowns]:
        solver, unknowns = self._likeliest_shared()
        self.plain = self._surface(solver, unknowns, self._shared_level)
        self._plain_state = self._state(unknowns, solver.pose(unknowns), level=self._shared_level)
        return solver, self._local_stage(solver, unknowns, self.settings.total_steps - self.settings.shared_steps)

    def _likeliest_shared(self) -> tuple[GaussNewton, Unknowns]:
        """One latent for all vertices, and its solver: the likeliest; a small organ if that is as likely, nearly."""
        likely, small = self._guesses()
        self.total += (len(likely) - (small is None)) * self.settings.shared_steps
        found = [self._shared_stage(guess) for guess in likely]
        best = min(found, key=self._improbability) if len(found) > 1 else found[0]
        if small is None:
            return best
        other = self._shared_stage(small)
        return best if self._improbability(best) < _CLEARLY * self._improbability(other) else other

    def _improbability(self, found: tuple[GaussNewton, Unknowns]) -> float:
        solver, unknowns = found
        return solver.improbability(unknowns, _FINE_NOISE, self._shared_level)

    def _shared_stage(self, first: Pose) -> tuple[GaussNewton, Unknowns]:
        settings, solver = self.settings, self._solver(first)
        first = solver.first
        unknowns = Unknowns(
            np.zeros(self.decoder.size), None, math.log(first.scale), np.asarray(first.translation), np.zeros(3)
        )
        trials = round(_TRIAL_SHARE * settings.shared_steps)
        coarse = min(_TRIAL_LEVEL, self._shared_level)
        first_solver = self._solver(first, self.term.of_trials())
        unknowns = self._stage(first_solver, unknowns, "shared", np.geomspace(*_TRIAL_NOISE, trials), level=coarse)
        rest = [_SHARED_NOISE] * (settings.shared_steps - trials)
        return solver, self._stage(solver, unknowns, "shared", rest, level=self._shared_level)

    def _unknowns(self, start: FitState) -> Unknowns:
        if start.shared.shape != tuple(self.prior.latent_mean.shape):
            raise InputError(
                "The earlier result was made with another prior; start afresh instead of going on from it."
            )
        shared = self._coordinates(start.shared - self.prior.latent_mean.cpu().numpy())
        unknowns = Unknowns(shared, None, math.log(start.pose.scale), np.asarray(start.pose.translation), np.zeros(3))
        if start.local is not None and not self.settings.single_latent:
            unknowns = replace(unknowns, local=product(local_weights(start.level), self._coordinates(start.local)))
        return unknowns

    def _resumed(self, start: FitState, steps: int | None) -> tuple[GaussNewton, Unknowns]:
        solver, unknowns, self._plain_state = self._solver(start.pose), self._unknowns(start), start.plain
        steps = steps_of_refit(self.settings) if steps is None else steps
        self.total = steps
        if self.settings.single_latent:
            return solver, self._stage(solver, unknowns, "shared", [_FINE_NOISE] * steps, level=self.settings.level)
        return solver, self._local_stage(solver, unknowns, steps)

    def _local_stage(self, solver: GaussNewton, unknowns: Unknowns, steps: int) -> Unknowns:
        coarse = round(_COARSE_SHARE * steps) if steps > 1 else 0
        noises = np.geomspace(*_LOCAL_NOISE, coarse)
        unknowns = self._stage(solver, unknowns, "local", noises, level=self._shared_level)
        rest = [_FINE_NOISE] * (steps - coarse)
        return self._stage(solver, unknowns, "local", rest, level=self.settings.level)

    def _stage(
        self, solver: GaussNewton, unknowns: Unknowns, stage: Stage, noises: ArrayLike, *, level: int
    ) -> Unknowns:
        standard_deviations = np.asarray(noises, dtype=np.float64)
        if standard_deviations.size == 0:
            return unknowns

        def told(present: Unknowns, vertices: FloatArray, loss: float) -> None:
            self.done += 1
            if self.on_step is None:
                return
            pose, faces = solver.pose(present), icosphere(level).faces
            step = FitStep(
                stage,
                self.done,
                self.total,
                lambda: math.sqrt(loss) * pose.scale,
                lambda: TriangleMesh(pose.to_patient(vertices), faces),
            )
            if self.on_step(step) is False:
                raise FitCancelledError

        return solver.descend(unknowns, standard_deviations.tolist(), level=level, local=stage == "local", told=told)

    def _state(self, unknowns: Unknowns, pose: Pose, *, level: int) -> FitState:
        basis = self.prior.latent_basis.cpu().double().numpy()
        shared = self.prior.latent_mean.cpu().double().numpy() + unknowns.shared @ basis.T
        local = None
        if unknowns.local is not None:
            local = (local_basis(level) @ unknowns.local @ basis.T).astype(np.float32)
        return FitState(pose, shared.astype(np.float32), local, level, self.prior.side)

    def _coordinates(self, offsets: NDArray[np.floating[Any]]) -> FloatArray:
        """Coordinates (..., k) along the prior's directions of offsets (..., d) from the mean latent."""
        basis = self.prior.latent_basis.cpu().double().numpy()
        return np.asarray(offsets @ (basis / (basis**2).sum(axis=0)))

    @property
    def _shared_level(self) -> int:
        return min(self.settings.shared_level, self.settings.level)
