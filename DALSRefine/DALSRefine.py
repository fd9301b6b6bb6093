"""DALSRefine in 3D Slicer: a whole organ's surface from three contours, a segmentation or points.

Slicer's entry points only; what they do is in `DALSRefineLib`, the method in `dals`. Nothing heavy is imported here.
"""

import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from vtkmodules.util.misc import calldata_type
from vtkmodules.util.vtkConstants import VTK_OBJECT

_TUTORIAL = "https://github.com/DALSRefine/SlicerDALSRefine#tutorial-a-liver-from-three-contours"
_OLDEST_PYTHON = (3, 10)  # some builds of Slicer 5.8 have 3.9: it must be able to read this file, but no other


def _obstacle():
    """Why nothing of this module works in this Slicer, or an empty text."""
    if sys.version_info >= _OLDEST_PYTHON:
        return ""
    sentence = _("DALSRefine needs Python {needed} or newer; this Slicer has Python {present}. Install a newer Slicer.")
    needed, present = (".".join(map(str, version[:2])) for version in (_OLDEST_PYTHON, sys.version_info))
    return sentence.format(needed=needed, present=present)


class DALSRefine(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("DALSRefine: organ surfaces from a few contours")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["DALSRefine contributors"]
        parent.helpText = _(
            "Completes or refines the surface of an organ with a learnt prior: from closed curves on a few slices, "
            "a segment painted on a few slices, a network's segmentation, or points. "
            "For research and teaching; not a medical device."
        )
        parent.helpText += '<p><a href="{}">{}</a></p>'.format(_TUTORIAL, _("Tutorial"))
        parent.acknowledgementText = _(
            "Implements 'Deep Active Latent Surfaces for Medical Geometries' (Jensen, Wickramasinghe, Dahl, Fua, Dahl; "
            "arXiv:2206.10241)."
        )
        if not _obstacle():
            slicer.app.connect("startupCompleted()", _register_sample_data)


def _register_sample_data():
    from DALSRefineLib import sample_data

    sample_data.register()


class DALSRefineWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel, kept in step with scenes that are opened and closed."""

    def __init__(self, parent=None):
        self.logic = self.panel = None
        VTKObservationMixin.__init__(self)  # first: where there is no parent, the next line calls `setup`
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        if _obstacle():
            self._showObstacle()
            return
        from DALSRefineLib.panel.widget import RefinePanel

        root = slicer.util.loadUI(self.resourcePath("UI/DALSRefine.ui"))
        self.layout.addWidget(root)
        root.setMRMLScene(slicer.mrmlScene)
        self.logic = DALSRefineLogic()
        self.panel = RefinePanel(slicer.util.childWidgetVariables(root), self.logic.session)
        for event, action in (
            (slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose),
            (slicer.mrmlScene.EndCloseEvent, self.onSceneChanged),
            (slicer.mrmlScene.EndImportEvent, self.onSceneChanged),
            (slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved),
        ):
            self.addObserver(slicer.mrmlScene, event, action)
        self.initializeParameterNode()

    def _showObstacle(self):
        """One sentence in place of the panel."""
        import qt

        label = qt.QLabel(_obstacle())
        label.wordWrap = True
        self.layout.addWidget(label)

    def cleanup(self):
        """Called when the panel is destroyed: Slicer ends, or the module is reloaded."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()

    def onReload(self):
        """Called by the Reload button in developer mode: load the library again as well."""
        for name in [name for name in sys.modules if name.split(".")[0] in ("DALSRefineLib", "dals")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self):
        """Called each time the module is opened."""
        if self.panel is None:
            return
        if self.panel.parameters is None:
            self.initializeParameterNode()
        self.panel.shortcuts.switch(True)
        self.panel.update()  # a segment may have been edited meanwhile

    def exit(self):
        """Called each time another module is opened: its keys and the mouse are its own."""
        if self.panel is not None:
            self.panel.shortcuts.switch(False)
            self.panel.source.drawing.stop()

    def initializeParameterNode(self):
        """Show the scene's parameter node."""
        self.panel.set_parameters(self.logic.getParameterNode())

    def onSceneStartClose(self, caller=None, event=None):
        """The scene is about to close: cancel the running fit."""
        self.panel.forget()

    def onSceneChanged(self, caller=None, event=None):
        """A scene was closed or loaded."""
        if self.parent.isEntered or self.panel.parameters is not None:
            self.initializeParameterNode()

    @calldata_type(VTK_OBJECT)
    def onNodeRemoved(self, caller=None, event=None, node=None):
        """A curve or a model may be gone; previews and marks come and go too often to look at everything."""
        gone = node is None or (node.IsA("vtkMRMLDisplayableNode") and not node.GetHideFromEditors())
        if gone and self.parent.isEntered and not slicer.mrmlScene.IsClosing():
            self.panel.update()


class DALSRefineLogic(ScriptedLoadableModuleLogic):
    """The scripting interface: `refineContours`, `refineSegmentation`, `refinePoints` and the like, `exportMesh`.

    `DALSRefineLib.scripting.Refiner` describes their options.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        if _obstacle():
            raise RuntimeError(_obstacle())
        from DALSRefineLib.process.qt_process import QtProcess
        from DALSRefineLib.process.runner import ProcessRunner
        from DALSRefineLib.scripting import Refiner
        from DALSRefineLib.session import RefineSession

        self.session = RefineSession(slicer.mrmlScene, ProcessRunner(QtProcess))
        self._refiner = Refiner(self.session, breathe=slicer.app.processEvents)

    def getParameterNode(self):
        """Every choice in the panel, saved with the scene."""
        from DALSRefineLib.panel.parameters import Parameters

        return Parameters(ScriptedLoadableModuleLogic.getParameterNode(self))

    def refineContours(self, curveNodes, **options):
        """From closed curves on at least two planes; returns a model node."""
        return self._refiner.refineContours(curveNodes, **options)

    def refinePaintedSlices(self, segmentationNode, segmentId, **options):
        """From a segment painted on a few slices; returns a model node."""
        return self._refiner.refinePaintedSlices(segmentationNode, segmentId, **options)

    def refineSegmentation(self, segmentationNode, segmentId, **options):
        """From a full segment, such as a network's; returns a model node."""
        return self._refiner.refineSegmentation(segmentationNode, segmentId, **options)

    def refinePoints(self, node, **options):
        """From a point list or a model; returns a model node."""
        return self._refiner.refinePoints(node, **options)

    def exportMesh(self, modelNode, path, space="LPS"):
        """Write a result as .stl, .ply, .obj or .vtp."""
        self._refiner.exportMesh(modelNode, path, space=space)


class DALSRefineTest(ScriptedLoadableModuleTest):
    """Tests the panel on the sample data, with or without a main window."""

    def setUp(self):
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        from DALSRefineLib import self_test

        for test in self_test.TESTS:
            self.setUp()
            self.delayDisplay(test.__doc__ or test.__name__)
            test(self)
        self.delayDisplay("Test passed")
