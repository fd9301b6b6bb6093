"""The line that tells which Python packages are missing, and installs them. For Slicer only."""

from __future__ import annotations

from typing import Any

import slicer

from DALSRefineLib import install
from DALSRefineLib.i18n import tr as _


class PackageSection:
    """Shows what is missing, and installs it once the user has said so.

    Parameters
    ----------
    ui
        Widgets `installFrame`, `installLabel`.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._remesh = False
        self.missing: list[str] = []

    def look(self, *, remesh: bool) -> None:
        """Show which packages are missing."""
        self._remesh, self.missing = remesh, install.missing_packages(remesh=remesh)
        self._ui.installFrame.visible = bool(self.missing)
        self._ui.installLabel.text = _("Not installed yet: {packages}.").format(packages=", ".join(self.missing))

    def install(self) -> None:
        """Ask, and install what is missing."""
        if not slicer.util.confirmYesNoDisplay(install.question(self.missing), windowTitle="DALSRefine"):
            return
        if install.TORCH in self.missing and not install.has_pytorch_extension():
            install.install_pytorch_extension()
            if slicer.util.confirmYesNoDisplay(_("The PyTorch extension is installed. Restart Slicer now to use it?")):
                slicer.util.restart()
            return
        install.install(self.missing)
        self.look(remesh=self._remesh)
