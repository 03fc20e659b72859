"""Things on a checked cloth; the sparse sets of masks leave out the cloth, the table and the studio."""

from __future__ import annotations

import numpy as np

from examples.scenes import textures as paint
from examples.scenes.layouts.table import GAP, apple, background, book, mug, orange, round_table, toy_blocks
from examples.scenes.meshes import relief
from examples.scenes.scene import AreaLight, Material, Orbit, Part, Scene, SceneObject

WIDTH, DEPTH = 1.36, 1.10
"""Of the cloth."""
FLAT = 0.006
"""Height of the cloth in its middle, above the table's top at z = 0."""


def sheet() -> Scene:
    """Seven things on a cloth; the cloth and what is under it are most of what the cameras see."""
    radius, ground = 0.13, FLAT + GAP
    cover = paint.sunrise_cover((512, 768), "#5f3a63", "#e6cf9a", "#c9746a")
    objects = [
        background(),
        round_table(),
        cloth(),
        orange(radius, -0.30, -0.22, ground + radius),
        apple(radius, -0.02, -0.30, ground + 0.93 * radius),
        mug("mug", 0.30, -0.12, handle=-70).placed(0.0, 0.0, FLAT),
        book("book", cover, "#5f3a63", (0.44, 0.32, 0.07), (-0.22, 0.20, ground), turn=14),
        *(item.placed(0.0, 0.0, FLAT) for item in toy_blocks(0.26, 0.22)),
    ]
    lights = [
        AreaLight(position=(-2.6, -1.6, 4.2), target=(0, 0, 0), size=2.0, radiance=(18.0, 15.0, 11.2)),
        AreaLight(position=(3.2, 1.8, 3.4), target=(0, 0, 0), size=2.6, radiance=(2.0, 2.5, 3.2)),
    ]
    orbit = Orbit(center=(0.0, -0.02, 0.03), radius=(1.55, 1.75), elevation=(24.0, 58.0), turns=3.0)
    uncovered = ("background", "table", "sheet")
    return Scene(objects, lights, ambient=(0.26, 0.29, 0.34), orbit=orbit, exposure=0.8, uncovered=uncovered)


def cloth() -> SceneObject:
    """A cloth that is flat in the middle and has folds along its border."""
    x, y = np.meshgrid(np.linspace(-WIDTH / 2, WIDTH / 2, 161), np.linspace(-DEPTH / 2, DEPTH / 2, 129))
    border = np.maximum(np.abs(2 * x / WIDTH), np.abs(2 * y / DEPTH))
    folds = 0.5 + 0.5 * np.sin(17 * x - 6 * y) * np.cos(13 * y + 5 * x)
    mesh = relief(WIDTH, DEPTH, FLAT + 0.03 * folds * paint.step(border - 0.88, 0.22))
    u, v = paint.grid((640, 768))
    checks = 0.5 * (np.sin(2 * np.pi * 8 * u) > 0) + 0.5 * (np.sin(2 * np.pi * 6.5 * v) > 0)
    pattern = paint.mix(paint.rgb("#efe7d6"), paint.rgb("#5f87a3"), checks + 0.05 * paint.cloud((640, 768), 50, 201))
    return SceneObject("sheet", [Part(mesh, Material(paint.cloth(pattern, seed=202), 0.9, 0.1))])
