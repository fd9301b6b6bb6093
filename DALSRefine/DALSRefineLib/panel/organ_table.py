"""Further segments that are refined together with the chosen one, in the panel. For Slicer only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import qt

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.segment_observations import segments_of
from DALSRefineLib.priors import guessed_prior

_SEGMENT, _PRIOR = range(2)


class OrganTable:
    """A table of a segmentation's other segments: a tick and a prior for each.

    Parameters
    ----------
    ui
        Widgets `organsCollapsibleButton` and `organsTable`.
    on_changed : callable
        Called with the priors' names by the IDs of the ticked segments; a name may be empty.
    """

    def __init__(self, ui: Any, on_changed: Callable[[dict[str, str]], None]) -> None:
        self._ui, self._on_changed = ui, on_changed
        self._segments: list[tuple[str, str]] = []
        self._priors: dict[str, str] = {}
        self._shown: Any = None
        self._kept: list[Any] = []  # keeps the Python objects alive
        self._boxes: list[Any] = []
        self._filling = False
        header = ui.organsTable.horizontalHeader()
        header.setSectionResizeMode(_SEGMENT, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(_PRIOR, qt.QHeaderView.ResizeToContents)
        ui.organsTable.connect("itemChanged(QTableWidgetItem*)", lambda _item: self._changed())

    def show(self, node: Any, segment_id: str, priors: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        """Show the segments of a segmentation but one.

        Parameters
        ----------
        node : vtkMRMLSegmentationNode or None
        segment_id : str
            The one that is left out.
        priors : mapping
            What each prior is called, by its name.
        chosen : mapping
            Names of priors by the IDs of the ticked segments.
        """
        segments = [each for each in segments_of(node) if each[0] != segment_id]
        shown = (segments, dict(priors), dict(chosen))
        if shown != self._shown:
            self._segments, self._priors, self._shown = segments, dict(priors), shown
            self._fill(chosen)
        section = self._ui.organsCollapsibleButton
        section.visible = bool(segments)
        ticked = sum(identifier in chosen for identifier, _name in segments)
        section.text = _("Several organs: {number} more").format(number=ticked) if ticked else _("Several organs")

    def _fill(self, chosen: Mapping[str, str]) -> None:
        table = self._ui.organsTable
        self._filling = True
        try:
            self._kept, self._boxes = [], []
            table.setRowCount(len(self._segments))
            for row, (identifier, name) in enumerate(self._segments):
                item = qt.QTableWidgetItem(name)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsSelectable)
                item.setCheckState(qt.Qt.Checked if identifier in chosen else qt.Qt.Unchecked)
                table.setItem(row, _SEGMENT, item)
                box = self._prior_box(chosen.get(identifier) or guessed_prior(name, self._priors))
                table.setCellWidget(row, _PRIOR, box)
                self._kept.append(item)
                self._boxes.append(box)
        finally:
            self._filling = False

    def _prior_box(self, prior: str) -> Any:
        box = qt.QComboBox()
        box.addItem(_("choose..."))
        for title in self._priors.values():
            box.addItem(title)
        names = list(self._priors)
        box.currentIndex = names.index(prior) + 1 if prior in names else 0
        box.toolTip = _("The prior of this segment's organ.")
        box.connect("currentIndexChanged(int)", lambda _index: self._changed())
        return box

    def _changed(self) -> None:
        if self._filling:
            return
        table, names = self._ui.organsTable, ["", *self._priors]
        chosen = {
            identifier: names[self._boxes[row].currentIndex]
            for row, (identifier, _name) in enumerate(self._segments)
            if table.item(row, _SEGMENT).checkState() == qt.Qt.Checked
        }
        # What the user has just done is what is shown: filling the table anew would close an open list.
        self._shown = (self._segments, self._priors, chosen)
        self._on_changed(chosen)


def read_choice(text: str) -> dict[str, str]:
    """Names of priors by segment IDs from a parameter's text; empty if it makes no sense."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def written_choice(chosen: Mapping[str, str]) -> str:
    """As text for a parameter."""
    return json.dumps(dict(chosen)) if chosen else ""
