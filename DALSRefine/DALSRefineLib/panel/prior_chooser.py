"""Choosing a prior in the panel. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import qt
import slicer

from dals.model.prior_files import SUFFIX, PriorHeader
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.priors import add_prior, card_lines, offered_priors, organ_of


def user_folder() -> Path:
    """The folder of the user's own priors, beside Slicer's settings: updates of the extension leave it alone."""
    return Path(slicer.app.slicerUserSettingsFilePath).parent / "DALSRefine" / "Priors"


class PriorChooser:
    """The combo box of priors, with the model card of the chosen one.

    Parameters
    ----------
    ui
        Widgets `priorCollapsibleButton`, `priorComboBox`, `addPriorButton`, `aboutPriorLabel`.
    on_chosen : callable
        Called with the name of the prior that the user chooses.
    guarded : callable
        Runs a function and shows its errors.

    Attributes
    ----------
    headers : dict
        The available priors by name.
    """

    def __init__(
        self, ui: Any, on_chosen: Callable[[str], None], guarded: Callable[[Callable[[], None]], None]
    ) -> None:
        self._ui, self._on_chosen, self._guarded = ui, on_chosen, guarded
        self.headers: dict[str, PriorHeader] = {}
        self._filling = self._folded = False
        self.refresh()
        ui.priorComboBox.connect("currentIndexChanged(int)", self._on_index)
        ui.addPriorButton.connect("clicked(bool)", lambda _checked=False: guarded(self._add))
        ui.aboutPriorLabel.connect("linkActivated(QString)", lambda _link: self._show_card())

    @property
    def header(self) -> PriorHeader | None:
        """The chosen prior, or None."""
        return self.headers.get(self.name)

    @property
    def name(self) -> str:
        """The name of the chosen prior, or an empty text."""
        index = self._ui.priorComboBox.currentIndex
        return list(self.headers)[index] if 0 <= index < len(self.headers) else ""

    @property
    def titles(self) -> dict[str, str]:
        """What each available prior is called, by its name."""
        organs = {name: organ_of(header.name).name for name, header in self.headers.items()}
        return {
            name: organ if name == self.headers[name].name else f"{organ} ({name})" for name, organ in organs.items()
        }

    def refresh(self) -> None:
        """List the available priors again."""
        self.headers = offered_priors(user_folder())
        self._filling = True
        self._ui.priorComboBox.clear()
        for title in self.titles.values():
            self._ui.priorComboBox.addItem(title)
        self._filling = False
        self._show_tooltip()

    def choose(self, name: str) -> bool:
        """Select a prior by name; returns False and selects none if there is none of that name."""
        names = list(self.headers)
        self._filling = True
        self._ui.priorComboBox.currentIndex = names.index(name) if name in names else -1
        self._filling = False
        self._show_tooltip()
        return name in names

    def fold(self, *, once: bool) -> None:
        """Tell the organ in the section's heading; make room the first time that `once` holds."""
        section = self._ui.priorCollapsibleButton
        section.text = _("Prior: {organ}").format(organ=self._ui.priorComboBox.currentText)
        if once and not self._folded and self.header is not None:
            self._folded = section.collapsed = True

    def unfold(self) -> None:
        """Another scene: the organ is to be chosen again."""
        self._folded = self._ui.priorCollapsibleButton.collapsed = False

    def _on_index(self, index: int) -> None:
        if not self._filling and 0 <= index < len(self.headers):
            self._show_tooltip()
            self._on_chosen(list(self.headers)[index])

    def _add(self) -> None:
        title, kinds = _("Add a prior"), _("Priors") + f" (*{SUFFIX})"
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kinds)
        if path:
            name = add_prior(Path(path), user_folder())
            self.refresh()
            if self.choose(name):
                self._on_chosen(name)

    def _show_tooltip(self) -> None:
        lines = [] if self.header is None else card_lines(self.header)
        self._ui.priorComboBox.toolTip = "<p>" + "<br>".join(map(escape, lines)) + "</p>" if lines else ""

    def _show_card(self) -> None:
        if self.header is not None:
            title = _("About the prior {name}").format(name=self.header.name)
            slicer.util.infoDisplay("\n\n".join(card_lines(self.header)), windowTitle=title)
