"""Getting the Python packages that a fit needs into Slicer; nothing here runs before it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
from collections.abc import Iterable
from typing import Any

from dals.errors import DalsError
from DALSRefineLib.i18n import tr as _

TORCH = "torch"
_REQUIREMENTS = {
    "torch": ">=2.2",
    "safetensors": "safetensors>=0.4",
    "scipy": "scipy>=1.10",
    "SimpleITK": "SimpleITK>=2.3",
}
"""Import names and what pip is asked for; torch comes through the PyTorch extension."""
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
        "Shall they be downloaded and installed now? PyTorch is large; this can take several minutes."
    ).format(packages=", ".join(missing))


def install(missing: Iterable[str]) -> None:
    """Install packages by their import names, with Slicer's own progress windows.

    Raises
    ------
    DalsError
        If PyTorch cannot be had, or something is still missing afterwards.
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
    """Whether Slicer's PyTorch extension is there."""
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


def _install_torch() -> None:
    if not has_pytorch_extension():
        raise DalsError(
            _("PyTorch comes to Slicer through an extension, PyTorch; please install it in the Extensions Manager.")
        )
    import PyTorchUtils

    logic = PyTorchUtils.PyTorchUtilsLogic()
    # The question has been asked; the extension picks the build that suits the graphics card.
    torch = logic.installTorch(askConfirmation=False, torchVersionRequirement=_REQUIREMENTS[TORCH])
    if torch is None:
        raise DalsError(_("PyTorch was not installed; the log tells why."))


def _pip(requirements: list[str]) -> None:
    import slicer

    try:
        try:
            from slicer.packaging import Requirement, pip_ensure
        except ImportError:  # Slicer before 5.12
            for requirement in requirements:
                slicer.util.pip_install(requirement)
        else:
            wanted = [Requirement(text) for text in requirements]
            pip_ensure(wanted, prompt_install=False, requester="DALSRefine", skip_in_testing=False)
    except subprocess.CalledProcessError as error:
        raise DalsError(
            _("{packages} could not be installed. Please check the network; the log tells more.").format(
                packages=", ".join(requirements)
            )
        ) from error
