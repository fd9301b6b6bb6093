"""Gauss-Newton for Eq. 3: a linearised decoder, Gaussian latents and residuals along normals.

The unknowns are Gaussian: the shared latent, a smooth field of local latents, and the pose. Each step linearises the
decoder where residuals are, and solves for the most probable unknowns in the space of the residuals (N x N), which are
far fewer than the latents of all vertices. The decoder is pointwise, so that one backward pass gives the derivatives of
all vertices. Ten or twenty steps take the place of hundreds of gradient steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from dals.fit_settings import FitSettings
from dals.fitting.local_kernel import local_basis
from dals.fitting.precise_decoder import PreciseDecoder
from dals.fitting.residuals import Residuals, ResidualTerm
from dals.geometry.mesh import FloatArray, IntArray
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.ops.dense import product, solve_positive

SHIFT_DEVIATION, TURN_DEVIATION = 0.3, 0.2
"""Standard deviations of the translation (canonical) and the rotation (radians) about the first guess."""
_GROWTH = 0.04
"""Standard deviation of the logarithm of a size above the usual one, at most. Contours bound an organ from below: if it
were free, the size would make up for what latents cannot express, and the organ would grow where no contour is."""
_ABOVE = -1e-6
"""Logarithm from which on a size counts as above the usual one, at which many fits begin."""
LEAST_WEIGHT = 1e-2
"""Least weight of a term of the prior: a variance of 100."""
_STRANGE_SIZE = 5.0  # standard deviations
_ALIKE = 20.0  # residuals that err as one, where shapes are compared
_SHORTEST = 0.1
_LARGEST_STEP = 0.5  # canonical


@dataclass(frozen=True, eq=False)
class Unknowns:
    """What a fit estimates.

    Attributes
    ----------
    shared : (k,)
        Latent of all vertices, in standard deviations along the prior's principal directions.
    local : (m, k) or None
        Weights of `local_basis` in what each vertex adds to it.
    log_scale : float
        Of millimetres in one canonical unit.
    translation : (3,)
        RAS mm.
    turn : (3,)
        Rotation vector within the canonical frame, relative to the first guess.
    """

    shared: FloatArray
    local: FloatArray | None
    log_scale: float
    translation: FloatArray
    turn: FloatArray

    def towards(self, other: Unknowns, fraction: float) -> Unknowns:
        """The unknowns on the way to others, which have local latents if these have."""
        local = other.local
        if local is not None:
            local = fraction * local if self.local is None else self.local + fraction * (local - self.local)
        return Unknowns(
            self.shared + fraction * (other.shared - self.shared),
            local,
            self.log_scale + fraction * (other.log_scale - self.log_scale),
            self.translation + fraction * (other.translation - self.translation),
            self.turn + fraction * (other.turn - self.turn),
        )

    def field(self, level: int) -> FloatArray:
        """Latents of the vertices of a template, (V, k), or (1, k) where all are alike."""
        return self.shared[None] if self.local is None else self.shared + product(local_basis(level), self.local)


@dataclass(frozen=True, eq=False)
class _Point:
    """A surface and its residuals."""

    unknowns: Unknowns
    level: int
    vertices: FloatArray
    residuals: Residuals


class GaussNewton:
    """Steps from unknowns to more probable ones.

    Parameters
    ----------
    prior : ShapePrior
    decoder : PreciseDecoder
        The prior's.
    term : ResidualTerm
    settings : FitSettings
        lambda_prior, lambda_dir and lambda_scale are weights of squared standard deviations here.
    first : Pose
        Known, or about which the pose is searched.
    known : bool
    """

    def __init__(
        self,
        prior: ShapePrior,
        decoder: PreciseDecoder,
        term: ResidualTerm,
        settings: FitSettings,
        *,
        first: Pose,
        known: bool,
    ) -> None:
        self.decoder, self.term, self.settings, self.first, self.known = decoder, term, settings, first, known
        mean, deviation = prior.log_scale
        guess = math.log(first.scale)
        strange = abs(guess - mean) > _STRANGE_SIZE * deviation  # another organ or unit
        self._usual_size = guess if strange else mean
        self._size_deviation = deviation
        self._latest: _Point | None = None  # stages begin, and the fit ends, where the last step went

    def pose(self, unknowns: Unknowns) -> Pose:
        """The pose of the unknowns."""
        if self.known:
            return self.first
        turned = self.first.rotation @ Rotation.from_rotvec(unknowns.turn).as_matrix()
        return Pose(math.exp(unknowns.log_scale), unknowns.translation, turned)

    def decode(self, unknowns: Unknowns, level: int) -> FloatArray:
        """Canonical vertices (V, 3) on a template."""
        known = self._known_point(unknowns, level)
        return self.decoder.vertices(unknowns.field(level), level) if known is None else known.vertices

    def energy(self, unknowns: Unknowns, residuals: Residuals, noise: float) -> float:
        """Twice the negative logarithm of the posterior density, but for a constant."""
        return residuals.loss / noise**2 + self._prior_energy(unknowns)

    def improbability(self, unknowns: Unknowns, noise: float, level: int) -> float:
        """The energy of the latents, and a little of the residuals', of the surface on a template; without the pose.

        It compares shapes. The residuals are hundreds, but those of one contour err alike: what is left of them after
        the fit depends on chance, while a wrong shape needs other latents.
        """
        loss = self._evaluate(unknowns, level).residuals.loss / noise**2
        return self._latent_energy(unknowns) + loss / _ALIKE

    def _prior_energy(self, unknowns: Unknowns) -> float:
        energy = self._latent_energy(unknowns)
        return energy if self.known else energy + float((self._pose_deviations(unknowns) ** 2).sum())

    def _latent_energy(self, unknowns: Unknowns) -> float:
        settings = self.settings
        energy = max(settings.lambda_prior, LEAST_WEIGHT) * float(unknowns.shared @ unknowns.shared)
        if unknowns.local is not None:
            energy += max(settings.lambda_dir, LEAST_WEIGHT) * float((unknowns.local**2).sum())
        return energy

    def descend(
        self,
        unknowns: Unknowns,
        noises: Sequence[float],
        *,
        level: int,
        local: bool,
        told: Callable[[Unknowns, FloatArray, float], None],
    ) -> Unknowns:
        """Take a step at each of the given standard deviations of an observation (canonical).

        `told` hears of the unknowns, the vertices and the loss after each.
        """
        here = self._evaluate(unknowns, level)
        for noise in noises:
            here = self._step(here, noise, level, local=local)
            told(here.unknowns, here.vertices, here.residuals.loss / self.term.total_weight)
        return here.unknowns

    def _step(self, here: _Point, noise: float, level: int, *, local: bool) -> _Point:
        """Go to the least energy of a parabola through the energy here, its slope, and the energy at a full step.

        How far is a continuous function of the energies: a step that is taken or not, depending on a hair's breadth,
        would lead to different surfaces on different processors.
        """
        target, gain = self._solve(here, noise, level, icosphere(level).faces, local=local)
        pose = self.pose(here.unknowns)
        full = self._evaluate(here.unknowns.towards(target, 1.0), level)
        before, after = pose.to_patient(here.vertices), self.pose(full.unknowns).to_patient(full.vertices)
        moved = float(np.linalg.norm(after - before, axis=1).max()) / pose.scale
        rise = self.energy(full.unknowns, full.residuals, noise) - self.energy(here.unknowns, here.residuals, noise)
        curvature = rise + 2 * gain
        fraction = gain / curvature if curvature > gain else 1.0
        fraction = max(_SHORTEST, min(fraction, _LARGEST_STEP / max(moved, 1e-12)))
        return full if fraction >= 1 else self._evaluate(here.unknowns.towards(target, fraction), level)

    def _evaluate(self, unknowns: Unknowns, level: int) -> _Point:
        known = self._known_point(unknowns, level)
        if known is not None:
            return known
        vertices = self.decode(unknowns, level)
        residuals = self.term(vertices, icosphere(level).faces, self.pose(unknowns))
        self._latest = _Point(unknowns, level, vertices, residuals)
        return self._latest

    def _known_point(self, unknowns: Unknowns, level: int) -> _Point | None:
        latest = self._latest
        return latest if latest is not None and latest.unknowns is unknowns and latest.level == level else None

    def _solve(self, here: _Point, noise: float, level: int, faces: IntArray, *, local: bool) -> tuple[Unknowns, float]:
        """The most probable unknowns of the linearised problem, and by how much its energy is lower there."""
        settings, unknowns, residuals = self.settings, here.unknowns, here.residuals
        used, index = np.unique(faces[residuals.faces], return_inverse=True)
        index = index.reshape(-1, 3)
        field = unknowns.field(level)
        latents = field[used] if len(field) > 1 else np.repeat(field, len(used), axis=0)
        derivatives = self.decoder.derivatives(latents, level, used, residuals.vertex_normals[used])
        places = residuals.barycentric

        def interpolated(values: FloatArray) -> FloatArray:
            return np.asarray(np.einsum("nk,nkc->nc", places, values[index]))

        slopes = interpolated(derivatives)  # (N, k)
        # In terms of the unknowns themselves rather than of their change.
        wanted = residuals.values + interpolated((derivatives * latents).sum(axis=1, keepdims=True))[:, 0]
        shared_variance = 1 / max(settings.lambda_prior, LEAST_WEIGHT)
        likeness = np.full((len(wanted), len(wanted)), shared_variance)
        functions = (
            interpolated(local_basis(level)[used] / math.sqrt(max(settings.lambda_dir, LEAST_WEIGHT)))
            if local
            else None
        )
        if functions is not None:
            likeness += product(functions, functions.T)
        covariance = product(slopes, slopes.T) * likeness
        pose_slopes = None if self.known else self._pose_slopes(here, faces)
        if pose_slopes is not None:
            wanted = wanted + pose_slopes @ self._pose_deviations(unknowns)
            covariance += product(pose_slopes, pose_slopes.T)
        variances = noise**2 / np.maximum(residuals.weights, 1e-9)
        covariance[np.diag_indices(len(wanted))] += variances
        factors = solve_positive(covariance, wanted)
        found = replace(unknowns, shared=shared_variance * product(factors[None], slopes)[0])
        if functions is not None:
            weighted = product(functions.T, factors[:, None] * slopes)
            found = replace(found, local=weighted / math.sqrt(max(settings.lambda_dir, LEAST_WEIGHT)))
        if pose_slopes is not None:
            found = self._with_pose(found, pose_slopes.T @ factors)
        # The linearised residuals that are left are the variances times the factors.
        present = float((residuals.values**2 / variances).sum()) + self._prior_energy(unknowns)
        return found, present - float((variances * factors**2).sum()) - self._prior_energy(found)

    def _pose_deviations(self, unknowns: Unknowns) -> FloatArray:
        """Size, translation and rotation (7,) in standard deviations."""
        size = (unknowns.log_scale - self._usual_size) / self._size_spread(unknowns.log_scale)
        shift = (unknowns.translation - self.first.translation) / (self.first.scale * SHIFT_DEVIATION)
        return np.concatenate([[size], shift, unknowns.turn / TURN_DEVIATION])

    def _pose_slopes(self, here: _Point, faces: IntArray) -> FloatArray:
        """Derivatives (N, 7) of the residuals' places along their normals, a standard deviation each."""
        pose = self.pose(here.unknowns)
        positions = here.residuals.at_places(here.vertices, faces)
        normals = here.residuals.at_places(here.residuals.vertex_normals, faces)
        size = (normals * positions).sum(axis=1, keepdims=True) * self._size_spread(here.unknowns.log_scale)
        shift = normals @ pose.rotation.T * (SHIFT_DEVIATION * self.first.scale / pose.scale)
        turn = np.cross(positions, normals) * (TURN_DEVIATION if self.settings.rotating else 0.0)
        return np.concatenate([size, shift, turn], axis=1)

    def _with_pose(self, unknowns: Unknowns, deviations: FloatArray) -> Unknowns:
        return replace(
            unknowns,
            log_scale=self._usual_size + self._size_spread(unknowns.log_scale) * float(deviations[0]),
            translation=self.first.translation + SHIFT_DEVIATION * self.first.scale * deviations[1:4],
            turn=TURN_DEVIATION * deviations[4:] if self.settings.rotating else unknowns.turn,
        )

    def _size_spread(self, log_scale: float) -> float:
        return size_spread(self._size_deviation, log_scale - self._usual_size, self.settings)


def size_spread(deviation: float, growth: float, settings: FitSettings) -> float:
    """Standard deviation of the logarithm of an organ's size, with its weight.

    Parameters
    ----------
    deviation : float
        Of the training shapes' logarithms.
    growth : float
        Logarithm of the size as a share of the usual one.
    settings : FitSettings
    """
    free = min(deviation, _GROWTH) if growth > _ABOVE else deviation
    return free / math.sqrt(max(settings.lambda_scale, LEAST_WEIGHT))
