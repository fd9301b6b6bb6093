"""Progress, status and the reason why nothing can be refined, in the panel. For Slicer only."""

from __future__ import annotations

from typing import Any

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.process.jobs import FitProgress


class ProgressDisplay:
    """Shows what a fit does.

    Parameters
    ----------
    ui
        Widgets `progressBar`, `statusLabel`, `obstacleLabel`, `refineButton`.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui

    def say(self, sentence: str) -> None:
        """Show a sentence below the bar."""
        self._ui.statusLabel.text = sentence

    def clear(self) -> None:
        """Nothing has happened yet."""
        self._ui.progressBar.value, self._ui.statusLabel.text = 0, ""

    def started(self) -> None:
        """A fit begins."""
        self._ui.progressBar.value = 0
        self.say(_("Starting ..."))

    def step(self, event: FitProgress) -> None:
        """A fit has come to a step."""
        ui = self._ui
        ui.progressBar.maximum, ui.progressBar.value = event.total, event.step
        left = "" if event.remaining_s is None else _(", {seconds:.0f} s left").format(seconds=event.remaining_s)
        text = _("Step {step} of {total}, {loss:.1f} mm{left}")
        self.say(text.format(step=event.step, total=event.total, loss=event.loss_mm, left=left))

    def finished(self, warnings: tuple[str, ...]) -> None:
        """A fit has a result."""
        self._ui.progressBar.value = self._ui.progressBar.maximum
        self.say(" ".join(warnings) or _("Done."))

    def stopped(self, sentence: str) -> None:
        """A fit was cancelled, or has failed."""
        self._ui.progressBar.value = 0
        self.say(sentence)

    def show_button(self, *, running: bool, obstacle: str) -> None:
        """The button's text, and why it is grey where it is."""
        button, label = self._ui.refineButton, self._ui.obstacleLabel
        self._ui.progressBar.visible = running
        button.text = _("Cancel") if running else _("Refine")
        button.enabled = not obstacle
        tip = (
            _("Stop. The last result stays. Key: Alt+R.")
            if running
            else _("Fit the surface to the source. Key: Alt+R.")
        )
        button.toolTip = obstacle or tip
        label.text = obstacle
        label.visible = bool(obstacle)
