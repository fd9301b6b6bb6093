"""The panel's keys. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import qt
import slicer

_FIELDS = ("QLineEdit", "QAbstractSpinBox", "QTextEdit", "QPlainTextEdit")


class Shortcuts:
    """Keys of the main window that work while the module is open.

    Parameters
    ----------
    actions : iterable of (str, callable)
        Key, as Qt writes it, and what it does.
    guarded : callable
        Runs a function and shows its errors.
    waiting : iterable of str
        Keys that work only while they are allowed, as other widgets want them, too.
    """

    def __init__(
        self,
        actions: Iterable[tuple[str, Callable[[], None]]],
        guarded: Callable[[Callable[[], None]], None],
        *,
        waiting: Iterable[str] = (),
    ) -> None:
        window = slicer.util.mainWindow()
        self._keys: dict[str, Any] = {}
        self._active, self._waiting = False, frozenset(waiting)
        for key, action in () if window is None else actions:
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.enabled = False
            shortcut.connect("activated()", lambda action=action: guarded(action))
            self._keys[key] = shortcut

    def switch(self, active: bool) -> None:
        """Switch all keys on or off; those that wait for `allow` are off at first."""
        self._active = active
        for key, shortcut in self._keys.items():
            shortcut.enabled = active and key not in self._waiting

    def allow(self, keys: Mapping[str, bool]) -> None:
        """Switch waiting keys on or off while the module is open; a field in which the user is writing keeps them."""
        free = self._active and any(keys.values()) and not _writing()
        for key in keys.keys() & self._keys.keys():
            self._keys[key].enabled = free and keys[key]

    def active(self, key: str) -> bool:
        """Whether a key works now."""
        return key in self._keys and bool(self._keys[key].enabled)

    def close(self) -> None:
        """Take all keys away."""
        for shortcut in self._keys.values():
            shortcut.enabled = False
            shortcut.deleteLater()
        self._keys = {}


def _writing() -> bool:
    focus = slicer.app.focusWidget()
    return focus is not None and any(focus.inherits(name) for name in _FIELDS)
