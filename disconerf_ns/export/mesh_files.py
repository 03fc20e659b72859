"""Meshes and points in files: GLB, PLY and OBJ, by trimesh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import trimesh
from PIL import Image
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.obj import export_obj
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from disconerf_ns import __version__
from disconerf_ns.export.frames import Capture
from disconerf_ns.export.mesh import ObjectMesh
from disconerf_ns.export.ply import ply_bytes
from disconerf_ns.files import write_whole

MeshFormat = Literal["glb", "ply", "obj"]


def write_mesh(path: Path, mesh: ObjectMesh, capture: Capture, kind: MeshFormat) -> list[Path]:
    """Write a mesh in the capture's frame; every file is whole or not there.

    GLB is +y up and in metres by the glTF standard: its node turns the capture's up axis there, and scales to metres
    where it is known how long a unit is; its vertices are the capture's. PLY has vertex colours and no texture. OBJ has
    vertex colours, or a texture in two files beside it. How well cameras see a vertex is the property `seen` in PLY and
    the attribute `_SEEN` in GLB; OBJ cannot hold it.

    Args:
        path: the file without suffix.
        mesh: vertices in the capture's frame.
        capture: says which way is up, and how long a unit is.
        kind: the format.
    Returns:
        The files, the mesh's first.
    """
    target = path.with_name(f"{path.name}.{kind}")
    made = as_trimesh(mesh, path.name, kind)
    if kind == "glb":
        scene = trimesh.Scene()
        scene.add_geometry(made, path.name, path.name, transform=capture.glb_node)
        return _written({target: export_glb(scene, include_normals=True, tree_postprocessor=finish)})
    if kind == "ply":
        return _written({target: made.export(file_type="ply", vertex_normal=True)})
    text, beside = export_obj(made, include_normals=True, return_texture=True, mtl_name=f"{path.name}.mtl")
    others = {path.with_name(name): content for name, content in beside.items()}
    return _written({target: f"o {path.name}\n{text}", **others})


def finish(tree: dict[str, Any]) -> None:
    """Say in a glTF file who made it, and give meshes without a material a rough one: Blender shows no vertex colours
    without any, and the standard's own one is a metal."""
    tree["asset"]["generator"] = f"disconerf_ns {__version__}"
    primitives = [each for mesh in tree["meshes"] for each in mesh["primitives"] if "material" not in each]
    if primitives:
        tree.setdefault("materials", []).append(
            {"name": "vertex colours", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}
        )
    for each in primitives:
        each["material"] = len(tree["materials"]) - 1


def write_points(path: Path, mesh: ObjectMesh, count: int) -> Path:
    """Write points that lie evenly on a mesh, with its normals, colours and how well cameras see them, as PLY.

    Args:
        path: the file without suffix.
        mesh: vertices in the capture's frame.
        count: number of points.
    """
    shape = as_trimesh(mesh, path.name, "ply")
    points, face, *_ = trimesh.sample.sample_surface(shape, count, seed=0)
    shares = trimesh.triangles.points_to_barycentric(shape.triangles[face], points)[..., None]
    corners = mesh.faces.cpu().numpy()[face]
    normals = (mesh.normals.cpu().numpy()[corners] * shares).sum(1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    colors = _bytes((mesh.colors.cpu().numpy()[corners] * shares).sum(1))
    seen = (mesh.seen.cpu().numpy()[corners][..., None] * shares).sum(1)
    kinds = [
        *((name, "f4") for name in ("x", "y", "z", "nx", "ny", "nz")),
        *((name, "u1") for name in ("red", "green", "blue")),
        ("seen", "f4"),
    ]
    rows = np.empty(count, kinds)
    for (name, _), column in zip(kinds, np.concatenate([points, normals, colors, seen], 1).T):
        rows[name] = column
    return _written({path.with_name(f"{path.name}.ply"): ply_bytes(rows)})[0]


def as_trimesh(mesh: ObjectMesh, name: str, kind: MeshFormat) -> trimesh.Trimesh:
    """A mesh as trimesh holds it, with the looks that a format can have."""
    made = trimesh.Trimesh(
        mesh.vertices.cpu().double().numpy(),
        mesh.faces.cpu().numpy(),
        vertex_normals=mesh.normals.cpu().double().numpy(),
        vertex_attributes={"_SEEN" if kind == "glb" else "seen": mesh.seen.cpu().float().numpy()},
        process=False,
    )
    if mesh.texture is None or kind == "ply":
        shown = mesh.colors.cpu().numpy()
        colors = _bytes(linear(shown) if kind == "glb" else shown)  # glTF's vertex colours are linear
        made.visual = ColorVisuals(made, vertex_colors=np.concatenate([colors, np.full_like(colors[:, :1], 255)], 1))
        return made
    image = Image.fromarray(mesh.texture.image)
    if kind == "glb":
        material = PBRMaterial(name=name, baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0)
    else:
        white, black = [255, 255, 255, 255], [0, 0, 0, 255]
        material = SimpleMaterial(name=name, image=image, diffuse=white, ambient=white, specular=black)
    made.visual = TextureVisuals(mesh.texture.uv, material=material)
    return made


def linear(colors: np.ndarray) -> np.ndarray:
    """Light of sRGB values, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(colors <= 0.04045, colors / 12.92, ((np.maximum(colors, 0.04045) + 0.055) / 1.055) ** 2.4)


def _bytes(colors: np.ndarray) -> np.ndarray:
    return (255 * np.clip(colors, 0, 1) + 0.5).astype(np.uint8)


def _written(files: Mapping[Path, Any]) -> list[Path]:
    """Write files, the last one first: a mesh is there only once what it names is."""
    for path, content in reversed([*files.items()]):
        write_whole(path, content)
    return list(files)
