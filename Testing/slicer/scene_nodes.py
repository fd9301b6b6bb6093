"""Nodes of known content, for the tests of this folder; Slicer has to be there when a function is called."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkThinPlateSplineTransform
from vtkmodules.vtkFiltersHybrid import vtkGridTransform

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.template import icosphere

CENTRE = np.array([20.0, -30.0, 40.0])
RADIUS = 30.0


def sphere(*, radius=RADIUS, centre=CENTRE, level=4) -> TriangleMesh:
    """A closed sphere, faces outwards, RAS mm."""
    template = icosphere(level)
    return TriangleMesh(np.asarray(template.vertices) * radius + centre, np.asarray(template.faces))


def oblique_grid(
    shape_ijk=(70, 60, 40), spacing=(1.2, 1.5, 2.5), angles=(15.0, -20.0, 35.0), centre=CENTRE
) -> LabelMap:
    """An empty grid, oblique and anisotropic unless told otherwise."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * np.asarray(spacing)
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ ((np.asarray(shape_ijk) - 1) / 2)
    return LabelMap(np.zeros(tuple(shape_ijk)[::-1], dtype=bool), matrix, "grid")


def vtk_matrix(array) -> vtkMatrix4x4:
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=float).ravel().tolist())
    return matrix


def volume_node(scene, grid, *, name="CT"):
    """A volume of zeros on a grid."""
    image = vtkImageData()
    image.SetDimensions(*grid.array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.zeros(grid.array.size, dtype=np.int16), deep=True))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(vtk_matrix(grid.ijk_to_ras))
    node.SetAndObserveImageData(image)
    return node


def curve_node(scene, points, *, name="axial", kind="vtkMRMLMarkupsClosedCurveNode"):
    """Markups through control points (N, 3), in the node's own coordinates."""
    node = scene.AddNewNodeByClass(kind, name)
    for point in points:
        node.AddControlPoint(*np.asarray(point, dtype=float).tolist())
    return node


def circle(axis, offset=0.0, *, count=28, centre=CENTRE, radius=RADIUS):
    """Control points (count, 3) along the section of a sphere by the plane across an axis."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.zeros((count, 3))
    points[:, [other for other in range(3) if other != axis]] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points *= np.sqrt(radius**2 - offset**2)
    points[:, axis] = offset
    return points + centre


def segmentation_node(scene, grid=None, *, name="Segmentation"):
    """A segmentation without segments, on a volume's grid if one is given."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    if grid is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node(scene, grid))
    return node


def oriented_image(label_map, *, offset=(0, 0, 0)):
    """A label map as Slicer keeps it; `offset` (I, J, K) is the extent's first voxel."""
    from slicer import vtkOrientedImageData

    image = vtkOrientedImageData()
    matrix = label_map.ijk_to_ras.copy()
    matrix[:3, 3] -= matrix[:3, :3] @ np.asarray(offset)
    image.SetImageToWorldMatrix(vtk_matrix(matrix))
    last = np.array(label_map.array.shape[::-1]) - 1
    image.SetExtent(*np.stack([offset, offset + last], axis=1).ravel().tolist())
    image.GetPointData().SetScalars(numpy_to_vtk(label_map.array.astype(np.uint8).ravel(), deep=True))
    return image


def add_segment(node, label_map, *, name="liver", offset=(0, 0, 0)) -> str:
    """Add a mask as a segment, in a layer of its own."""
    from slicer import vtkSegment

    segment = vtkSegment()
    segment.SetName(name)
    segment.AddRepresentation("Binary labelmap", oriented_image(label_map, offset=offset))
    assert node.GetSegmentation().AddSegment(segment)
    return node.GetSegmentation().GetSegmentIdBySegment(segment)


def add_surface_segment(node, mesh, *, name="liver") -> str:
    """Add a surface as a segment to a segmentation of closed surfaces."""
    from slicer import vtkSegment

    from dals.geometry.vtk_bridge import polydata_of

    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segment = vtkSegment()
    segment.SetName(name)
    segment.AddRepresentation("Closed surface", polydata_of(mesh))
    assert node.GetSegmentation().AddSegment(segment)
    return node.GetSegmentation().GetSegmentIdBySegment(segment)


def rasterised(grid, mesh=None) -> LabelMap:
    return mesh_to_label_map(sphere() if mesh is None else mesh, grid)


def stored_voxels(node, segment_id):
    """The image that holds a segment: its extent, geometry and voxels, copied."""
    image = node.GetSegmentation().GetSegment(segment_id).GetRepresentation("Binary labelmap")
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    geometry = [matrix.GetElement(row, column) for row in range(4) for column in range(4)]
    return image.GetExtent(), geometry, vtk_to_numpy(image.GetPointData().GetScalars()).tobytes()


LINEAR = np.eye(4)
LINEAR[:3, :3] = Rotation.from_euler("xyz", (20.0, 35.0, -50.0), degrees=True).as_matrix()
LINEAR[:3, 3] = (15.0, -40.0, 70.0)


def under_linear_transform(scene, node, matrix=LINEAR):
    """Put a node under a linear transform; returns how points (N, 3) move."""
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "linear")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return lambda points: points @ matrix[:3, :3].T + matrix[:3, 3]


def under_thin_plate_transform(scene, node):
    """Put a node under a smooth warp of some millimetres; returns how points (N, 3) move."""
    rng = np.random.default_rng(4)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 60.0 + CENTRE
    source, target = vtkPoints(), vtkPoints()
    for corner, shift in zip(corners, rng.normal(scale=6.0, size=corners.shape), strict=True):
        source.InsertNextPoint(*corner)
        target.InsertNextPoint(*(corner + shift + [30.0, 0.0, -10.0]))
    spline = vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    return _under(scene, node, spline)


def under_grid_transform(scene, node):
    """Put a node under a grid of displacements; returns how points (N, 3) move."""
    image = vtkImageData()
    image.SetDimensions(9, 9, 9)
    image.SetSpacing(25.0, 25.0, 25.0)
    image.SetOrigin(*(CENTRE - 100.0))
    k, j, i = np.indices((9, 9, 9)) / 8.0 * np.pi
    shifts = np.stack([8 * np.sin(j) + 20, 6 * np.sin(k), 7 * np.sin(i) - 15], axis=-1)
    image.GetPointData().SetScalars(numpy_to_vtk(shifts.reshape(-1, 3), deep=True))
    grid = vtkGridTransform()
    grid.SetDisplacementGridData(image)
    grid.SetInterpolationModeToCubic()
    return _under(scene, node, grid)


def _under(scene, node, transform):
    parent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    parent.SetAndObserveTransformToParent(transform)
    node.SetAndObserveTransformNodeID(parent.GetID())
    return lambda points: np.array([transform.TransformPoint(point) for point in np.asarray(points).tolist()])
