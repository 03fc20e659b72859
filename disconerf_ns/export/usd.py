"""An object for simulators: USDZ with its mesh and convex pieces that collide."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import trimesh
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.export.frames import Capture
from disconerf_ns.export.mesh import ObjectMesh
from disconerf_ns.export.mesh_files import linear
from disconerf_ns.files import write_whole

MOST_CORNERS = 64
"""Corners of a convex piece, at most; PhysX takes no more."""

VOXELS = 20_000
"""Voxels in which V-HACD looks at a mesh."""


def check_usd() -> None:
    """Refuse USDZ where usd-core is not installed.

    Raises:
        UserError: it is not installed.
    """
    try:
        import_module("pxr")
    except ImportError as error:
        raise UserError(
            "export: USDZ needs usd-core, which is not installed; run `pip install 'disconerf_ns[usd]'`, or leave usdz "
            "out of --what."
        ) from error


def convex_pieces(mesh: trimesh.Trimesh, most: int) -> list[trimesh.Trimesh]:
    """Convex pieces that together are about a mesh: its hull, or several by V-HACD.

    Args:
        mesh: the mesh.
        most: number of pieces, at most.
    """
    if most == 1:
        return [mesh.convex_hull]
    from trimesh.decomposition import convex_decomposition

    parts = convex_decomposition(mesh, maxConvexHulls=most, maxNumVerticesPerCH=MOST_CORNERS, resolution=VOXELS)
    return [trimesh.Trimesh(part["vertices"], part["faces"], process=False).convex_hull for part in parts]


def write_usdz(path: Path, mesh: ObjectMesh, capture: Capture, pieces: int) -> Path:
    """Write a USDZ package: the mesh with its material, and convex pieces with UsdPhysics' collision API.

    The material is a matt UsdPreviewSurface in the mesh's colours, or under its texture. z is up: the root turns the
    capture's up axis there. `metersPerUnit` is what the capture's unit is known to be, or 1.

    Args:
        path: the file without suffix.
        mesh: vertices in the capture's frame.
        capture: says which way is up, and how long a unit is.
        pieces: convex pieces, at most.
    """
    Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdUtils = _modules("Gf", "Sdf", "Usd", "UsdGeom", "UsdPhysics", "UsdUtils")

    target = path.with_name(f"{path.name}.usdz")
    vertices, faces = mesh.vertices.cpu().double().numpy(), mesh.faces.cpu().numpy()
    with TemporaryDirectory() as folder:
        layer = Path(folder) / f"{path.name}.usdc"
        stage = Usd.Stage.CreateNew(str(layer))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
        UsdGeom.SetStageMetersPerUnit(stage, capture.metres or 1.0)
        UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
        root = UsdGeom.Xform.Define(stage, "/Object")
        root.AddTransformOp().Set(Gf.Matrix4d(*capture.upright(2).T.flatten().tolist()))
        stage.SetDefaultPrim(root.GetPrim())
        UsdPhysics.RigidBodyAPI.Apply(root.GetPrim())
        shape = _define(stage, "/Object/Mesh", vertices, faces)
        shape.CreateNormalsAttr(_vectors(mesh.normals.cpu().numpy()))
        shape.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
        _paint(stage, shape, mesh, Path(folder) / f"{path.name}.png")
        whole = trimesh.Trimesh(vertices, faces, process=False)
        for number, piece in enumerate(convex_pieces(whole, pieces)):
            hull = _define(stage, f"/Object/Collision_{number:02d}", piece.vertices, piece.faces)
            hull.CreatePurposeAttr(UsdGeom.Tokens.guide)
            UsdPhysics.CollisionAPI.Apply(hull.GetPrim())
            UsdPhysics.MeshCollisionAPI.Apply(hull.GetPrim()).CreateApproximationAttr(UsdPhysics.Tokens.convexHull)
        stage.GetRootLayer().Save()
        package = Path(folder) / "package.usdz"
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(package)):
            raise OSError(f"{target}: usd-core could not pack the file")
        write_whole(target, package.read_bytes())
    return target


def _define(stage, place: str, vertices: np.ndarray, faces: np.ndarray):
    """A mesh of triangles on a stage."""
    UsdGeom, Vt = _modules("UsdGeom", "Vt")

    shape = UsdGeom.Mesh.Define(stage, place)
    points = _vectors(vertices)
    shape.CreatePointsAttr(points)
    shape.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    shape.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(faces, np.int32).flatten()))
    shape.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    shape.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(points))
    return shape


def _paint(stage, shape, mesh: ObjectMesh, picture: Path) -> None:
    """Give a shape a mesh's colours, and a material that shows them, or its texture, which is put into a picture."""
    Sdf, UsdGeom, UsdShade, Vt = _modules("Sdf", "UsdGeom", "UsdShade", "Vt")
    types, primvars, place = Sdf.ValueTypeNames, UsdGeom.PrimvarsAPI(shape), shape.GetPath()
    colors = primvars.CreatePrimvar("displayColor", types.Color3fArray, UsdGeom.Tokens.vertex)
    colors.Set(_vectors(linear(mesh.colors.cpu().numpy())))

    def shader(name: str, kind: str, **values):
        made = UsdShade.Shader.Define(stage, place.AppendPath(f"Material/{name}"))
        made.CreateIdAttr(kind)
        for key, (type, value) in values.items():
            made.CreateInput(key, type).Set(value)
        return made

    material = UsdShade.Material.Define(stage, place.AppendPath("Material"))
    matt = {"roughness": (types.Float, 1.0), "metallic": (types.Float, 0.0)}
    surface = shader("Surface", "UsdPreviewSurface", **matt)
    if mesh.texture is None:
        source = shader("Colors", "UsdPrimvarReader_float3", varname=(types.String, "displayColor"))
        color = source.CreateOutput("result", types.Float3)
    else:
        Image.fromarray(mesh.texture.image).save(picture)
        corners = Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(mesh.texture.uv, np.float32))
        primvars.CreatePrimvar("st", types.TexCoord2fArray, UsdGeom.Tokens.vertex).Set(corners)
        places = shader("Places", "UsdPrimvarReader_float2", varname=(types.String, "st"))
        source = shader(
            "Texture",
            "UsdUVTexture",
            file=(types.Asset, Sdf.AssetPath(f"./{picture.name}")),
            sourceColorSpace=(types.Token, "sRGB"),
            wrapS=(types.Token, "clamp"),
            wrapT=(types.Token, "clamp"),
        )
        source.CreateInput("st", types.Float2).ConnectToSource(places.CreateOutput("result", types.Float2))
        color = source.CreateOutput("rgb", types.Float3)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(color)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    UsdShade.MaterialBindingAPI.Apply(shape.GetPrim()).Bind(material)


def _modules(*names: str) -> list[ModuleType]:
    """Modules of usd-core, which tells type checkers nothing."""
    return [import_module(f"pxr.{name}") for name in names]


def _vectors(rows: np.ndarray):
    (Vt,) = _modules("Vt")

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(rows, np.float32))
