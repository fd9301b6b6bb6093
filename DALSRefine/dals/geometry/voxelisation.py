"""Closed surfaces to label maps and back."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from dals.geometry.isosurface import flying_edges
from dals.geometry.label_map import LabelMap, voxels_around
from dals.geometry.mesh import TriangleMesh
from dals.geometry.transforms import apply_matrix
from dals.geometry.vtk_bridge import polydata_of


def mesh_to_label_map(mesh: TriangleMesh, grid: LabelMap) -> LabelMap:
    """Mark the voxels whose centres lie inside a closed mesh.

    The mesh is rasterised in voxel indices, so oblique, anisotropic and left-handed grids need no special case.
    Parts outside the grid are cut off.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed surface, RAS millimetres; faces may point either way.
    grid : LabelMap
        Gives shape and geometry; its own mask is ignored.

    Returns
    -------
    LabelMap
        On the grid of `grid`, with its name.
    """
    array = np.zeros(grid.array.shape, dtype=np.bool_)
    if len(mesh.faces) == 0:
        return grid.with_array(array)
    ijk = apply_matrix(grid.ras_to_ijk, mesh.vertices)
    # Rasterise only the bounding box: an organ fills little of a body scan.
    around = voxels_around(ijk[mesh.faces.ravel()], array.shape)
    if around is None:
        return grid.with_array(array)
    first, last = around
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(polydata_of(TriangleMesh(ijk, mesh.faces)))
    stencil.SetOutputOrigin(0.0, 0.0, 0.0)
    stencil.SetOutputSpacing(1.0, 1.0, 1.0)
    stencil.SetOutputWholeExtent(*np.stack([first, last], axis=1).ravel().tolist())
    stencil.SetTolerance(0.0)
    image = vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    inside = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape((last - first + 1)[::-1])
    box = tuple(slice(low, high + 1) for low, high in zip(first[::-1], last[::-1], strict=True))
    array[box] = inside != 0
    return grid.with_array(array)


def label_map_to_mesh(label_map: LabelMap) -> TriangleMesh:
    """Surface midway between marked and unmarked voxel centres, closed at the border of the image.

    It keeps all components, cavities and the staircase: it is meant for display, not for training.

    Parameters
    ----------
    label_map : LabelMap

    Returns
    -------
    TriangleMesh
        RAS millimetres.
    """
    label_map = label_map if label_map.is_empty else label_map.cropped()
    padded = np.pad(label_map.array, 1).astype(np.uint8)
    surface = flying_edges(padded, 0.5)
    matrix = label_map.ijk_to_ras
    vertices = apply_matrix(matrix, surface.vertices - 1)
    faces = surface.faces if np.linalg.det(matrix[:3, :3]) > 0 else surface.faces[:, ::-1]
    return TriangleMesh(vertices, faces)
