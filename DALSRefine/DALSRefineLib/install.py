"""Installs the Python packages that a fit needs in Slicer; nothing here runs before the user asks for it."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from dals.errors import DalsError
from DALSRefineLib.i18n import tr as _

TORCH = "torch"
_OLDEST_TORCH = ">=2.2"
_REQUIREMENTS = {TORCH: f"torch{_OLDEST_TORCH}", "safetensors": "safetensors>=0.4"}
"""Import names, and what pip is asked for; Slicer itself comes with NumPy, SciPy, SimpleITK and VTK."""
_REMESHING = {"gpytoolbox": "gpytoolbox>=0.3"}


def missing_packages(*, remesh: bool = False) -> list[str]:
    """Import names of the packages that are not installed; imports none of them."""
    importlib.invalidate_caches()
    needed = _REQUIREMENTS | (_REMESHING if remesh else {})
    return [name for name in needed if importlib.util.find_spec(name) is None]


def question(missing: Iterable[str]) -> str:
    """What to ask before anything is installed."""
    return _(
        "DALSRefine needs Python packages that are not installed yet: {packages}. "
        "Download and install them now? PyTorch is large; this can take several minutes."
    ).format(packages=", ".join(missing))


def install(missing: Iterable[str]) -> None:
    """Install packages by their import names, with Slicer's own progress windows.

    PyTorch comes through the PyTorch extension, which picks the build that suits the graphics card.

    Raises
    ------
    DalsError
        If PyTorch cannot be installed, or something is still missing afterwards.
    """
    missing = list(missing)
    others = [(_REQUIREMENTS | _REMESHING)[name] for name in missing if name != TORCH]
    if others:
        _pip(others)
    if TORCH in missing:
        _install_torch()
    importlib.invalidate_caches()
    left = [name for name in missing if importlib.util.find_spec(name) is None]
    if left:
        raise DalsError(
            _("Still missing after the installation: {packages}. Please restart Slicer and try again.").format(
                packages=", ".join(left)
            )
        )


def has_pytorch_extension() -> bool:
    """Whether Slicer's PyTorch extension is installed."""
    return importlib.util.find_spec("PyTorchUtils") is not None


def install_pytorch_extension() -> None:
    """Fetch the PyTorch extension from Slicer's catalogue; Slicer has to be restarted to use it.

    Raises
    ------
    DalsError
        If it cannot be fetched.
    """
    import slicer

    manager: Any = slicer.app.extensionsManagerModel()
    interactive, manager.interactive = manager.interactive, False  # no further questions: one was asked
    try:
        manager.updateExtensionsMetadataFromServer(True, True)
        installed = manager.downloadAndInstallExtensionByName("PyTorch", True, True)
    finally:
        manager.interactive = interactive
    if not installed:
        raise DalsError(_("The PyTorch extension could not be installed; please install it in the Extensions Manager."))


def torch_requirement(platform: str = sys.platform) -> str:
    """The versions of PyTorch to install on a platform, such as ">=2.2"."""
    # The paths of the licences in torch 2.13 are too long for Windows, and pip gives up half-way
    # (https://github.com/Slicer/light-the-torch/issues/176).
    return f"{_OLDEST_TORCH},<2.13" if platform == "win32" else _OLDEST_TORCH


def _install_torch() -> None:
    if not has_pytorch_extension():
        raise DalsError(_("PyTorch comes through Slicer's PyTorch extension; please install it first."))
    import PyTorchUtils

    logic = PyTorchUtils.PyTorchUtilsLogic()
    try:
        # The user has been asked already.
        torch = logic.installTorch(askConfirmation=False, torchVersionRequirement=torch_requirement())
    except (subprocess.CalledProcessError, ImportError, OSError) as error:  # pip, or loading what it installed
        raise DalsError(_("PyTorch could not be installed; the log tells why.")) from error
    if torch is None:
        raise DalsError(_("PyTorch was not installed; the log tells why."))


def _pip(requirements: list[str]) -> None:
    import slicer

    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # before Slicer 5.12
        pip_ensure = None
    try:
        if pip_ensure is not None:
            pip_ensure(requirements, prompt_install=False, requester="DALSRefine")  # the user has been asked already
        else:
            slicer.util.pip_install(" ".join(requirements))
    except subprocess.CalledProcessError as error:
        raise DalsError(
            _("{packages} could not be installed. Please check the network; the log tells more.").format(
                packages=", ".join(requirements)
            )
        ) from error
