"""The panel: its sections, refining and cancelling, progress. For Slicer only."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import qt
import slicer

from dals.errors import DalsError, collected_warnings
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.volume_nodes import ImageParts
from DALSRefineLib.panel.advanced_section import AdvancedSection
from DALSRefineLib.panel.binding import Binding
from DALSRefineLib.panel.fit_options import changed_settings
from DALSRefineLib.panel.live_refit import LiveRefit
from DALSRefineLib.panel.organ_tasks import organ_tasks
from DALSRefineLib.panel.package_section import PackageSection
from DALSRefineLib.panel.parameters import bound_widgets
from DALSRefineLib.panel.prior_chooser import PriorChooser
from DALSRefineLib.panel.progress_display import ProgressDisplay
from DALSRefineLib.panel.result_section import ResultSection
from DALSRefineLib.panel.shortcuts import Shortcuts
from DALSRefineLib.panel.source_section import SourceSection
from DALSRefineLib.priors import organ_of, side_note
from DALSRefineLib.process.jobs import FitFailed, FitFinished, FitProgress, FitStarted, Request
from DALSRefineLib.session import EditsChosen, RefineSession, SessionEvent, report_of

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
        self.ui, self.session, self.images = ui, session, ImageParts()
        self.parameters: Any = None
        self.packages = PackageSection(ui)
        self._logged = ""
        self._binding: Binding | None = None
        self._updating = self._shown_running = self._asked = self._warmed_up = False
        self.advanced = AdvancedSection(ui)
        self.source = SourceSection(ui, self.advanced.follow_source, self.guarded)
        self.result = ResultSection(ui, session, self.guarded, self._on_history)
        self.progress, self.live = ProgressDisplay(ui), LiveRefit()
        self.priors = PriorChooser(ui, self._on_prior, self.guarded)
        for button, action in (
            (ui.refineButton, self._refine_or_cancel),
            (ui.installButton, self.packages.install),
            (ui.resetButton, self.advanced.reset),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: self.guarded(action))
        drawing = self.source.drawing
        keys = [*drawing.keys, ("Alt+R", self._refine_or_cancel)]
        self.shortcuts = Shortcuts(keys, self.guarded, waiting=drawing.waiting_keys)
        session.listeners.append(self._on_event)
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._on_tick)
        self._timer.start()

    def set_parameters(self, parameters: Any) -> None:
        """Show another parameter node; None while a scene is closing."""
        if self._binding is not None:
            self._binding.close()
            self._binding = None
        self.parameters = self.result.parameters = self.advanced.parameters = parameters
        self.source.set_parameters(parameters)
        if parameters is None:
            return
        self._binding = Binding(parameters, bound_widgets(self.ui), self.update)
        self.look_for_packages()
        self.update()

    def forget(self) -> None:
        """The scene is closed."""
        self.set_parameters(None)
        self.session.forget()
        self.progress.clear()
        self.priors.unfold()

    def close(self) -> None:
        """The panel closes: cancel the fit and remove all observers."""
        self._timer.stop()
        self.shortcuts.close()
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
            self.source.priors = self.priors.titles
            self.source.update()
            self.advanced.update()
            self._show_buttons()
            self.result.update()
            self.priors.fold(once=self.source.has_begun())
            self._warm_up()
        finally:
            self._updating = False

    def look_for_packages(self) -> None:
        """Show which packages are missing."""
        self.packages.look(remesh=self.parameters.remesh)

    def obstacle(self) -> str:
        """Why nothing can be refined yet, or an empty text."""
        if self.priors.header is None:
            sentence = _("The prior '{name}' of this scene is not available here; choose another one or add its file.")
            return sentence.format(name=self.parameters.prior)
        return self.source.obstacle()

    def refine(self, *, warm: bool = False, gesture: int | None = None) -> None:
        """Start a refinement; raises `DalsError` if something is wrong with the input.

        Parameters
        ----------
        warm : bool
            Start from the last result.
        gesture : int, optional
            The movement of the hand that it follows; see `RefineSession.start`.
        """
        header, parameters = self.priors.header, self.parameters
        self.look_for_packages()
        if self.packages.missing:
            raise DalsError(_("Please install first: {packages}.").format(packages=", ".join(self.packages.missing)))
        if header is None:
            raise DalsError(self.obstacle())
        with collected_warnings() as told:
            observation = self.source.observation()
            changes = changed_settings(self.advanced.options, parameters.source) | self.source.choices
            tasks, organs = organ_tasks(self.source, self.priors.headers, changes)
            wanted = parameters.useImage and self.source.takes_image
            image = self.images.shown(self.result.volume, observation) if wanted else None
        if gesture is None:
            self.source.settle()
        else:
            self.source.watcher.forget()
        self.session.start(
            Request(
                observation=observation,
                prior=header.path,
                changes=changes,
                device=parameters.device,
                remesh=parameters.remesh,
                image=image,
                side=parameters.side if header.side else "auto",
                name=organ_of(header.name).name,
                others=tasks,
            ),
            organ=organ_of(header.name),
            model=self.session.models.receiver(parameters.result),
            warm=warm,
            warnings=tuple(told),
            curves=self.source.accepted if self.source.uses_curves else (),
            gesture=gesture,
            others=organs,
        )
        self.live.started()
        self._asked = not warm
        self.progress.started()

    def _warm_up(self) -> None:
        """Start the worker once the user has begun to give input: loading torch takes seconds."""
        if self._warmed_up or self.packages.missing or not self.source.has_begun():
            return
        self._warmed_up = True
        try:
            self.session.warm_up()
        except DalsError:  # the first fit reports it
            logging.warning(traceback.format_exc())

    def _refine_or_cancel(self) -> None:
        if self.session.running:
            self.session.cancel()
            self.progress.stopped(_("Cancelled; the last result is unchanged."))
        else:
            self.refine()

    def _refine_quietly(self, gesture: int | None = None) -> None:
        """Refine again while the user corrects a contour: errors go to the status line, without a message box."""
        try:
            self.refine(warm=True, gesture=gesture)
        except DalsError as error:
            self.source.watcher.forget()  # until the next change
            self.progress.say(str(error))
        if gesture is None:
            self.update()

    def _on_history(self) -> None:
        """Undo and redo move curves: that is no change to follow."""
        self.source.watcher.forget()

    def _show_prior(self) -> None:
        parameters, ui = self.parameters, self.ui
        self.priors.choose(parameters.prior)
        header = self.priors.header
        ui.priorNoteLabel.text = self.obstacle() if header is None else side_note(header)
        ui.priorNoteLabel.visible = bool(ui.priorNoteLabel.text)
        ui.sideLabel.visible = ui.sideComboBox.visible = header is not None and bool(header.side)
        self.result.organ = organ_of(parameters.prior if header is None else header.name)

    def _show_buttons(self) -> None:
        running = self._shown_running = self.session.running
        self.progress.show_button(running=running, obstacle="" if running else self.obstacle())
        self.shortcuts.allow(self.source.drawing.waiting_keys)

    def _on_tick(self) -> None:
        """Called by the timer."""
        self._quietly(self._look_around)

    def _on_event(self, event: SessionEvent) -> None:
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
        self.shortcuts.allow(self.source.drawing.waiting_keys)
        if self.session.running != self._shown_running:  # a script has started or finished something
            self.update()
        if self.source.dragged:
            if self.live.due and self._follows():
                self._refine_quietly(self.source.watcher.gesture)
        elif self.source.changed():
            self._show_buttons()
            if self._follows():
                self._refine_quietly(self.source.released_gesture)

    def _follows(self) -> bool:
        """Whether a refinement follows a change of the contours."""
        refined_before = report_of(self.parameters.result) is not None
        return bool(self.parameters.autoRefine and refined_before and not self.obstacle())

    def _show_event(self, event: SessionEvent) -> None:
        if isinstance(event, FitStarted):
            self.ui.deviceUsedLabel.text = event.device
        elif isinstance(event, FitProgress):
            self.progress.step(event)
            if event.mesh is not None:
                self.live.shown()
            return
        elif isinstance(event, EditsChosen):
            self.result.edits_chosen()
        elif isinstance(event, FitFinished):
            self.progress.finished(self.session.warnings)
            self.ui.colourButton.checked = False
            self.result.mark_worst()
            if self.parameters is not None:
                self.parameters.result = self.session.model
            self.result.uncertainty.renew()
        elif isinstance(event, FitFailed):
            if event.details:
                logging.error(event.details)
            self.progress.stopped(event.sentence)
            if self._asked:  # a script gets an exception; the correction of a contour is not to be interrupted
                slicer.util.errorDisplay(event.sentence, windowTitle="DALSRefine")
        if not isinstance(event, FitStarted):
            self.live.shown()
        self._asked = self._asked and isinstance(event, FitStarted)
        self.update()

    def _on_prior(self, name: str) -> None:
        if self.parameters is not None and not self._updating:
            self.parameters.prior = name


def _unexpected() -> str:
    return _("An unexpected error occurred; the log has the details.")
