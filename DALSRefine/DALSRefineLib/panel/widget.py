"""The panel: its sections, refining and cancelling, progress. For Slicer only."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import qt
import slicer

from dals.errors import DalsError, collected_warnings
from DALSRefineLib import install
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.panel.advanced_section import AdvancedSection
from DALSRefineLib.panel.fit_options import changed_settings
from DALSRefineLib.panel.parameters import bound_widgets
from DALSRefineLib.panel.prior_chooser import PriorChooser
from DALSRefineLib.panel.result_section import ResultSection
from DALSRefineLib.panel.source_section import SourceSection
from DALSRefineLib.priors import organ_of, side_note
from DALSRefineLib.process.jobs import Event, FitFailed, FitFinished, FitProgress, FitStarted, Request
from DALSRefineLib.session import RefineSession, report_of

_TICK_MS = 50


class RefinePanel:
    """Connects the widgets of `DALSRefine.ui` with the scene.

    Parameters
    ----------
    ui
        The widgets by name, as `slicer.util.childWidgetVariables` gives them.
    session : RefineSession
    """

    def __init__(self, ui: Any, session: RefineSession) -> None:
        self.ui, self.session = ui, session
        self.parameters: Any = None
        self._missing: list[str] = []
        self._logged = ""
        self._gui_tag: Any = None
        self._observer: Any = None
        self._updating = self._shown_running = self._asked = self._warmed_up = False
        self.advanced = AdvancedSection(ui)
        self.source = SourceSection(ui, self.advanced.follow_source, self.guarded)
        self.result = ResultSection(ui, session, self.guarded)
        self.priors = PriorChooser(ui, self._on_prior, self.guarded)
        for button, action in (
            (ui.refineButton, self._refine_or_cancel),
            (ui.installButton, self._install),
            (ui.resetButton, self.advanced.reset),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: self.guarded(action))
        session.listeners.append(self._on_event)
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._on_tick)
        self._timer.start()

    def set_parameters(self, parameters: Any) -> None:
        """Show another parameter node; None while a scene is closing."""
        if self.parameters is not None:
            self.parameters.disconnectGui(self._gui_tag)
            self.parameters.RemoveObserver(self._observer)
        self.parameters = self.result.parameters = self.advanced.parameters = parameters
        self.source.set_parameters(parameters)
        if parameters is None:
            return
        self._gui_tag = parameters.connectParametersToGui(bound_widgets(self.ui))
        self._observer = parameters.AddObserver("ModifiedEvent", lambda *_: self.update())
        self.look_for_packages()
        self.update()

    def forget(self) -> None:
        """The scene is closed."""
        self.set_parameters(None)
        self.session.forget()
        self.ui.progressBar.value, self.ui.statusLabel.text = 0, ""

    def close(self) -> None:
        """The panel closes: cancel the fit and remove all observers."""
        self._timer.stop()
        self.session.listeners.remove(self._on_event)
        self.set_parameters(None)
        self.session.close()

    def guarded(self, action: Callable[[], None]) -> None:
        """Run an action and show its errors; unexpected ones go to the log as well."""
        try:
            action()
        except DalsError as error:
            slicer.util.errorDisplay(str(error), windowTitle="DALSRefine")
        except Exception:
            details = traceback.format_exc()
            logging.error(details)
            slicer.util.errorDisplay(_unexpected(), windowTitle="DALSRefine", detailedText=details)
        self.update()

    def update(self) -> None:
        """Bring all widgets up to date with the scene."""
        if self.parameters is None or self._updating:
            return
        self._updating = True
        try:
            self._show_prior()
            self.source.update()
            self.advanced.update()
            self._show_buttons()
            self.result.update()
            self._warm_up()
        finally:
            self._updating = False

    def look_for_packages(self) -> None:
        """Show which packages are missing."""
        self._missing = install.missing_packages(remesh=self.parameters.remesh)
        self.ui.installFrame.visible = bool(self._missing)
        self.ui.installLabel.text = _("Not installed yet: {packages}.").format(packages=", ".join(self._missing))

    def obstacle(self) -> str:
        """Why nothing can be refined yet, or an empty text."""
        if self.priors.header is None:
            sentence = _("The prior '{name}' of this scene is not available here; choose another one or add its file.")
            return sentence.format(name=self.parameters.prior)
        return self.source.obstacle()

    def refine(self, *, warm: bool = False) -> None:
        """Start a refinement; raises `DalsError` if something is wrong with the input.

        Parameters
        ----------
        warm : bool
            Start from the last result.
        """
        header, parameters = self.priors.header, self.parameters
        self.look_for_packages()
        if self._missing:
            raise DalsError(_("Please install first: {packages}.").format(packages=", ".join(self._missing)))
        if header is None:
            raise DalsError(self.obstacle())
        with collected_warnings() as told:
            observation = self.source.observation()
        self.source.settle()
        self.session.start(
            Request(
                observation=observation,
                prior=header.path,
                changes=changed_settings(self.advanced.options, parameters.source),
                device=parameters.device,
                remesh=parameters.remesh,
            ),
            organ=organ_of(header.name),
            model=parameters.result,
            warm=warm,
            warnings=tuple(told),
        )
        self._asked = not warm
        self.ui.progressBar.value = 0
        self.ui.statusLabel.text = _("Starting ...")

    def _warm_up(self) -> None:
        """Start the worker once the user has begun to give input: loading torch takes seconds."""
        if self._warmed_up or self._missing or not self.source.has_begun():
            return
        self._warmed_up = True
        try:
            self.session.warm_up()
        except DalsError:  # the first fit reports it
            logging.warning(traceback.format_exc())

    def _refine_or_cancel(self) -> None:
        if self.session.running:
            self.session.cancel()
            self.ui.statusLabel.text = _("Cancelled; the last result is unchanged.")
        else:
            self.refine()

    def _refine_quietly(self) -> None:
        """Refine again while the user corrects a contour: errors go to the status line, without a message box."""
        try:
            self.refine(warm=True)
        except DalsError as error:
            self.ui.statusLabel.text = str(error)
        self.update()

    def _install(self) -> None:
        if not slicer.util.confirmYesNoDisplay(install.question(self._missing), windowTitle="DALSRefine"):
            return
        if install.TORCH in self._missing and not install.has_pytorch_extension():
            install.install_pytorch_extension()
            if slicer.util.confirmYesNoDisplay(_("The PyTorch extension is installed. Restart Slicer now to use it?")):
                slicer.util.restart()
            return
        install.install(self._missing)
        self.look_for_packages()

    def _show_prior(self) -> None:
        parameters, ui = self.parameters, self.ui
        self.priors.choose(parameters.prior)
        header = self.priors.header
        ui.priorNoteLabel.text = self.obstacle() if header is None else side_note(header)
        ui.priorNoteLabel.visible = bool(ui.priorNoteLabel.text)
        self.result.organ = organ_of(parameters.prior if header is None else header.name)

    def _show_buttons(self) -> None:
        button = self.ui.refineButton
        running = self._shown_running = self.session.running
        obstacle = "" if running else self.obstacle()
        button.text = _("Cancel") if running else _("Refine")
        button.enabled = not obstacle
        tip = _("Stop. The last result stays.") if running else _("Fit the surface to the source.")
        button.toolTip = obstacle or tip

    def _on_tick(self) -> None:
        """Called by the timer."""
        self._quietly(self._look_around)

    def _on_event(self, event: Event) -> None:
        """Called by the session, and that by Qt."""
        self._quietly(lambda: self._show_event(event))

    def _quietly(self, action: Callable[[], None]) -> None:
        """Nothing escapes, and no message box is opened twenty times a second."""
        try:
            action()
        except Exception:
            details = traceback.format_exc()
            if details != self._logged:
                logging.error(details)
            self._logged, self.ui.statusLabel.text = details, _unexpected()

    def _look_around(self) -> None:
        if self.session.running != self._shown_running:  # a script has started or finished something
            self.update()
        if self.source.changed():
            self._show_buttons()
            refined_before = report_of(self.parameters.result) is not None
            if self.parameters.autoRefine and refined_before and not self.obstacle():
                self._refine_quietly()

    def _show_event(self, event: Event) -> None:
        ui = self.ui
        if isinstance(event, FitStarted):
            ui.deviceUsedLabel.text = event.device
        elif isinstance(event, FitProgress):
            ui.progressBar.maximum, ui.progressBar.value = event.total, event.step
            left = "" if event.remaining_s is None else _(", {seconds:.0f} s left").format(seconds=event.remaining_s)
            text = _("Step {step} of {total}, {loss:.1f} mm{left}")
            ui.statusLabel.text = text.format(step=event.step, total=event.total, loss=event.loss_mm, left=left)
            return
        elif isinstance(event, FitFinished):
            ui.progressBar.value = ui.progressBar.maximum
            ui.statusLabel.text = " ".join(self.session.warnings) or _("Done.")
            ui.colourButton.checked = False
            if self.parameters is not None:
                self.parameters.result = self.session.model
        elif isinstance(event, FitFailed):
            if event.details:
                logging.error(event.details)
            ui.statusLabel.text = event.sentence
            if self._asked:  # a script gets an exception; the correction of a contour is not to be interrupted
                slicer.util.errorDisplay(event.sentence, windowTitle="DALSRefine")
        self._asked = self._asked and isinstance(event, FitStarted)
        self.update()

    def _on_prior(self, name: str) -> None:
        if self.parameters is not None and not self._updating:
            self.parameters.prior = name


def _unexpected() -> str:
    return _("An unexpected error occurred; the log has the details.")
