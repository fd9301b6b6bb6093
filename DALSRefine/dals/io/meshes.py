"""Reading and writing triangle meshes, compatible with Slicer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkCleanPolyData
from vtkmodules.vtkIOGeometry import vtkOBJReader, vtkSTLReader, vtkSTLWriter
from vtkmodules.vtkIOLegacy import vtkPolyDataReader
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLPolyDataWriter

from dals.errors import InputError, OutputError
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import mesh_of, points_of, polydata_of, polydata_of_polygons
from dals.io.atomic import atomic_path, check_writable
from dals.io.coordinates import DEFAULT_SPACE, Space, checked_space, from_ras, space_named_in, to_ras
from dals.io.mesh_counts import check_counts
from dals.io.ply import read_ply
from dals.io.ply_output import write_ply
from dals.io.regular_files import LARGEST_MESH, check_regular
from dals.io.vtk_messages import captured_vtk_messages

READABLE_SUFFIXES = (".ply", ".stl", ".obj", ".vtk", ".vtp")
WRITABLE_SUFFIXES = (".stl", ".ply", ".obj", ".vtp")
_SPLIT_VERTICES = (".stl", ".obj")
"""Formats that may repeat a vertex for each face."""


def read_mesh(path: str | os.PathLike[str], *, space: Space | None = None) -> TriangleMesh:
    """Read a surface as triangles.

    Parameters
    ----------
    path : path-like
        A .ply, .stl, .obj, .vtk (polydata) or .vtp file in millimetres.
    space : "LPS", "RAS" or None
        The coordinate system of a file that names none; None means LPS. A name in the file wins: `SPACE=LPS`
        in an STL header, a comment or a VTK title, or a field `SPACE` in VTP.

    Returns
    -------
    TriangleMesh
        RAS millimetres, with the file's face orientation.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or holds no faces or coordinates that are not finite.
    """
    path = Path(path)
    polydata, named = read_polydata(path)
    try:
        mesh = mesh_of(polydata)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    if len(mesh.faces) == 0:
        raise InputError(f"{path} holds no faces.")
    if not np.isfinite(mesh.vertices).all():
        raise InputError(f"{path} holds coordinates that are not finite numbers.")
    return TriangleMesh(to_ras(mesh.vertices, named or space or DEFAULT_SPACE), mesh.faces)


def read_polydata(path: Path) -> tuple[vtkPolyData, Space | None]:
    """Read a mesh file without conversion, and the coordinate system that it names, if any.

    Raises
    ------
    InputError
        If the file is missing, of another kind or unreadable.
    """
    suffix = path.suffix.lower()
    if suffix not in READABLE_SUFFIXES:
        raise InputError(f"{path} is no mesh file that can be read; these are: {', '.join(READABLE_SUFFIXES)}.")
    check_regular(path, limit=LARGEST_MESH)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is an empty file.")
    check_counts(path)
    if suffix == ".ply":
        content = read_ply(path)
        return polydata_of_polygons(content.vertices, content.connectivity, content.sizes), space_named_in(
            content.comments
        )
    with captured_vtk_messages() as messages:
        reader = _reader(suffix)
        reader.SetFileName(str(path))
        try:
            reader.Update()
        except (MemoryError, RuntimeError, OSError) as error:
            raise InputError(f"{path} cannot be read as a {suffix} mesh.") from error
        polydata = vtkPolyData()
        polydata.ShallowCopy(reader.GetOutput())
        if messages.has_errors or polydata.GetNumberOfPoints() == 0:
            raise InputError(f"{path} cannot be read as a {suffix} mesh: it is damaged, empty or of another kind.")
        named = space_named_in(_header(reader, polydata))
        if suffix in _SPLIT_VERTICES and polydata.GetNumberOfPolys() > 0 and np.isfinite(points_of(polydata)).all():
            polydata = _without_duplicates(polydata)
    return polydata, named


def check_mesh_writable(path: str | os.PathLike[str]) -> None:
    """Check, before a long computation, that `write_mesh` can write to `path`.

    Raises
    ------
    OutputError
        For an unknown extension, or a missing or read-only folder.
    """
    if Path(path).suffix.lower() not in WRITABLE_SUFFIXES:
        raise OutputError(f"Cannot write {path}: the name must end in one of {', '.join(WRITABLE_SUFFIXES)}.")
    check_writable(path)


def write_mesh(
    path: str | os.PathLike[str],
    mesh: TriangleMesh,
    *,
    space: Space = DEFAULT_SPACE,
    point_values: Mapping[str, FloatArray] | None = None,
) -> None:
    """Write a surface as .stl (binary), .ply (binary), .obj or .vtp.

    Parameters
    ----------
    path : path-like
        An existing file is replaced once the new one is complete.
    mesh : TriangleMesh
        RAS millimetres.
    space : "LPS" or "RAS"
        The coordinate system of the file. The file names it as Slicer does.
    point_values : mapping of str to (V,), optional
        A number for each vertex under a name without spaces. Only .vtp and .ply hold them.

    Raises
    ------
    OutputError
        For an unknown extension or an empty mesh, or if the file cannot be written.
    """
    path = Path(path)
    check_mesh_writable(path)
    if len(mesh.faces) == 0 or not np.isfinite(mesh.vertices).all():
        raise OutputError(f"Cannot write {path}: the mesh is empty or holds coordinates that are not finite.")
    mesh = TriangleMesh(from_ras(mesh.vertices, checked_space(space)), mesh.faces)
    with atomic_path(path) as temporary, captured_vtk_messages() as messages:
        _WRITERS[path.suffix.lower()](temporary, mesh, space, dict(point_values or {}))
        if messages.has_errors or not _is_complete(temporary, mesh):
            raise OutputError(f"Could not write {path}: the disk may be full.")


def _reader(suffix: str) -> Any:
    if suffix == ".stl":
        return vtkSTLReader()
    if suffix == ".obj":
        return vtkOBJReader()
    return vtkPolyDataReader() if suffix == ".vtk" else vtkXMLPolyDataReader()


def _header(reader: Any, polydata: vtkPolyData) -> str | None:
    """The text that may name the coordinate system."""
    if isinstance(reader, vtkOBJReader):
        return str(reader.GetComment() or "")
    if isinstance(reader, (vtkSTLReader, vtkPolyDataReader)):
        return str(reader.GetHeader() or "")
    field = polydata.GetFieldData().GetAbstractArray("SPACE")
    if isinstance(field, vtkStringArray) and field.GetNumberOfValues():
        return f"SPACE={field.GetValue(0)}"
    return None


def _without_duplicates(polydata: vtkPolyData) -> vtkPolyData:
    ids = vtk_to_numpy(polydata.GetPolys().GetConnectivityArray())
    if ids.min() < 0 or ids.max() >= polydata.GetNumberOfPoints():
        return polydata
    clean = vtkCleanPolyData()
    clean.SetInputData(polydata)
    clean.SetTolerance(0.0)
    clean.PointMergingOn()
    clean.Update()
    return clean.GetOutput()


_Values = Mapping[str, FloatArray]


def _write_stl(path: Path, mesh: TriangleMesh, space: Space, values: _Values) -> None:
    writer = vtkSTLWriter()
    writer.SetFileTypeToBinary()
    writer.SetHeader(f"DALSRefine output. SPACE={space}")
    _run(writer, path, mesh)


def _write_ply(path: Path, mesh: TriangleMesh, space: Space, values: _Values) -> None:
    write_ply(path, mesh, comments=[f"SPACE={space}"], values=values)


def _write_vtp(path: Path, mesh: TriangleMesh, space: Space, values: _Values) -> None:
    writer = vtkXMLPolyDataWriter()
    writer.SetDataModeToAppended()
    polydata = polydata_of(mesh)
    field = vtkStringArray()
    field.SetName("SPACE")
    field.InsertNextValue(space)
    polydata.GetFieldData().AddArray(field)
    for name, numbers in values.items():
        array = numpy_to_vtk(np.asarray(numbers, dtype=np.float32), deep=True)
        array.SetName(name)
        polydata.GetPointData().AddArray(array)
    writer.SetInputData(polydata)
    writer.SetFileName(str(path))
    writer.Write()


def _write_obj(path: Path, mesh: TriangleMesh, space: Space, values: _Values) -> None:
    # vtkOBJWriter has no comments, and vtkOBJExporter needs a render window.
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"# DALSRefine output. SPACE={space}\n")
        np.savetxt(file, mesh.vertices, fmt="v %.6f %.6f %.6f")
        np.savetxt(file, mesh.faces + 1, fmt="f %d %d %d")


def _run(writer: Any, path: Path, mesh: TriangleMesh) -> None:
    writer.SetInputData(polydata_of(mesh))
    writer.SetFileName(str(path))
    writer.Write()


def _is_complete(path: Path, mesh: TriangleMesh) -> bool:
    """Whether a file holds the whole mesh: the PLY writer does not notice a full disk."""
    if path.suffix.lower() != ".ply":
        return True
    try:
        written = read_ply(path)
    except InputError:
        return False
    return len(written.vertices) == len(mesh.vertices) and len(written.sizes) == len(mesh.faces)


_WRITERS = {".stl": _write_stl, ".ply": _write_ply, ".obj": _write_obj, ".vtp": _write_vtp}
