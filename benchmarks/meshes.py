"""Exported meshes beside the true surfaces of a made scene, where training views saw them.

    python -m benchmarks.meshes --run outputs/table/disconerf-small/TIME/config.yml --layout table

Distances are a mean over points of one surface to the nearest point of the other, in percent of the scene's size: the
diagonal of the box around all true objects but what surrounds the cameras. A true point counts if a training camera
sees it in the true scene. A point of a mesh counts if a training camera would see it on the mesh among the other true
objects. The chamfer distance is the mean of both directions. Objects are matched one to one by which lies nearest.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from trimesh import Trimesh
from trimesh.sample import sample_surface
from trimesh.util import concatenate

from benchmarks.table import commit
from disconerf_ns import load
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.export.mesh import surface
from disconerf_ns.files import write_whole
from disconerf_ns.runs import capture_frame, config_of
from examples.scenes.cameras import Pinhole
from examples.scenes.dataset import read_cameras
from examples.scenes.layouts import LAYOUTS
from examples.scenes.meshes import join

DENSE = 60_000
"""Points of a surface to which distances are taken."""
SPARSE = 4_000
"""Points of a surface from which they are taken."""
BEHIND = 0.004
"""Fraction of the scene's size by which a point may lie behind the surface that is seen."""


@dataclass
class Meshes:
    """Compare exported meshes with true ones."""

    run: Path
    """config.yml of a disconerf run of a made scene."""
    layout: str
    """Name of the scene in examples/scenes/layouts."""
    resolution: int = 96
    """Cubes along the longest side of an object."""
    faces: int = 30_000
    """Faces of a mesh, at most."""
    output: Path | None = None
    """File of the figures; by default benchmarks/results/meshes_<layout>.json."""


@dataclass(frozen=True)
class Row:
    """A true object and its mesh."""

    true: str
    found: str
    seen: float
    """Fraction of the true surface that a training view sees."""
    to_mesh: float
    """Mean distance of seen true points to the mesh, in percent of the scene's size."""
    to_true: float
    """Mean distance of seen points of the mesh to the true surface, in percent."""
    worst: float
    """95th percentile of both together, in percent."""
    closed: bool
    faces: int

    @property
    def chamfer(self) -> float:
        return (self.to_mesh + self.to_true) / 2


def seen(
    points: Float[np.ndarray, "n 3"],
    camera: Pinhole,
    poses: Float[np.ndarray, "views 4 4"],
    scene: Trimesh,
    behind: float,
) -> Bool[np.ndarray, "n"]:
    """Whether points are in a picture of a view and not more than `behind` it behind what the scene shows there."""
    visible = np.zeros(len(points), bool)
    for pose in poses:
        x, y, depth = camera.project(points, pose).T
        there = np.flatnonzero(~visible & (depth > 0) & (x > 0) & (x < camera.width) & (y > 0) & (y < camera.height))
        away = points[there] - pose[:3, 3]
        distance = np.linalg.norm(away, axis=1)
        places, ray, _ = scene.ray.intersects_location(
            np.broadcast_to(pose[:3, 3], away.shape), away / distance[:, None], multiple_hits=False
        )
        nearest = np.full(len(there), np.inf)
        nearest[ray] = np.linalg.norm(places - pose[:3, 3], axis=1)
        visible[there] |= nearest > distance - behind
    return visible


def true_meshes(layout: str) -> dict[str, Trimesh]:
    """The objects of a made scene."""
    items = LAYOUTS[layout]().objects
    meshes = (join([part.mesh for part in item.parts]) for item in items)
    return {item.name: Trimesh(mesh.points, mesh.faces, process=False) for item, mesh in zip(items, meshes)}


def exported(options: Meshes) -> dict[str, Trimesh]:
    """The meshes of a run's objects in the capture's frame, as `disconerf export` writes them."""
    scene, frame = load(options.run), capture_frame(options.run)
    meshes = {}
    for each in track(scene.objects, "meshes"):
        try:
            mesh = surface(scene.arranged, each, scene.cameras(), options.resolution, options.faces)[0].moved(frame)
        except UserError as error:
            print(error)
            continue
        meshes[each.name] = Trimesh(mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy(), process=False)
    return meshes


