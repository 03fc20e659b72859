"""DiscoNeRF for nerfstudio: a photographed scene taken apart into its objects, found from 2D masks that disagree.

    from disconerf_ns import Edit, MaskStore, Scene, evaluate, load

    scene = load("outputs/kitchen/disconerf/2026-11-26_120000/config.yml")
    teapot = scene.find("object_03")
    picture = scene.edited(Edit().hide(teapot.id)).render("edited", scene.cameras()[0:1])

Names are imported when they are first used, because nerfstudio imports this package with every command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from disconerf_ns.api import Scene, compose, evaluate, load, save_film
    from disconerf_ns.masks.image_masks import ImageMasks
    from disconerf_ns.masks.store import MaskStore
    from disconerf_ns.scene.edit import Edit
    from disconerf_ns.scene.recolor import Channels, Hue
    from disconerf_ns.scene.similarity import Similarity

__all__ = [
    "Channels",
    "Edit",
    "Hue",
    "ImageMasks",
    "MaskStore",
    "Scene",
    "Similarity",
    "compose",
    "evaluate",
    "load",
    "save_film",
]

_HOMES = {
    "Channels": "disconerf_ns.scene.recolor",
    "Edit": "disconerf_ns.scene.edit",
    "Hue": "disconerf_ns.scene.recolor",
    "ImageMasks": "disconerf_ns.masks.image_masks",
    "MaskStore": "disconerf_ns.masks.store",
    "Scene": "disconerf_ns.api",
    "Similarity": "disconerf_ns.scene.similarity",
    "compose": "disconerf_ns.api",
    "evaluate": "disconerf_ns.api",
    "load": "disconerf_ns.api",
    "save_film": "disconerf_ns.api",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
