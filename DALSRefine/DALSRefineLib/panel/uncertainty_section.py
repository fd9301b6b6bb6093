"""Where the surface is a guess: colours with a scale bar, and a band of two outlines. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.colouring import colour_plainly
from DALSRefineLib.nodes.uncertainty import (
    DEVIATION_ARRAY,
    colour_by_deviation,
    deviation_of,
    remove_band,
    show_band,
)


class UncertaintySection:
    """A button that shows how far the result may be off.

    Parameters
    ----------
    ui
        Widgets `uncertaintyButton`, `colourButton`, `statusLabel`.
    guarded : callable
        Runs a function and shows its errors.
    """

    def __init__(self, ui: Any, guarded: Callable[[Callable[[], None]], None]) -> None:
        self._ui = ui
        self._model: Any = None
        self._legend: Any = None
        ui.uncertaintyButton.connect("clicked(bool)", lambda _checked=False: guarded(self._show))

    def update(self, model: Any) -> None:
        """Bring the button up to date with the result's node."""
        if model is not self._model:
            self._take_away()
            self._ui.uncertaintyButton.checked = False
            self._model = model
        known = deviation_of(model) is not None
        button = self._ui.uncertaintyButton
        button.enabled = known
        tip = _("Colour the surface by how far it may be off, and outline the band of 90% in the slice views.")
        button.toolTip = tip if known else _("No uncertainty is known of this surface.")

    def renew(self) -> None:
        """A fit has ended: show the new surface's uncertainty, if the former one's was shown."""
        if self._ui.uncertaintyButton.checked:
            self._show()

    def _show(self) -> None:
        button, scene = self._ui.uncertaintyButton, slicer.mrmlScene
        if not button.checked or deviation_of(self._model) is None:
            button.checked = False
            self._take_away()
            return
        self._ui.colourButton.checked = False
        limit = colour_by_deviation(self._model)
        show_band(scene, self._model, names=(_("90% band, inner"), _("90% band, outer")))
        self._show_legend()
        words = _(
            "Bright: a guess, off by {limit:.1f} mm or more (one standard deviation). The two thin outlines hold 90%."
        )
        self._ui.statusLabel.text = words.format(limit=limit)

    def _take_away(self) -> None:
        if self._model is not None and self._model.GetScene() is slicer.mrmlScene:
            colour_plainly(self._model)
        remove_band(slicer.mrmlScene)
        legend, self._legend = self._legend, None
        if legend is not None and legend.GetScene() is slicer.mrmlScene:
            slicer.mrmlScene.RemoveNode(legend)

    def _show_legend(self) -> None:
        """The scale bar in the 3D view; Slicer draws it for a displayed node."""
        colours = getattr(getattr(slicer, "modules", None), "colors", None)
        if colours is None or self._legend is not None:
            return
        self._legend = colours.logic().AddDefaultColorLegendDisplayNode(self._model)
        if self._legend is not None:
            self._legend.SetTitleText(DEVIATION_ARRAY)
            self._legend.SetLabelFormat("%.1f")
            self._legend.SetSaveWithScene(False)