def compare(
    truth: dict[str, Trimesh], meshes: dict[str, Trimesh], camera: Pinhole, poses: np.ndarray
) -> tuple[list[Row], float]:
    """A row per true object that is seen and has a mesh, and the scene's size."""
    places = poses[:, :3, 3]
    inner = [mesh.bounds for mesh in truth.values() if not surrounds(mesh, places)]
    size = float(np.linalg.norm(np.max(inner, (0, 1)) - np.min(inner, (0, 1))))
    behind = BEHIND * size
    whole = concatenate(list(truth.values()))
    points = {name: sample_surface(mesh, SPARSE, seed=0)[0] for name, mesh in truth.items()}
    views = {name: seen(some, camera, poses, whole, behind) for name, some in points.items()}
    of_true = {name: some[views[name]] for name, some in points.items() if views[name].any()}
    of_mesh = {}
    for name, mesh in meshes.items():
        some = sample_surface(mesh, SPARSE, seed=0)[0]
        own = nearest(some, of_true)
        others = [other for other, each in truth.items() if other != own]
        among = concatenate([mesh, *(truth[other] for other in others)])
        of_mesh[name] = some[seen(some, camera, poses, among, behind)]
    of_mesh = {name: some for name, some in of_mesh.items() if len(some) > 0}
    rows = []
    for name, found in matched(of_true, of_mesh):
        to_mesh = distances(of_true[name], meshes[found]) / size * 100
        to_true = distances(of_mesh[found], truth[name]) / size * 100
        worst = float(np.percentile(np.concatenate([to_mesh, to_true]), 95))
        facts = float(views[name].mean()), float(to_mesh.mean()), float(to_true.mean()), worst
        rows.append(Row(name, found, *facts, bool(meshes[found].is_watertight), len(meshes[found].faces)))
    return rows, size


def surrounds(mesh: Trimesh, places: Float[np.ndarray, "n 3"]) -> bool:
    """Whether the box of a mesh holds most of some places."""
    low, high = mesh.bounds
    return bool(((places > low) & (places < high)).all(1).mean() > 0.5)


def nearest(points: Float[np.ndarray, "n 3"], groups: dict[str, Float[np.ndarray, "_ 3"]]) -> str:
    """The group that is nearest to most points."""
    names = list(groups)
    owner = np.repeat(np.arange(len(names)), [len(group) for group in groups.values()])
    _, index = KDTree(np.concatenate(list(groups.values()))).query(points)
    return names[int(np.bincount(owner[index]).argmax())]


def matched(true: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    """Pairs of names: those whose points lie nearest to each other's in both directions, one to one."""

    def shares(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> np.ndarray:
        owner = np.repeat(np.arange(len(others)), [len(other) for other in others.values()])
        tree = KDTree(np.concatenate(list(others.values())))
        counts = [np.bincount(owner[tree.query(each)[1]], minlength=len(others)) / len(each) for each in some.values()]
        return np.stack(counts)

    both = shares(true, found) * shares(found, true).T
    names, others = list(true), list(found)
    return [(names[i], others[j]) for i, j in zip(*linear_sum_assignment(-both)) if both[i, j] > 0.05]


def distances(points: Float[np.ndarray, "n 3"], mesh: Trimesh) -> Float[np.ndarray, "n"]:
    """Distances of points to a surface."""
    return KDTree(sample_surface(mesh, DENSE, seed=1)[0]).query(points)[0]


def main(options: Meshes) -> None:
    data = Path(config_of(options.run).data)
    camera, poses, keys = read_cameras(data)
    held_out = {Path(name).stem for name in json.loads((data / "transforms.json").read_text())["test_filenames"]}
    poses = poses[[key not in held_out for key in keys]]
    truth = true_meshes(options.layout)
    rows, size = compare(truth, exported(options), camera, poses)
    table = Table(title=f"{options.layout}: percent of {size:.2f}, the scene's size")
    for column in ("true object", "mesh", "seen", "true to mesh", "mesh to true", "chamfer", "95 %", "faces", "closed"):
        table.add_column(column, justify="left" if column in ("true object", "mesh") else "right")
    for row in rows:
        figures = (f"{value:.2f}" for value in (row.to_mesh, row.to_true, row.chamfer, row.worst))
        table.add_row(row.true, row.found, f"{row.seen:.0%}", *figures, str(row.faces), "yes" if row.closed else "no")
    Console(width=120).print(table)
    missing = sorted(truth.keys() - {row.true for row in rows})
    chamfers = [row.chamfer for row in rows]
    print(
        f"chamfer: mean {np.mean(chamfers):.2f} %, largest {max(chamfers):.2f} %; without a mesh: {', '.join(missing)}"
    )
    content = {
        "layout": options.layout,
        "resolution": options.resolution,
        "size": size,
        "objects": [{**asdict(row), "chamfer": row.chamfer} for row in rows],
        "without_mesh": missing,
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }
    output = options.output or Path(f"benchmarks/results/meshes_{options.layout}.json")
    write_whole(output, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Meshes))
