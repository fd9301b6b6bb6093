"""Observations of one organ: contours, points or a segmentation, in RAS millimetres.

Each kind of observation has a module of its own. Importing the package registers them all.
"""

from dals.observations.contours import Contour, Plane
from dals.observations.observation import Observation, kind_named
from dals.observations.planar_contours import PlanarContours
from dals.observations.point_cloud import PointCloud
from dals.observations.segmentation import Segmentation

__all__ = ["Contour", "Observation", "PlanarContours", "Plane", "PointCloud", "Segmentation", "kind_named"]
