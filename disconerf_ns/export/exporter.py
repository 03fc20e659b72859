"""The files of many objects, and the manifest that says which is which."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.consoles import track
from disconerf_ns.errors import UserError, reason
from disconerf_ns.evaluation.views import EvaluatedRun, dataset_of, views_of
from disconerf_ns.export.colors import UNSEEN, colors_of, lines_of_sight
from disconerf_ns.export.frames import Capture
from disconerf_ns.export.joined import joined
from disconerf_ns.export.manifest_row import manifest_row
from disconerf_ns.export.mesh import ObjectMesh, surface
from disconerf_ns.export.mesh_files import MeshFormat, as_trimesh, write_mesh, write_points
from disconerf_ns.export.texture import textured
from disconerf_ns.export.thumbnail import write_thumbnail
from disconerf_ns.export.usd import write_usdz
from disconerf_ns.export.view_masks import write_alphas, write_labels
from disconerf_ns.files import write_whole
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId, SceneObject

MANIFEST = "manifest.json"
VERSION = 1
BESIDE = {".mtl": "material", ".png": "texture"}
"""Kinds of the files that lie beside a mesh, by suffix."""
What = Literal["meshes", "points", "thumbnails", "masks", "alphas", "usdz"]


class Exported(NamedTuple):
    """The manifest of an export, without and with earlier ones in its folder."""

    added: dict[str, Any]
    """The manifest of this export alone."""
    manifest: dict[str, Any]
    """The content of manifest.json, which also lists files of earlier exports of the same scene."""


@dataclass(frozen=True)
class ExportOptions:
    """What is written of each object, and how."""

    what: Collection[What] = ("meshes", "points", "thumbnails")
    formats: Collection[MeshFormat] = ("glb", "ply")
    resolution: int = 96
    """Cubes along the longest side of an object, at least; more where thin parts would be lost."""
    faces: int = 30_000
    """Faces of a mesh, at most; 0 for all."""
    watertight: bool = True
    """Whether the surface is closed where no training camera sees it."""
    texture: int = 0
    """Height and width of a baked picture in pixels; 0 for colours at the vertices."""
    points: int = 50_000
    """Points of a point cloud."""
    thumbnail: int = 256
    """Height and width of a thumbnail in pixels."""
    hulls: int = 1
    """Convex pieces that collide, at most."""
    downscale: int = 1
    """Views are looked at at 1 / downscale of their size."""


def export(
    run: EvaluatedRun,
    scene: ArrangedScene,
    objects: Sequence[SceneObject],
    capture: Capture,
    folder: Path,
    options: ExportOptions,
    left_out: Mapping[str, str],
    source: Mapping[str, Any] = MappingProxyType({}),
    earlier: Mapping[str, Any] = MappingProxyType({}),
    around: Collection[str] = (),
) -> Exported:
    """Write the files of objects, and `manifest.json` last; an object that fails is said, and does not stop others.

    Args:
        run: the loaded run.
        scene: its scene, as edited.
        objects: the objects to write.
        capture: the frame of all files.
        folder: where they are written.
        options: what is written, and how.
        left_out: why others are not written, by name.
        source: which scene it is, as `source_of` says it.
        earlier: the manifest of an earlier export of it into the folder, as `earlier_in` reads it; empty without one.
        around: names of objects of `left_out` that label maps show all the same.
    Raises:
        OSError: a file cannot be written.
    """
    rows, failed = [], dict(left_out)
    for each in track(objects, "objects"):
        try:
            rows.append(_export_object(run, scene, each, capture, folder, options))
        except OSError:
            raise
        except Exception as error:  # whatever a library makes of one object, the others are written
            failed[each.name] = _why(each, error)
    there = [each for each in objects if each.name in {row["name"] for row in rows}]
    views, files, labelled, downscale = views_of(run, "train"), {}, [], {}
    if "masks" in options.what:
        names = {each.name for each in there} | set(earlier.get("labelled", ())) | set(around)
        labelled = [each for each in scene.objects if each.name in names]
        write_labels(folder / "masks", run, scene, labelled, views, options.downscale, track)
        files |= {"labels": "masks/labels", "coco": "masks/coco.json"}
        downscale["labels"] = options.downscale
    if "alphas" in options.what:
        write_alphas(folder / "masks", run, scene, there, views, options.downscale, track)
        files |= {"alpha": "masks/alpha"}
        downscale["alpha"] = options.downscale
        for row in rows:
            row["files"]["alpha"] = f"{files['alpha']}/{row['file_name']}"
    added = {
        "version": VERSION,
        "source": dict(source),
        "frame": capture.facts(),
        "glb": {"up_axis": "+y", "node": capture.glb_node.tolist()},
        "granularity": scene.edit.granularity,
        "files": files,
        "downscale": downscale,
        "labelled": [each.name for each in labelled],
        "objects": rows,
        "left_out": [{"name": name, "reason": why} for name, why in failed.items()],
    }
    manifest = joined(earlier, added, folder, [each.name for each in scene.objects])
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2))
    return Exported(added, manifest)


def _export_object(
    run: EvaluatedRun, scene: ArrangedScene, each: SceneObject, capture: Capture, folder: Path, options: ExportOptions
) -> dict[str, Any]:
    """Write one object's own files; its row of the manifest. A file that cannot be written costs no other.

    Raises:
        UserError: none can be written.
    """
    cameras, what = dataset_of(run, "train").cameras, options.what
    files: dict[str, str] = {}
    missing: dict[str, str] = {}
    row = manifest_row(scene, each, capture.frame)

    def write(kind: str, made: Callable[[], Sequence[Path]]) -> None:
        try:
            first, *others = made()
            kinds = {kind: first} | {f"{kind}_{BESIDE[path.suffix]}": path for path in others}
            files.update({name: path.relative_to(folder).as_posix() for name, path in kinds.items()})
        except OSError:
            raise
        except Exception as error:  # as above, of one file
            missing[kind] = _why(each, error)

    if {"meshes", "points", "usdz"} & set(what):
        made = made_mesh(scene, each, cameras, options)
        mesh = made.moved(scene.edit.standing_of(each.id)[0]).moved(capture.frame)
        row |= mesh_facts(mesh)
        if "meshes" in what:
            for kind in options.formats:
                write(kind, lambda kind=kind: write_mesh(folder / "meshes" / each.file_name, mesh, capture, kind))
        if "points" in what:
            write("points", lambda: [write_points(folder / "points" / each.file_name, mesh, options.points)])
        if "usdz" in what:
            write("usdz", lambda: [write_usdz(folder / "usdz" / each.file_name, mesh, capture, options.hulls)])
    if "thumbnails" in what:
        path = folder / "thumbnails" / f"{each.file_name}.png"
        write("thumbnail", lambda: [write_thumbnail(path, scene, each, cameras, options.thumbnail)])
    if missing and not files:
        raise UserError(next(iter(missing.values())))
    return row | {"files": files, "missing": missing}


def _why(each: SceneObject, error: Exception) -> str:
    """Why an object, or a file of it, is not written."""
    if isinstance(error, UserError):
        return str(error).removeprefix("export: ")
    return f"{each.label} could not be written: {reason(error)}"


def made_mesh(scene: ArrangedScene, each: SceneObject, cameras, options: ExportOptions) -> ObjectMesh:
    """The mesh of an object in scene coordinates, with its colours, or under a texture.

    Raises:
        UserError: the object has no surface.
    """
    mesh, grid = surface(scene, each, cameras, options.resolution, options.faces)

    def seen(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> tuple[Tensor, Tensor]:
        with scene.trained.radiance.still():
            return lines_of_sight(grid, cameras, points, normals, lambda x: scene.bodies.looked_into(x, each.id))

    def colors(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return colors_of(scene, each.id, points, normals, *seen(points, normals))

    weights, directions = seen(mesh.vertices, mesh.normals)
    shown = colors_of(scene, each.id, mesh.vertices, mesh.normals, weights, directions)
    mesh = replace(mesh, colors=shown, seen=weights[0].clamp(0, 1))
    if not options.watertight:
        mesh = mesh.only(mesh.seen >= UNSEEN)
        if len(mesh) == 0:
            raise UserError(
                f"export: {each.label} has no surface that a training camera sees; leave out --no-watertight."
            )
    return textured(mesh, colors, options.texture) if options.texture else mesh


def mesh_facts(mesh: ObjectMesh) -> dict[str, Any]:
    """Numbers of a mesh: of how many cubes, what it leaves out, its area in square units and the fraction of it that a
    camera sees, whether it is closed, and the volume in cubic units that it then encloses, else None."""
    import trimesh

    shape = as_trimesh(mesh, "", "ply")
    seen = (mesh.seen >= UNSEEN)[mesh.faces].float().mean(-1).cpu().numpy()
    whole = trimesh.Trimesh(shape.vertices, shape.faces, process=mesh.texture is not None)
    return {
        "resolution": mesh.resolution,
        "lost": round(mesh.lost, 4),
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "area": float(f"{shape.area:.6g}"),
        "seen": round(float(np.average(seen, weights=shape.area_faces)), 4),
        "watertight": bool(whole.is_watertight),
        "mesh_volume": float(f"{whole.volume:.6g}") if whole.is_watertight else None,
    }


def boxed_around(scene: ArrangedScene, places: Float[Tensor, "cameras 3"]) -> set[ObjectId]:
    """The objects in whose box most training cameras stand: walls, and what is beyond the scene.

    A floor below the cameras, which films show as they show walls (`filming.appearance.surrounds`), is none of them.
    """
    boxes = {each.id: torch.tensor(each.box).to(places) for each in scene.objects}
    return {id for id, (low, high) in boxes.items() if ((places > low) & (places < high)).all(-1).float().mean() > 0.5}
