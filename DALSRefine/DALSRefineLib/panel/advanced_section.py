"""The panel's Advanced section: settings of the fit. For Slicer only."""

from __future__ import annotations

from typing import Any

import slicer

from DALSRefineLib.panel.fit_options import FORMER_DEFAULTS, LATENTS, PER_VERTEX, FitOptions, default_options


class AdvancedSection:
    """Shows the settings of the fit and sets them back to their defaults.

    Most of its widgets are bound to the parameter node by the form; the choice of latents is not.

    Parameters
    ----------
    ui
        Widgets `latentsComboBox` and `lambdaDirSpinBox`.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._parameters: Any = None
        self._source = ""
        self._updating = False
        ui.latentsComboBox.connect("currentIndexChanged(int)", self._on_latents)

    @property
    def parameters(self) -> Any:
        """The parameter node that is shown, or None."""
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: Any) -> None:
        self._parameters, self._source = parameters, "" if parameters is None else parameters.source
        if parameters is not None and self.options == FORMER_DEFAULTS:
            self.options = default_options(self._source)

    def update(self) -> None:
        """Bring the section up to date with the parameter node, whose source a script may have changed."""
        if self._parameters.source != self._source:
            before, self._source = self._source, self._parameters.source
            self.follow_source(before, self._source)
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
