"""Deep active latent surfaces: a whole organ's surface from very little.

The package knows nothing of 3D Slicer: it takes observations in patient millimetres
(RAS) and gives back triangle meshes in the same coordinates.
"""

__version__ = "0.1.0"
