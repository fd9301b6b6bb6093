"""Choosing one of several large components of a segment in the panel. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dals.geometry.components import ComponentChoice
from dals.observations.segmentation_checks import ComponentOption
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.segment_observations import component_options_of, state_of_segment


class ComponentChooser:
    """A combo box that is shown only where there is something to choose.

    Parameters
    ----------
    ui
        Widgets `componentComboBox` and `componentLabel`.
    on_chosen : callable
        Told what the user chose, as text: "left", "right", a rank by volume or nothing.
    """

    def __init__(self, ui: Any, on_chosen: Callable[[str], None]) -> None:
        self._ui, self._on_chosen = ui, on_chosen
        self._state: Any = None
        self._options: tuple[ComponentOption, ...] = ()
        self._filling = False
        ui.componentComboBox.connect("currentIndexChanged(int)", self._on_index)
        self._fill()

    def show(self, segmentation_node: Any, segment_id: str, chosen: str) -> None:
        """Offer the components of a segment and show which one is chosen.

        The segment is looked at again only when it has changed: that may take a second.
        """
        state = state_of_segment(segmentation_node, segment_id)
        if state != self._state:
            self._options = () if state is None else component_options_of(segmentation_node, segment_id)
            self._state = state
            self._fill()
        names = self._names()
        self._filling = True
        self._ui.componentComboBox.currentIndex = names.index(chosen) if chosen in names else 0
        self._filling = False

    @property
    def choice(self) -> ComponentChoice | None:
        """The component that the combo box shows; None where the user has not chosen or cannot choose."""
        index = self._ui.componentComboBox.currentIndex
        return self._options[index - 1].choice if 1 <= index <= len(self._options) else None

    def _names(self) -> list[str]:
        """The text of each item's choice."""
        return ["", *(str(option.choice) for option in self._options)]

    def _fill(self) -> None:
        combo_box = self._ui.componentComboBox
        self._filling = True
        combo_box.clear()
        combo_box.addItem(_("Largest"))
        for option in self._options:
            combo_box.addItem(option.description)
        self._filling = False
        combo_box.visible = self._ui.componentLabel.visible = bool(self._options)

    def _on_index(self, index: int) -> None:
        if not self._filling and 0 <= index <= len(self._options):
            self._on_chosen(self._names()[index])
