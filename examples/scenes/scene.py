"""A scene: objects made of parts, soft lights, and the path on which the cameras stand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from examples.scenes.meshes import Mesh


@dataclass(frozen=True)
class Material:
    """A surface finish: a base colour and how it shines."""

    color: np.ndarray
    """(H, W, 3) sRGB texture in [0, 1], or (3,) one colour; row 0 is v = 1."""
    roughness: float = 0.5
    """0 is a mirror, 1 is chalk."""
    specular: float = 0.4
    """Strength of the highlight; 0.5 is a dielectric of index 1.5."""
    clearcoat: float = 0.0
    """A second, sharper highlight, as of a glaze or a varnish."""
    bump: np.ndarray | None = None
    """(H, W) height texture that bends the normals."""
    bump_scale: float = 1.0
    """Factor on the heights."""


@dataclass(frozen=True)
class Part:
    """One mesh with one material."""

    mesh: Mesh
    material: Material
    name: str = ""
    """What it is to a person, as "handle"; meshes of one object with the same name are one part."""


@dataclass(frozen=True)
class SceneObject:
    """One instance: all of its parts carry the same label."""

    name: str
    parts: list[Part]

    @property
    def part_names(self) -> list[str]:
        """Its parts, each once; one name for an object without meaningful parts."""
        return list(dict.fromkeys(part.name for part in self.parts))

    def box(self) -> np.ndarray:
        """(2, 3) lowest and highest coordinates."""
        points = np.concatenate([part.mesh.points for part in self.parts])
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def placed(self, x: float, y: float, z: float, turn: float = 0.0, scale: float = 1.0) -> SceneObject:
        """The object scaled and turned by `turn` degrees about the z axis, both at the origin, then shifted."""
        meshes = [replace(part.mesh, points=scale * part.mesh.points).turned(turn) for part in self.parts]
        parts = [replace(part, mesh=mesh.moved(x, y, z)) for mesh, part in zip(meshes, self.parts, strict=True)]
        return SceneObject(self.name, parts)


@dataclass(frozen=True)
class AreaLight:
    """A square that shines on one side."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    size: float
    """Side length."""
    radiance: tuple[float, float, float]


@dataclass(frozen=True)
class Orbit:
    """A spiral of cameras about a point, all looking at it."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: tuple[float, float] = (2.2, 2.4)
    """Range of the distance to the centre; it varies smoothly along the spiral."""
    elevation: tuple[float, float] = (22.0, 56.0)
    """Degrees above the horizon at the start and at the end."""
    turns: float = 3.0
    horizontal_fov: float = 50.0
    """Degrees."""


@dataclass(frozen=True)
class Walk:
    """Rounds on an ellipse inside a room; the cameras look across it, to its sides, higher and lower."""

    center: tuple[float, float] = (0.0, 0.0)
    radius: tuple[float, float] = (1.5, 1.1)
    """Half axes along x and y."""
    height: tuple[float, float] = (1.2, 1.9)
    """Range of the height above z = 0; it varies smoothly along the path."""
    pitch: tuple[float, float] = (-34.0, -8.0)
    """Range of the view direction's degrees above the horizon; it varies smoothly, out of step with the height."""
    headings: tuple[float, ...] = (0.0, 50.0, -35.0, 20.0, -65.0)
    """Degrees to the left of the middle that the views look at, one after the other."""
    turns: float = 3.0
    horizontal_fov: float = 70.0
    """Degrees."""


@dataclass(frozen=True)
class Scene:
    """Objects in the order of their labels, which start at 1."""

    objects: list[SceneObject]
    lights: list[AreaLight]
    ambient: tuple[float, float, float]
    """Radiance that comes from every direction."""
    orbit: Orbit | Walk = field(default_factory=Orbit)
    """Path of the cameras: around the scene or inside it."""
    exposure: float = 1.0
    uncovered: tuple[str, ...] = ()
    """Names of objects that have no mask in the sets `sparse` and `sparse-heavy`."""

    @property
    def parts(self) -> list[tuple[int, str]]:
        """Label of the object and name of each part of the scene, in the order of the parts' labels, which start at 1.

        A part is of one object, so pixels of one part's label have one object's label.
        """
        return [(label, name) for label, item in enumerate(self.objects, start=1) for name in item.part_names]
