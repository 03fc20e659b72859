"""Renders a synthetic scene into a nerfstudio dataset: `python -m examples.scenes.make_scene table --output DIR`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import track

from examples.scenes import dataset
from examples.scenes.cameras import Pinhole, camera_path
from examples.scenes.layouts import LAYOUTS
from examples.scenes.noise import LEVELS, MIXED
from examples.scenes.scene import Scene

Names = tuple[str, ...]


@dataclass
class Arguments:
    """Make a scene: photos, cameras, exact labels, and masks that disagree between views."""

    layout: tyro.conf.Positional[str]
    """Name of the scene: a key of `examples.scenes.layouts.LAYOUTS`."""
    output: Path
    """Folder of the dataset; files that are there are replaced."""
    views: int = 40
    """Number of photos; every eighth is for evaluation."""
    width: int = 256
    """Pixels."""
    height: int = 192
    """Pixels."""
    spp: int = 256
    """Paths per pixel."""
    noise: Literal["none", "mild", "middle", "heavy", "mixed-mild", "mixed", "mixed-heavy", "all"] = "middle"
    """Errors in the masks of `masks/noisy`; `mixed` levels have masks of parts beside those of whole objects. `all`
    writes one set per level instead, named after it, and `masks/clean`; and `masks/sparse` and `masks/sparse-heavy`
    for a scene of which some objects are meant to have no mask."""
    seed: int = 0
    """Seed of the masks' noise."""
    smallest: float | None = None
    """Masks that cover less than this fraction of the image are dropped; left out, the level decides (0.003)."""
    uncovered: tuple[str, ...] = ()
    """Names of objects, as in `labels/labels.json`, that no mask of `masks/noisy` is about."""
    only_masks: bool = False
    """Keep the photos and labels that are there and make new masks."""
    only_labels: bool = False
    """Keep the photos that are there and make their labels, parts and masks anew, which takes seconds."""


def main() -> None:
    """The command line."""
    arguments = tyro.cli(Arguments)
    if arguments.layout not in LAYOUTS:
        raise SystemExit(f"There is no scene called {arguments.layout}; choose one of {', '.join(LAYOUTS)}.")
    scene = LAYOUTS[arguments.layout]()
    if not arguments.only_masks:
        render_views(arguments, scene)
    for name, (level, unseen) in mask_sets(arguments.noise, arguments.uncovered, scene.uncovered).items():
        labels = dataset.labels_named(arguments.output, unseen)
        noise = (LEVELS | MIXED)[level]
        noise = noise if arguments.smallest is None else replace(noise, min_fraction=arguments.smallest)
        score = dataset.write_noisy_masks(arguments.output, level, noise, arguments.seed, name, labels)
        print(f"{arguments.output}/masks/{name}: the masks' own area-weighted IoU is {score:.3f}")


def mask_sets(noise: str, uncovered: Names = (), sparse: Names = ()) -> dict[str, tuple[str, Names]]:
    """Level of noise and names of uncovered objects of every set of masks to write, by the set's name.

    Args:
        noise: a level, or "all".
        uncovered: names of objects without a mask.
        sparse: the same for those of all sets that are called sparse; without names there are none.
    """
    if noise != "all":
        return {"noisy": (noise, uncovered)}
    sets = {"clean" if level == "none" else level: (level, uncovered) for level in LEVELS | MIXED}
    return sets | ({"sparse": ("middle", sparse), "sparse-heavy": ("heavy", sparse)} if sparse else {})


def render_views(arguments: Arguments, scene: Scene) -> None:
    """Everything but the masks."""
    from examples.scenes.render import Renderer, choose_variant

    print(f"Mitsuba variant: {choose_variant()}")
    output, renderer = arguments.output, Renderer(scene)
    if not arguments.only_labels:
        new = Pinhole.from_fov(arguments.width, arguments.height, scene.orbit.horizontal_fov)
        dataset.write_cameras(output, new, camera_path(scene.orbit, arguments.views))
    camera, poses, keys = dataset.read_cameras(output)
    dataset.write_objects(output, scene)
    dataset.write_parts(output, scene)
    for i, key in enumerate(track(keys, "views")):
        labels, parts = renderer.labels(camera, poses[i])
        dataset.write_labels(output, key, labels)
        dataset.write_labels(output, key, parts, "parts")
        if not arguments.only_labels:
            dataset.write_photo(output, key, renderer.photo(camera, poses[i], arguments.spp, seed=i))


if __name__ == "__main__":
    main()
