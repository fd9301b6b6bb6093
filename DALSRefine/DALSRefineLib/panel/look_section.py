"""How the result looks: opacity, outline, visibility, smoothing. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from DALSRefineLib.nodes.appearance import Appearance, appearance_of, set_appearance
from DALSRefineLib.session import RefineSession


class LookSection:
    """Connects widgets with the display of the result's model.

    Parameters
    ----------
    ui
        Widgets `opacitySlider`, `thicknessSpinBox`, `show3DCheckBox`, `showSlicesCheckBox`, `smoothingSlider`.
    session : RefineSession
        Smooths what it shows.
    guarded : callable
        Runs a function and shows its errors.
    on_smoothed : callable
        Called when the model shows another surface.
    """

    def __init__(
        self,
        ui: Any,
        session: RefineSession,
        guarded: Callable[[Callable[[], None]], None],
        on_smoothed: Callable[[], None],
    ) -> None:
        self._ui, self._session, self._guarded, self._on_smoothed = ui, session, guarded, on_smoothed
        self._model: Any = None
        self._updating = False
        ui.opacitySlider.connect("valueChanged(int)", lambda _value: self._changed())
        ui.thicknessSpinBox.connect("valueChanged(int)", lambda _value: self._changed())
        ui.show3DCheckBox.connect("toggled(bool)", lambda _checked: self._changed())
        ui.showSlicesCheckBox.connect("toggled(bool)", lambda _checked: self._changed())
        ui.smoothingSlider.connect("sliderReleased()", lambda: guarded(self._smooth))
        ui.smoothingSlider.connect("valueChanged(int)", lambda _value: self._on_smoothing())

    def show(self, model: Any) -> None:
        """Show how a model looks; None disables the widgets."""
        ui, self._model, look = self._ui, model, appearance_of(model)
        known = look is not None
        for widget in (ui.opacitySlider, ui.thicknessSpinBox, ui.show3DCheckBox, ui.showSlicesCheckBox):
            widget.enabled = known
        ui.smoothingSlider.enabled = known and model is self._session.model and self._session.result is not None
        self._updating = True
        try:
            if look is not None:
                ui.opacitySlider.value, ui.thicknessSpinBox.value = round(100 * look.opacity), look.thickness
                ui.show3DCheckBox.checked, ui.showSlicesCheckBox.checked = look.in_3d, look.in_slices
            if not ui.smoothingSlider.sliderDown:
                ui.smoothingSlider.value = round(100 * self._session.smoothing)
        finally:
            self._updating = False

    def _changed(self) -> None:
        if not self._updating and self._model is not None:
            self._guarded(self._apply)

    def _apply(self) -> None:
        ui = self._ui
        look = Appearance(
            ui.opacitySlider.value / 100,
            ui.thicknessSpinBox.value,
            ui.show3DCheckBox.checked,
            ui.showSlicesCheckBox.checked,
        )
        set_appearance(self._model, look)

    def _on_smoothing(self) -> None:
        """The slider was moved by a click beside its handle, or by a key: it is not released then."""
        if not self._updating and not self._ui.smoothingSlider.sliderDown:
            self._guarded(self._smooth)

    def _smooth(self) -> None:
        amount = self._ui.smoothingSlider.value / 100
        if amount != self._session.smoothing:
            self._session.smoothing = amount
            self._on_smoothed()
