"""One case of a data set: its source, its settings, and how its shape is made."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dals.dataset.normalisation import (
    FACES,
    MAX_DEVIATION_MM,
    MAX_VOLUME_CHANGE,
    SMOOTHING_MM,
    SPACING_MM,
    normalise,
)
from dals.dataset.storage import read_metadata, write_shape
from dals.errors import DalsError, DalsWarning, DatasetError, InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.io.coordinates import Space
from dals.io.input_files import LABEL_SUFFIXES, MESH_SUFFIXES, known_suffix
from dals.io.label_maps import read_label_map
from dals.io.meshes import read_mesh
from dals.io.regular_files import LARGEST_IMAGE, check_regular


@dataclass(frozen=True)
class ShapeCase:
    """A shape to make: a source, and all that the result depends on."""

    name: str
    source: Path
    target: Path
    labels: tuple[int, ...] | None
    space: Space | None
    mirror: bool

    @property
    def settings(self) -> str:
        """All that the shape depends on besides its source, as one comparable text."""
        return json.dumps(
            {
                "labels": self.labels,
                "space": self.space,
                "mirror": self.mirror,
                "spacing_mm": SPACING_MM,
                "smoothing_mm": SMOOTHING_MM,
                "facets": FACES,
                "max_deviation_mm": MAX_DEVIATION_MM,
                "max_volume_change": MAX_VOLUME_CHANGE,
            },
            sort_keys=True,
        )

    def absolute(self) -> ShapeCase:
        """The case with paths that hold in any working folder."""
        return replace(self, source=self.source.absolute(), target=self.target.absolute())


def make_shape(case: ShapeCase) -> str | None:
    """Make one shape file; returns why it failed, or None."""
    try:
        digest = _digest(case.source)
        shape = normalise(_read(case), name=case.name, mirror=case.mirror)
        about = {"source": case.source.name, "source_sha256": digest, "settings": case.settings}
        write_shape(shape, case.target, metadata=about)
    except OutputError:
        # A full disk would fail all other cases, too.
        raise
    except DalsError as error:
        return str(error)
    except Exception as error:  # one bad file must not end the run
        return f"Unexpected {type(error).__name__}: {error}"
    return None


def _read(case: ShapeCase) -> TriangleMesh | LabelMap:
    suffix = known_suffix(case.source)
    if suffix in MESH_SUFFIXES:
        return read_mesh(case.source, space=case.space)
    if suffix in LABEL_SUFFIXES:
        return _read_labels(case.source, case.labels)
    raise InputError(
        f"{case.source.name} is neither a mesh nor a label map ({' '.join(MESH_SUFFIXES + LABEL_SUFFIXES)})."
    )


def _read_labels(source: Path, labels: tuple[int, ...] | None) -> LabelMap:
    """The union of the given labels, of which at least one must exist, or of all labels."""
    if labels is None:
        with warnings.catch_warnings():
            # Several labels are expected here.
            warnings.simplefilter("ignore", DalsWarning)
            return read_label_map(source)
    found: list[LabelMap] = []
    missing: InputError | None = None
    for label in labels:
        try:
            found.append(read_label_map(source, label=label))
        except InputError as error:
            missing = error
    if not found:
        raise missing or InputError("No label was asked for.")
    return found[0].with_array(np.logical_or.reduce([part.array for part in found]))


def is_up_to_date(case: ShapeCase) -> bool:
    """Whether this shape exists, made from the same bytes with the same settings."""
    if not case.target.exists():
        return False
    try:
        metadata = read_metadata(case.target)
    except DatasetError:
        return False
    return metadata.get("settings") == case.settings and metadata.get("source_sha256") == _digest(case.source)


def _digest(path: Path) -> str:
    check_regular(path, limit=LARGEST_IMAGE)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
