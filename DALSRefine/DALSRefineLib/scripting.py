"""Refinement of nodes from scripts, without a window: nodes in, a model node out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dals.errors import DalsWarning, FitCancelledError, InputError
from dals.geometry.components import ComponentChoice
from dals.io.coordinates import Space
from dals.model.prior_files import find_prior, read_header
from DALSRefineLib.nodes.inputs import (
    contours_from_curves,
    contours_from_painted_segment,
    points_from_node,
    segmentation_from_node,
)
from DALSRefineLib.nodes.outputs import export_model
from DALSRefineLib.nodes.volume_nodes import image_around
from DALSRefineLib.priors import Organ, organ_of
from DALSRefineLib.process.jobs import FitFailed, FitFinished, FitProgress, Request
from DALSRefineLib.session import RefineSession, SessionEvent

_WAIT_S = 0.02


class Refiner:
    """The scripting interface of `DALSRefineLogic`; its methods follow Slicer's naming.

    Every `refine...` method waits for its result and returns a model node in world coordinates. Options:

    prior : str
        Name of a prior or path of its file; "liver" by default.
    model : vtkMRMLModelNode, optional
        Receives the result; a new node by default.
    device : str
        "auto" (CUDA if available, else the CPU), "cuda", "cpu" or "mps" (untested, may lack operations).
    remesh : bool
        Even out the triangles.
    settings : dict, optional
        Fields of `dals.fit_settings.FitSettings` to change.
    onProgress : callable, optional
        Called with each `DALSRefineLib.process.jobs.FitProgress`.

    Raises `dals.errors.DalsError`, with a message for the user, if the input is invalid.

    Parameters
    ----------
    session : RefineSession
    breathe : callable, optional
        Called repeatedly while waiting, for instance `slicer.app.processEvents`.
    """

    def __init__(self, session: RefineSession, *, breathe: Callable[[], None] | None = None) -> None:
        self.session, self._breathe = session, breathe

    def refineContours(self, curveNodes: Iterable[Any], **options: Any) -> Any:
        """Refine closed curves on at least two planes.

        With `imageNode`, the scalar volume that they were drawn on places the surface between them; here and in
        `refinePaintedSlices`.
        """
        return self._refine(lambda: contours_from_curves(curveNodes), **options)

    def refinePaintedSlices(self, segmentationNode: Any, segmentId: str, **options: Any) -> Any:
        """Refine a segment that is painted on a few slices, along any of the image's three axes."""
        return self._refine(lambda: contours_from_painted_segment(segmentationNode, segmentId), **options)

    def refineSegmentation(
        self,
        segmentationNode: Any,
        segmentId: str,
        *,
        component: ComponentChoice | None = None,
        probabilitiesNode: Any = None,
        **options: Any,
    ) -> Any:
        """Refine a full three-dimensional segment, such as a network's output.

        `component` is "largest", "left", "right" or a rank by volume (1, 2, ...), for a segment with several large
        components; `probabilitiesNode` is a scalar volume of the network's probabilities, 0 to 1.
        """
        return self._refine(
            lambda: segmentation_from_node(
                segmentationNode, segmentId, component=component, probabilities_node=probabilitiesNode
            ),
            **options,
        )

    def refinePoints(self, node: Any, **options: Any) -> Any:
        """Refine the points of a point list or of a model."""
        return self._refine(lambda: points_from_node(node), **options)

    def exportMesh(self, modelNode: Any, path: str | Path, *, space: str = "LPS") -> None:
        """Write a result as .stl, .ply, .obj or .vtp, in LPS or RAS."""
        known: dict[str, Space] = {"LPS": "LPS", "RAS": "RAS"}
        if space.upper() not in known:
            raise InputError(f'The coordinate system of a file is "LPS" or "RAS", not "{space}".')
        export_model(modelNode, Path(path), space=known[space.upper()])

    def _refine(
        self,
        read: Callable[[], Any],
        *,
        prior: str = "liver",
        model: Any = None,
        device: str = "auto",
        remesh: bool = False,
        settings: dict[str, Any] | None = None,
        imageNode: Any = None,
        onProgress: Callable[[FitProgress], None] | None = None,
    ) -> Any:
        header = read_header(find_prior(prior))
        with warnings.catch_warnings():
            # Show a warning for every case of a batch; by default, Python shows it once per line of code. The script's
            # own filters take precedence.
            warnings.simplefilter("always", DalsWarning, append=True)
            observation = read()
            request = Request(
                observation=observation,
                prior=header.path,
                changes=settings or {},
                device=device,
                image=None if imageNode is None else image_around(imageNode, observation),
                remesh=remesh,
            )
            self._run(request, organ_of(header.name), model, onProgress)
            for warning in self.session.warnings:
                warnings.warn(warning, DalsWarning, stacklevel=3)
        return self.session.model

    def _run(
        self, request: Request, organ: Organ, model: Any, on_progress: Callable[[FitProgress], None] | None
    ) -> None:
        """Start a refinement and wait for its end; `breathe` keeps a window responsive."""
        heard: list[SessionEvent] = []  # handled below: Qt swallows exceptions raised in a slot
        self.session.listeners.append(heard.append)
        try:
            self.session.start(request, organ=organ, model=model)
            while self.session.request is request:
                self.session.wait(_WAIT_S)
                if self._breathe is not None:
                    self._breathe()
                for event in heard:
                    if isinstance(event, FitProgress) and on_progress is not None:
                        on_progress(event)
                heard.clear()
        except BaseException:
            if self.session.request is request:
                self.session.cancel()
            raise
        finally:
            self.session.listeners.remove(heard.append)
        outcome = self.session.outcome
        if isinstance(outcome, FitFailed):
            raise outcome.exception()
        if not isinstance(outcome, FitFinished):
            raise FitCancelledError
