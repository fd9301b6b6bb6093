"""The table of curves in the panel. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.incomplete import is_incomplete, set_incomplete
from DALSRefineLib.nodes.inputs import CurvePlane, plane_of_curve
from DALSRefineLib.nodes.surface_contours import is_proposed

_NAME, _PLANE, _POINTS, _SHOWN, _INCOMPLETE = range(5)
_TICKS = (_SHOWN, _INCOMPLETE)


class ContourTable:
    """Shows curves in a `QTableWidget`, where the user can change their names and visibility.

    A tick says that a curve outlines only a part of the organ on its plane.

    Parameters
    ----------
    table : QTableWidget
        With the columns name, plane, points, shown, incomplete.
    on_incomplete : callable
        Called when the user changes that tick.
    """

    def __init__(self, table: Any, on_incomplete: Callable[[], None]) -> None:
        self._table, self._on_incomplete = table, on_incomplete
        self._nodes: list[Any] = []
        self._items: list[Any] = []  # keeps the Python objects alive
        self._filling = False
        header = table.horizontalHeader()
        header.setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        for column in (_PLANE, _POINTS, *_TICKS):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemChanged(QTableWidgetItem*)", self._on_item_changed)

    @property
    def selected(self) -> Any:
        """The curve of the selected row, or None."""
        row = self._table.currentRow()
        return self._nodes[row] if 0 <= row < len(self._nodes) else None

    def show(self, nodes: list[Any]) -> None:
        """Show these curves, keeping the selected row."""
        row = self._table.currentRow()
        self._filling = True
        try:
            self._nodes, self._items = list(nodes), []
            self._table.setRowCount(len(nodes))
            for index, node in enumerate(nodes):
                self._fill(index, node)
        finally:
            self._filling = False
        if nodes and row >= 0:
            self._table.setCurrentCell(min(row, len(nodes) - 1), _NAME)

    def select_last(self) -> None:
        """Select the row that was added last."""
        if self._nodes:
            self._table.setCurrentCell(len(self._nodes) - 1, _NAME)

    def _fill(self, row: int, node: Any) -> None:
        plane = plane_of_curve(node)
        where = plane_text(plane)
        if is_proposed(node):
            where = _("{plane} (proposed)").format(plane=where)
        display = node.GetDisplayNode()
        shown = display is not None and bool(display.GetVisibility())
        ticked = {_SHOWN: shown, _INCOMPLETE: is_incomplete(node)}
        for column, text in enumerate((node.GetName(), where, str(plane.points), "", "")):
            item = qt.QTableWidgetItem(text)
            if column in ticked:
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsSelectable)
                item.setCheckState(qt.Qt.Checked if ticked[column] else qt.Qt.Unchecked)
            elif column != _NAME:
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            self._items.append(item)
            self._table.setItem(row, column, item)

    def _on_item_changed(self, item: Any) -> None:
        row = item.row()
        if self._filling or not 0 <= row < len(self._nodes):
            return
        node = self._nodes[row]
        if item.column() == _NAME and item.text().strip():
            node.SetName(item.text().strip())
        elif item.column() == _SHOWN and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(item.checkState() == qt.Qt.Checked)
        elif item.column() == _INCOMPLETE:
            set_incomplete(node, item.checkState() == qt.Qt.Checked)
            self._on_incomplete()


def plane_text(plane: CurvePlane) -> str:
    """A plane and its position with the letter of the side, as in Slicer's data probe: "sagittal, L 35 mm"."""
    names = {"axial": _("axial"), "coronal": _("coronal"), "sagittal": _("sagittal"), "oblique": _("oblique")}
    name = names.get(plane.name, "")
    if plane.position_mm is None:
        return name
    towards = {"sagittal": "RL", "coronal": "AP", "axial": "SI"}[plane.name][plane.position_mm < 0]
    return f"{name}, {towards} {abs(plane.position_mm):.0f} mm"
