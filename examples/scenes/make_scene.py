"""Renders a synthetic scene into a nerfstudio dataset: `python -m examples.scenes.make_scene table --output DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import track

from examples.scenes import dataset
from examples.scenes.cameras import Pinhole, camera_path
from examples.scenes.noise import LEVELS


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
    noise: Literal["none", "mild", "middle", "heavy", "all"] = "middle"
    """Errors in the masks of `masks/noisy`; `all` writes `masks/clean`, `masks/mild`, `masks/middle` and
    `masks/heavy` instead."""
    seed: int = 0
    """Seed of the masks' noise."""
    only_masks: bool = False
    """Keep the photos and labels that are there and make new masks."""


def main() -> None:
    """The command line."""
    arguments = tyro.cli(Arguments)
    if not arguments.only_masks:
        render_views(arguments)
    for name, level in mask_sets(arguments.noise).items():
        score = dataset.write_noisy_masks(arguments.output, level, LEVELS[level], arguments.seed, name)
        print(f"{arguments.output}/masks/{name}: the masks' own area-weighted IoU is {score:.3f}")


def mask_sets(noise: str) -> dict[str, str]:
    """The noise level of every set of masks to write, by the set's name."""
    if noise == "all":
        return {"clean" if level == "none" else level: level for level in LEVELS}
    return {"noisy": noise}


def render_views(arguments: Arguments) -> None:
    """Everything but the masks."""
    from examples.scenes.layouts import LAYOUTS
    from examples.scenes.render import Renderer, choose_variant

    if arguments.layout not in LAYOUTS:
        raise SystemExit(f"There is no scene called {arguments.layout}; choose one of {', '.join(LAYOUTS)}.")
    print(f"Mitsuba variant: {choose_variant()}")
    scene = LAYOUTS[arguments.layout]()
    camera = Pinhole.from_fov(arguments.width, arguments.height, scene.orbit.horizontal_fov)
    poses = camera_path(scene.orbit, arguments.views)
    renderer = Renderer(scene)
    keys = dataset.write_cameras(arguments.output, camera, poses)
    dataset.write_objects(arguments.output, scene)
    for i, key in enumerate(track(keys, "views")):
        dataset.write_labels(arguments.output, key, renderer.labels(camera, poses[i]))
        dataset.write_photo(arguments.output, key, renderer.photo(camera, poses[i], arguments.spp, seed=i))


if __name__ == "__main__":
    main()
