"""The paper's minimisation of Eq. 3 by Adam: first a shared latent and the pose, then one latent per vertex."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dals.errors import InputError
from dals.fit_settings import FitSettings
from dals.fitting.adam import ParameterGroup
from dals.fitting.data_term import DataTerm, data_term
from dals.fitting.descent import Descent
from dals.fitting.first_guess import first_guess
from dals.fitting.fold_removal import remove_folds
from dals.fitting.result import OnStep, Stage
from dals.fitting.retrieval import retrieve
from dals.geometry.mesh import TriangleMesh
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.pose_correction import PoseCorrection
from dals.model.prior import ShapePrior
from dals.model.template import Template, icosphere, uniform_laplacian
from dals.observations import Observation
from dals.ops.losses import dirichlet_energy, quality_loss

_STRANGE_SIZE = 5.0  # standard deviations


@dataclass
class _Variables:
    """The variables of a fit and the frame in which they are expressed."""

    pose: Pose  # of the frame in which the task loss was set up
    task: DataTerm
    correction: PoseCorrection
    shared: Tensor  # (k,)
    local: Tensor | None = None  # (V, k)
    level: int = 0


class GradientFit:
    """Runs the stages of a fit by Adam and tells of them.

    Parameters
    ----------
    prior, observation, settings, on_step
        As in `fit`.
    known : Pose, optional
        The true pose.
    """

    def __init__(
        self,
        prior: ShapePrior,
        observation: Observation,
        settings: FitSettings,
        *,
        known: Pose | None,
        on_step: OnStep | None,
    ) -> None:
        self.prior, self.observation, self.settings = prior, observation, settings
        self.known = known
        self.device = prior.latent_mean.device
        # Adam's coordinates of a latent: standard deviations along the principal directions, or the latent itself.
        size = len(prior.latent_mean)
        self.basis = prior.latent_basis if settings.whitened else torch.eye(size, device=self.device)
        self.generator = torch.Generator(device=self.device).manual_seed(settings.seed)
        trials = 1 if known is not None else len(settings.initial_scales) + settings.initial_shapes
        total = settings.total_steps + (trials - 1) * self._trial_steps()
        self.descent = Descent(on_step, settings.decaying, total)

    def run(self, start: FitState | None = None) -> tuple[TriangleMesh, FitState, float]:
        """Fit, from the beginning or from the end of an earlier fit.

        Returns
        -------
        TriangleMesh
            RAS mm.
        FitState
        float
            The task loss in squares of the surface's own canonical unit.

        Raises
        ------
        FitCancelledError
            If `on_step` returned False.
        InputError
            If `start` is of another prior.
        """
        if start is not None:
            variables = self._resume(start)
        elif self.known is not None:
            variables = self._variables(self.known)
            self._shared_stage(variables, self.settings.shared_steps)
        else:
            variables = self._search()
        if not self.settings.single_latent and self.settings.local_steps > 0:
            self._local_stage(variables)
        mesh, loss = self._finish(variables)
        return mesh, self._state(variables), loss

    def _search(self) -> _Variables:
        """Run several initialisations for a third of the shared steps and continue with the best.

        Candidates are the mean shape at several scales, and shapes half-way between the mean shape and each of the
        training shapes that agree best with the observation.
        """
        settings = self.settings
        mean = self.prior.mean_shape(icosphere(settings.shared_level)).cpu().double().numpy()
        guess = first_guess(self.observation, mean)
        centre = guess.to_patient(mean.mean(axis=0, keepdims=True))[0]
        candidates = []
        for factor in settings.initial_scales:
            translation = centre + factor * (guess.translation - centre)  # scale about the organ's middle
            candidates.append(self._variables(Pose(guess.scale * factor, translation)))
        candidates += self._retrieve(settings.initial_shapes)
        if len(candidates) == 1:
            self._shared_stage(candidates[0], settings.shared_steps)
            return candidates[0]
        for variables in candidates:
            self._shared_stage(variables, self._trial_steps())
        best = min(candidates, key=self._selection_loss)
        self._shared_stage(best, settings.shared_steps - self._trial_steps())
        return best

    def _retrieve(self, count: int) -> list[_Variables]:
        """Initialisations half-way between the mean shape and the training shapes that agree best."""
        found = []
        for initial in retrieve(self.prior, self.observation, self.settings, count, generator=self.generator):
            variables = self._variables(initial.pose)
            variables.shared = self._coordinates(initial.latent - self.prior.latent_mean)
            found.append(variables)
        return found

    def _resume(self, start: FitState) -> _Variables:
        """Continue from the end state of an earlier fit, and refine pose and shared latent."""
        settings = self.settings
        local_steps = settings.total_steps - settings.shared_steps
        variables = self._variables(start.pose)
        if start.shared.shape != self.prior.latent_mean.shape:
            raise InputError(
                "The earlier result was made with another prior; start afresh instead of going on from it."
            )
        shared = torch.from_numpy(start.shared).to(self.device)
        variables.shared = self._coordinates(shared - self.prior.latent_mean)
        if start.local is not None and not settings.single_latent:
            local = torch.from_numpy(start.local).to(self.device)
            variables.local, variables.level = self._coordinates(local), start.level
            self._prolong(variables, settings.level)
            local_steps = settings.local_schedule()[-1][1]
        self.descent.total = self._trial_steps() + local_steps
        self._shared_stage(variables, self._trial_steps())
        return variables

    def _shared_stage(self, variables: _Variables, steps: int) -> None:
        """Fit one latent for all vertices, and the pose unless it is known."""
        settings = self.settings
        template = icosphere(min(settings.shared_level, settings.level))
        faces = torch.as_tensor(template.faces, device=self.device)
        variables.shared.requires_grad_(True)
        groups = [ParameterGroup([variables.shared], settings.shared_rate), *self._pose_groups(variables)]

        def penalty(vertices: Tensor) -> Tensor:
            prior = settings.lambda_prior * variables.shared.square().mean()
            return settings.lambda_reg * quality_loss(vertices, faces) + prior + self._scale_penalty(variables)

        self._run("shared", steps, groups, penalty, variables, template)
        variables.shared.requires_grad_(False)

    def _local_stage(self, variables: _Variables) -> None:
        """Fit one latent per vertex, on coarse templates first. The pose is fixed unless this is the only stage."""
        # Coarse templates would discard the detail of an earlier fit.
        schedule = self.settings.local_schedule()[0 if variables.local is None else -1 :]
        for level, steps in schedule:
            if variables.local is not None:
                self._prolong(variables, level)
            self._local_steps(variables, level, steps)

    def _local_steps(self, variables: _Variables, level: int, steps: int) -> None:
        settings = self.settings
        template = icosphere(level)
        sphere = self.prior.sphere(template)
        faces = torch.as_tensor(template.faces, device=self.device)
        laplacian = uniform_laplacian(template).to(self.device)
        if variables.local is None:
            variables.local = torch.zeros(len(sphere), self.basis.shape[1], device=self.device)
        variables.level = level
        variables.local.requires_grad_(True)
        groups = [ParameterGroup([variables.local], settings.local_rate)]
        if settings.shared_steps == 0:
            groups += self._pose_groups(variables)
        # For a smooth field, each subdivision divides L z by four and multiplies the number of vertices by four.
        weight = settings.lambda_dir / 4.0 ** ((settings.power - 1) * (settings.level - level))

        def penalty(vertices: Tensor) -> Tensor:
            assert variables.local is not None
            # The Laplacian of a constant is zero: the shared latent adds nothing to the energy.
            energy = dirichlet_energy(variables.local @ self.basis.T, laplacian, power=settings.power)
            return settings.lambda_reg * quality_loss(vertices, faces) + weight * energy

        self._run("local", steps, groups, penalty, variables, template)
        variables.local.requires_grad_(False)

    def _run(
        self,
        stage: Stage,
        steps: int,
        groups: list[ParameterGroup],
        penalty: Callable[[Tensor], Tensor],
        variables: _Variables,
        template: Template,
    ) -> None:
        sphere, faces = self.prior.sphere(template), torch.as_tensor(template.faces, device=self.device)

        self.descent.run(
            stage,
            steps,
            groups,
            vertices=lambda: self._decode(variables, sphere),
            task=lambda vertices: variables.task(vertices, faces, self.generator),
            penalty=penalty,
            template=template,
            pose=variables.pose,
        )

    def _decode(self, variables: _Variables, sphere: Tensor) -> Tensor:
        # The vertices of a coarse template are the first ones of a finer one.
        local = None if variables.local is None else variables.local[: len(sphere)]
        coordinates = variables.shared[None] if local is None else variables.shared + local
        latents = self.prior.latent_mean + coordinates @ self.basis.T
        vertices: Tensor = self.prior.decoder(latents, sphere)
        return vertices if self.known is not None else variables.correction(vertices)

    def _variables(self, pose: Pose) -> _Variables:
        """Mean latent at a pose."""
        correction = PoseCorrection(rotating=self.settings.rotating and self.known is None, device=self.device)
        shared = torch.zeros(self.basis.shape[1], device=self.device)
        return _Variables(pose, data_term(self.observation, pose, self.settings, self.device), correction, shared)

    @torch.no_grad()
    def _finish(self, variables: _Variables) -> tuple[TriangleMesh, float]:
        """The resulting surface, RAS mm, and its task loss in squares of its own canonical unit."""
        settings, template = self.settings, icosphere(self.settings.level)
        vertices = self._decode(variables, self.prior.sphere(template))
        vertices = variables.task.project(vertices, template, settings.projection_distance)
        generator = torch.Generator(device=self.device).manual_seed(settings.seed)
        loss = float(variables.task(vertices, torch.as_tensor(template.faces, device=self.device), generator))
        mesh = TriangleMesh(variables.pose.to_patient(vertices.cpu().double().numpy()), template.faces)
        mesh = remove_folds(mesh) if settings.removing_folds else mesh
        return mesh, loss / float(variables.correction.log_scale.detach().exp()) ** 2

    def _state(self, variables: _Variables) -> FitState:
        """End state, from which another fit can continue."""
        local = None if variables.local is None else (variables.local.detach() @ self.basis.T).cpu().numpy()
        shared = (self.prior.latent_mean + variables.shared.detach() @ self.basis.T).cpu().numpy()
        pose = variables.pose if self.known is not None else variables.pose.after(variables.correction.as_pose())
        return FitState(pose, shared, local, variables.level, self.prior.side)

    @torch.no_grad()
    def _selection_loss(self, variables: _Variables) -> float:
        """Energy in patient millimetres squared, by which initialisations are compared."""
        template = icosphere(self.settings.shared_level)
        vertices = self._decode(variables, self.prior.sphere(template))
        faces = torch.as_tensor(template.faces, device=self.device)
        generator = torch.Generator(device=self.device).manual_seed(self.settings.seed)
        task = variables.task(vertices, faces, generator)
        prior = self.settings.lambda_prior * variables.shared.square().mean() + self._scale_penalty(variables)
        return float(task + prior) * variables.pose.scale**2

    def _coordinates(self, offsets: Tensor) -> Tensor:
        """Coordinates (..., k) along `basis` of offsets (..., d) from the mean latent."""
        return offsets @ (self.basis / self.basis.square().sum(dim=0))

    def _trial_steps(self) -> int:
        return self.settings.shared_steps // 3

    def _pose_groups(self, variables: _Variables) -> list[ParameterGroup]:
        if self.known is not None:
            return []
        moving = [p for p in variables.correction.parameters() if p.requires_grad]
        return [ParameterGroup(moving, self.settings.pose_rate)]

    def _scale_penalty(self, variables: _Variables) -> Tensor:
        if self.known is not None or self.settings.lambda_scale == 0:
            return torch.zeros((), device=self.device)
        mean, deviation = self.prior.log_scale
        guess = math.log(variables.pose.scale) - mean
        if abs(guess) > _STRANGE_SIZE * deviation:  # another organ or unit: the penalty would not help
            return torch.zeros((), device=self.device)
        return self.settings.lambda_scale * ((variables.correction.log_scale + guess) / deviation).square()

    def _prolong(self, variables: _Variables, level: int) -> None:
        """Bring per-vertex latents of another template to a level."""
        assert variables.local is not None
        if variables.level > level:
            count = len(icosphere(level).vertices)
            variables.local = variables.local[:count].clone()  # coarse vertices come first
        for coarse in range(variables.level + 1, level + 1):
            variables.local = icosphere(coarse).prolong(variables.local)
        variables.level = level
