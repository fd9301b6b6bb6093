"""A module `qt` on PySide6 with PythonQt's habits: properties are attributes, signals are connected by signature."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QMetaMethod, QObject

WIDGETS = (
    *("QWidget", "QFrame", "QLabel", "QPushButton", "QCheckBox", "QComboBox", "QSpinBox", "QDoubleSpinBox"),
    *("QTableWidget", "QTabWidget", "QProgressBar", "QGroupBox", "QSlider"),
)
CHOSEN_FILES: list[str] = []
"""What the next file dialogues give back; PythonQt gives a name, not a name and a filter."""
CHOSEN_FILTER: list[str] = ["STL"]
"""Begins the filter that is chosen in them: the last one here."""


class Habits:
    """What PythonQt adds to every object."""

    own_signals: ClassVar[dict[str, str]] = {}
    """Signals that Slicer declares with MRML types: signature and the name here."""

    def __getattribute__(self, name: str) -> Any:
        # PySide finds its own `connect` before that of a subclass.
        return super().__getattribute__("connect_by_signature" if name == "connect" else name)

    def connect_by_signature(self, signature: str, slot: Callable[..., Any]) -> None:
        """Connect a signal by its signature, which has to exist; surplus arguments are not passed on."""
        if not callable(slot):
            raise TypeError(f"{slot!r} cannot be called")
        if signature in self.own_signals:
            getattr(self, self.own_signals[signature]).connect(slot)
            return
        index = self.metaObject().indexOfSignal(signature.replace(" ", ""))
        if index < 0:
            raise ValueError(f"{type(self).__name__} has no signal {signature}")
        method: QMetaMethod = self.metaObject().method(index)
        signal, count = getattr(self, bytes(method.name()).decode()), method.parameterCount()
        signal.connect(_taking(slot, count))


def _taking(slot: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A function of exactly `count` arguments, as few of which are passed on as the slot takes."""
    code = getattr(slot, "__code__", None)
    takes = count if code is None else code.co_argcount - (1 if hasattr(slot, "__self__") else 0)

    def call(*arguments: Any) -> None:
        slot(*arguments[: min(count, takes)])

    return call


def with_habits(base: type, name: str = "") -> type:
    """A subclass whose Qt properties are attributes."""
    meta = base.staticMetaObject
    names = [meta.property(index).name() for index in range(meta.propertyCount())]
    names = [each for each in names if each not in _VIRTUAL]
    members: dict[str, Any] = {each: _attribute(each) for each in names}
    members["name"] = _attribute("objectName")
    return type(name or base.__name__, (Habits, base), members)


_VIRTUAL = ("sizeHint", "minimumSizeHint")
"""Properties that Qt reads with a method of the same name, for which PySide would take the attribute."""


def _attribute(name: str) -> property:
    def write(self: Any, value: Any) -> None:
        if not QObject.setProperty(self, name, value):
            raise AttributeError(f"{type(self).__name__}.{name} cannot be set to {value!r}")

    return property(lambda self: QObject.property(self, name), write)


class QFileDialog:
    """File dialogues that answer from `CHOSEN_FILES`; a dialogue of its own also with the filter that was chosen."""

    AcceptSave = 1

    def __init__(self, _parent: Any, _caption: str, _folder: str, filters: str) -> None:
        self._filters = filters.split(";;")
        self._chosen = ""

    def selectFile(self, name: str) -> None:  # noqa: N802 - Qt's name
        self._chosen = name

    def exec_(self) -> int:
        assert self.acceptMode == self.AcceptSave
        answered = bool(CHOSEN_FILES)
        self._chosen = CHOSEN_FILES.pop(0) if answered else self._chosen
        return int(answered)

    def selectedFiles(self) -> tuple[str, ...]:  # noqa: N802
        return (self._chosen,)

    def selectedNameFilter(self) -> str:  # noqa: N802
        return next((each for each in self._filters if each.startswith(CHOSEN_FILTER[-1])), "")

    def deleteLater(self) -> None:  # noqa: N802
        pass

    @staticmethod
    def getOpenFileName(*_arguments: Any) -> str:  # noqa: N802
        return CHOSEN_FILES.pop(0) if CHOSEN_FILES else ""


CLASSES: dict[str, type] = {name: with_habits(getattr(QtWidgets, name)) for name in WIDGETS}
# PySide takes this attribute for the method that Qt calls to draw a progress bar, which then never ends.
del CLASSES["QProgressBar"].text
CLASSES |= {
    "QTimer": with_habits(QtCore.QTimer),
    "QProcess": with_habits(QtCore.QProcess),
    "QShortcut": with_habits(QtGui.QShortcut),
}
# Made once: PySide may have deleted a class's QMetaObject when it is asked for again.


def make_module() -> types.ModuleType:
    """The module `qt`."""
    qt = types.ModuleType("qt")
    for name, class_ in CLASSES.items():
        setattr(qt, name, class_)
    qt.QTableWidgetItem, qt.QHeaderView, qt.Qt = QtWidgets.QTableWidgetItem, QtWidgets.QHeaderView, QtCore.Qt
    qt.QFileDialog = QFileDialog
    qt.QKeySequence, qt.QCursor = QtGui.QKeySequence, QtGui.QCursor
    return qt
