"""Deep active latent surfaces: reconstruct an organ's whole surface from sparse observations.

Observations and resulting triangle meshes are in patient millimetres (RAS). The package does not depend on 3D Slicer.

>>> import dals
>>> contours = dals.read_contours("axial.mrk.json", "coronal.mrk.json", "sagittal.mrk.json")  # doctest: +SKIP
>>> result = dals.refine(contours, "liver")  # doctest: +SKIP
>>> dals.write_mesh("liver.stl", result.mesh)  # doctest: +SKIP

Importing the package is quick: numpy, torch and VTK are imported when a name that needs them is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dals.errors import DalsError, DalsWarning, InputError
    from dals.fit_settings import FitSettings
    from dals.geometry.label_map import LabelMap
    from dals.geometry.mesh import TriangleMesh
    from dals.geometry.volume import Volume
    from dals.io.meshes import read_mesh, write_mesh
    from dals.io.observation_files import read_contours, read_painted_slices, read_points, read_segmentation
    from dals.io.volumes import read_volume
    from dals.model.prior import ShapePrior, load_prior
    from dals.observations import Contour, Observation, PlanarContours, PointCloud, Segmentation
    from dals.refinement import Refinement, refine, refine_together

__version__ = "0.1.0"

_HOMES = {
    "dals.errors": ("DalsError", "DalsWarning", "InputError"),
    "dals.fit_settings": ("FitSettings",),
    "dals.geometry.label_map": ("LabelMap",),
    "dals.geometry.mesh": ("TriangleMesh",),
    "dals.geometry.volume": ("Volume",),
    "dals.io.meshes": ("read_mesh", "write_mesh"),
    "dals.io.observation_files": ("read_contours", "read_painted_slices", "read_points", "read_segmentation"),
    "dals.io.volumes": ("read_volume",),
    "dals.model.prior": ("ShapePrior", "load_prior"),
    "dals.observations": ("Contour", "Observation", "PlanarContours", "PointCloud", "Segmentation"),
    "dals.refinement": ("Refinement", "refine", "refine_together"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Contour",
    "DalsError",
    "DalsWarning",
    "FitSettings",
    "InputError",
    "LabelMap",
    "Observation",
    "PlanarContours",
    "PointCloud",
    "Refinement",
    "Segmentation",
    "ShapePrior",
    "TriangleMesh",
    "Volume",
    "__version__",
    "load_prior",
    "read_contours",
    "read_mesh",
    "read_painted_slices",
    "read_points",
    "read_segmentation",
    "read_volume",
    "refine",
    "refine_together",
    "write_mesh",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dals' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
