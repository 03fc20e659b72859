"""A small picture of an object alone, with transparency, from where a training camera saw it."""

from __future__ import annotations

from pathlib import Path

from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.filming.matte import in_bytes, write_png
from disconerf_ns.filming.portrait import portrait
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject


def write_thumbnail(path: Path, scene: ArrangedScene, each: SceneObject, cameras: Cameras, size: int) -> Path:
    """Write a square RGBA picture of an object, as the edit colours it, without haze.

    Args:
        path: the PNG file.
        scene: the scene.
        each: the object; something of it is solid.
        cameras: the training cameras; the object is seen from the one that sees most of it, and from near.
        size: height and width in pixels.
    Raises:
        UserError: nothing of it can be seen.
    """
    write_png(path, in_bytes(portrait(scene, each, scene.bodies.clean(each.id), cameras, size)))
    return path
