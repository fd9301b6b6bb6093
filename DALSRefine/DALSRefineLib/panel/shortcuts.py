"""The panel's keys. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qt
import slicer


class Shortcuts:
    """Keys of the main window that work while the module is open.

    Parameters
    ----------
    actions : iterable of (str, callable)
        Key, as Qt writes it, and what it does.
    guarded : callable
        Runs a function and shows its errors.
    """

    def __init__(
        self,
        actions: Iterable[tuple[str, Callable[[], None]]],
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        window = slicer.util.mainWindow()
        self._keys: dict[str, Any] = {}
        self._active = False
        for key, action in () if window is None else actions:
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.enabled = False
            shortcut.connect("activated()", lambda action=action: guarded(action))
            self._keys[key] = shortcut

    def switch(self, active: bool) -> None:
        """Switch all keys on or off; Return waits for `allow`, as other widgets want it, too."""
        self._active = active
        for key, shortcut in self._keys.items():
            shortcut.enabled = active and key != "Return"

    def allow(self, key: str, allowed: bool) -> None:
        """Switch one key on or off while the module is open."""
        if key in self._keys:
            self._keys[key].enabled = self._active and allowed

    def active(self, key: str) -> bool:
        """Whether a key works now."""
        return key in self._keys and bool(self._keys[key].enabled)

    def close(self) -> None:
        """Take all keys away."""
        for shortcut in self._keys.values():
            shortcut.enabled = False
            shortcut.deleteLater()
        self._keys = {}
