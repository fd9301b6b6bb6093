"""The panel's Advanced section: settings of the fit. For Slicer only."""

from __future__ import annotations

from typing import Any

import slicer

from DALSRefineLib.panel.fit_options import LATENTS, PER_VERTEX, FitOptions, default_options


class AdvancedSection:
    """Shows the settings of the fit and sets them back to their defaults.

    Most of its widgets are bound to the parameter node by the form; the choice of latents is not.

    Parameters
    ----------
    ui
        Widgets `latentsComboBox` and `lambdaDirSpinBox`.

    Attributes
    ----------
    parameters : Parameters or None
        The parameter node that is shown.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self.parameters: Any = None
        self._updating = False
        ui.latentsComboBox.connect("currentIndexChanged(int)", self._on_latents)

    def update(self) -> None:
        """Bring the section up to date with the parameter node."""
        self._updating = True
        self._ui.latentsComboBox.currentIndex = LATENTS.index(self.parameters.latents)
        self._updating = False
        self._ui.lambdaDirSpinBox.enabled = self.parameters.latents == PER_VERTEX

    @property
    def options(self) -> FitOptions:
        """The settings as the user sees them."""
        p = self.parameters
        return FitOptions(
            iterations=p.iterations,
            lambda_reg=p.lambdaReg,
            lambda_dir=p.lambdaDir,
            latents=p.latents,
            level=p.level,
            seed=p.seed,
        )

    @options.setter
    def options(self, options: FitOptions) -> None:
        p = self.parameters
        with slicer.util.NodeModify(p):
            p.iterations, p.seed, p.level = options.iterations, options.seed, options.level
            p.lambdaReg, p.lambdaDir, p.latents = options.lambda_reg, options.lambda_dir, options.latents

    def reset(self) -> None:
        """Set everything to the defaults of the chosen source."""
        self.options = default_options(self.parameters.source)
        self.parameters.device, self.parameters.remesh = "auto", False

    def follow_source(self, before: str, after: str) -> None:
        """Show the defaults of another source, unless the user has changed settings."""
        if self.options == default_options(before):
            self.options = default_options(after)

    def _on_latents(self, index: int) -> None:
        if self.parameters is not None and not self._updating:
            self.parameters.latents = LATENTS[index]
