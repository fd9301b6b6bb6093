"""World coordinates of nodes under transforms, linear or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer import vtkMRMLTransformNode
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

from dals.geometry.mesh import FloatArray


def array_of(matrix: vtkMatrix4x4) -> FloatArray:
    """A VTK matrix as (4, 4) float64."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_matrix_of(matrix: FloatArray) -> vtkMatrix4x4:
    """A (4, 4) array as a VTK matrix."""
    result = vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel().tolist())
    return result


def matrix_to_world(node: Any) -> FloatArray | None:
    """From a node's own coordinates to world coordinates, (4, 4) RAS mm; None under a non-linear transform."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return array_of(matrix)


def transform_to_world(node: Any) -> vtkGeneralTransform:
    """From a node's own coordinates to world coordinates, linear or not."""
    transform = vtkGeneralTransform()
    vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, transform)
    return transform


def points_to_world(node: Any, points: FloatArray) -> FloatArray:
    """Transform points (N, 3) from a node's own coordinates to world coordinates, RAS mm."""
    if node.GetParentTransformNode() is None:
        return np.array(points, dtype=np.float64)
    return _transformed(transform_to_world(node), points)


def points_from_world(node: Any, points: FloatArray) -> FloatArray:
    """Transform points (N, 3) from world coordinates, RAS mm, to a node's own."""
    if node.GetParentTransformNode() is None:
        return np.array(points, dtype=np.float64)
    transform = vtkGeneralTransform()
    vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), transform)
    return _transformed(transform, points)


def is_mirrored(node: Any) -> bool:
    """Whether a node is under a linear transform that mirrors, which turns its surface inside out."""
    matrix = matrix_to_world(node)
    return matrix is not None and bool(np.linalg.det(matrix[:3, :3]) < 0)


def _transformed(transform: vtkGeneralTransform, points: FloatArray) -> FloatArray:
    given, result = vtkPoints(), vtkPoints()
    result.SetDataTypeToDouble()
    given.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3), deep=True))
    transform.TransformPoints(given, result)
    return np.array(vtk_to_numpy(result.GetData()), dtype=np.float64).reshape(-1, 3)
