"""The edits of a segmentation in the panel: which ones are carried out, and where they are. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qt
import slicer

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.marks import jump_to_place, show_mark
from DALSRefineLib.panel.edit_rows import EditRow, edit_rows
from DALSRefineLib.process.jobs import KEPT
from DALSRefineLib.session import RefineSession, report_of

_TICK, _PLACE = 0, 1


class EditsSection:
    """A table with a row for each edit of the shown result; ticks are carried out at once.

    Parameters
    ----------
    ui
        Widgets `editsCollapsibleButton`, `editsTable`, `editsNoteLabel`, `suggestedEditsButton`, `allEditsButton`,
        `noEditsButton`.
    session : RefineSession
    guarded : callable
        Runs a function and shows its errors.
    """

    def __init__(self, ui: Any, session: RefineSession, guarded: Callable[[Callable[[], None]], None]) -> None:
        self._ui, self._session = ui, session
        self._rows: list[EditRow] = []
        self._organ: int | None = None
        self._shown: Any = None
        self._items: list[list[Any]] = []  # keeps the Python objects alive
        self._filling = False
        table = ui.editsTable
        header = table.horizontalHeader()
        header.setSectionResizeMode(_TICK, qt.QHeaderView.Stretch)
        for column in range(_PLACE, table.columnCount):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemChanged(QTableWidgetItem*)", lambda item: guarded(lambda: self._on_item(item)))
        table.connect("cellClicked(int,int)", lambda row, _column: guarded(lambda: self.go_to(row)))
        for button, choice in (
            (ui.suggestedEditsButton, self._suggested),
            (ui.allEditsButton, lambda: [row.number for row in self._rows]),
            (ui.noEditsButton, lambda: ()),
        ):
            button.connect("clicked(bool)", lambda _checked=False, choice=choice: guarded(lambda: self._take(choice())))

    def update(self, model: Any) -> None:
        """Bring the table up to date with the result's node."""
        session, ui = self._session, self._ui
        rows, organ = edit_rows(report_of(model)), session.models.index_of(model)
        organ = organ if session.can_choose else None
        ticked = {row.number for row in rows if row.applied} if organ is None else set(session.chosen[organ])
        editable = organ is not None
        ui.editsNoteLabel.text = "" if editable else self._why_not()
        ui.editsNoteLabel.visible = bool(ui.editsNoteLabel.text)
        shown = (rows, ticked, organ, ui.editsNoteLabel.text)
        if shown != self._shown:
            self._rows, self._organ, self._shown = rows, organ, shown
            self._fill(ticked, editable=editable)
        ui.editsCollapsibleButton.visible = bool(rows)
        ui.editsCollapsibleButton.text = _("Edits: {number} of {all} carried out").format(
            number=len(ticked & {row.number for row in rows}), all=len(rows)
        )
        for button in (ui.suggestedEditsButton, ui.allEditsButton, ui.noEditsButton):
            button.enabled = editable

    def _why_not(self) -> str:
        """Why the edits are shown only."""
        if self._session.running:
            return _("The edits can be changed when the fit has ended.")
        words = _("Only the edits of the last {number} refinements of this session can be changed. Refine once more.")
        return words.format(number=KEPT)

    def said(self) -> str:
        """What the status line says of a choice that has been carried out."""
        number = 0 if self._organ is None else len(self._session.chosen[self._organ])
        return _("{number} of {all} edits are carried out.").format(number=number, all=len(self._rows))

    def go_to(self, number: int) -> None:
        """Mark the place of a row's edit and show the slices through it."""
        if 0 <= number < len(self._rows):
            row = self._rows[number]
            show_mark(slicer.mrmlScene, row.place, row.cells[0], name=_("Edit"))
            jump_to_place(slicer.mrmlScene, row.place)

    def _fill(self, ticked: set[int], *, editable: bool) -> None:
        table = self._ui.editsTable
        self._filling = True
        try:
            table.setRowCount(len(self._rows))
            self._items = self._items[: len(self._rows)]  # those of rows that are gone
            self._items += [self._new_row(number) for number in range(len(self._items), len(self._rows))]
            for row, items in zip(self._rows, self._items, strict=True):
                for text, item in zip(row.cells, items, strict=True):
                    item.setText(text)
                    item.setToolTip(text if editable else self._ui.editsNoteLabel.text)
                flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
                items[_TICK].setFlags(flags | qt.Qt.ItemIsUserCheckable if editable else flags)
                items[_TICK].setCheckState(qt.Qt.Checked if row.number in ticked else qt.Qt.Unchecked)
        finally:
            self._filling = False

    def _new_row(self, number: int) -> list[Any]:
        """Items of a row: they stay, since filling the table may be what an item's own signal has led to."""
        items = []
        for column in range(self._ui.editsTable.columnCount):
            item = qt.QTableWidgetItem("")
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            self._ui.editsTable.setItem(number, column, item)
            items.append(item)
        return items

    def _on_item(self, item: Any) -> None:
        if self._filling or item.column() != _TICK or self._organ is None:
            return
        table = self._ui.editsTable
        ticked = {
            row.number
            for number, row in enumerate(self._rows)
            if table.item(number, _TICK).checkState() == qt.Qt.Checked
        }
        self._take(ticked)

    def _take(self, edits: Iterable[int]) -> None:
        """Carry out these edits of the shown organ."""
        if self._organ is not None:
            self._session.choose(self._organ, edits)

    def _suggested(self) -> tuple[int, ...]:
        result = self._session.result
        return () if result is None or self._organ is None else result.parts[self._organ].suggested
