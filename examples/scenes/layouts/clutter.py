"""A crowded desk: thirty-five objects that touch and are stacked, twenty-four of them in seven groups of one make."""

from __future__ import annotations

import numpy as np

from examples.scenes import textures as paint
from examples.scenes.layouts.table import FLOOR, GAP, background, beach_ball, book, books, bowl_of_fruit, mug, teapot
from examples.scenes.meshes import box, join, revolve, rounded_polyline
from examples.scenes.scene import AreaLight, Material, Orbit, Part, Scene, SceneObject

WIDTH, DEPTH = 2.5, 1.9
"""Of the desk, whose top is the plane z = 0."""
TRAY_BOTTOM = 0.02


def clutter() -> Scene:
    """Things of about the size of a mug, most of them in touch with their neighbours."""
    objects = [
        background(),
        desk(),
        tray().placed(0.70, -0.60, GAP),
        *crayons(0.60, -0.62),
        *dice(0.90, -0.60),
        *cans(0.28, -0.14),
        *mugs(0.60, 0.28),
        *pile_of_blocks(-0.10, -0.68),
        *books(-0.04, 0.56),
        notebook().placed(-0.04, 0.58, 0.171 + 3 * GAP, turn=-24),
        *bowl_of_fruit(-0.80, -0.42),
        *bottles(-0.36, -0.06),
        *cartons(0.02, -0.24),
        teapot(-0.84, 0.40, spout=172),
        beach_ball(-0.47, -0.76),
    ]
    lights = [
        AreaLight(position=(-2.6, -1.6, 4.2), target=(0, 0, 0), size=2.4, radiance=(15.0, 12.6, 9.4)),
        AreaLight(position=(3.2, 1.8, 3.4), target=(0, 0, 0), size=2.6, radiance=(2.6, 3.0, 3.6)),
    ]
    orbit = Orbit(center=(0.0, -0.02, 0.05), radius=(2.3, 2.5), elevation=(24.0, 60.0), turns=4.0, horizontal_fov=54.0)
    uncovered = ("background", "desk")
    return Scene(objects, lights, ambient=(0.30, 0.33, 0.37), orbit=orbit, exposure=0.8, uncovered=uncovered)


def desk() -> SceneObject:
    """A rectangular ash top on four legs."""
    ash = Material(paint.wood(1400, 6, "#d3bb98", "#8f7350", seed=101), 0.45, 0.3)
    top = box(WIDTH, DEPTH, 0.08, 0.02).moved(z=-0.08)
    legs = [
        box(0.11, 0.11, -FLOOR - 0.08 - GAP, 0.015).moved(sx * (WIDTH / 2 - 0.12), sy * (DEPTH / 2 - 0.12), FLOOR + GAP)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return SceneObject("desk", [Part(top, ash, "top"), Part(join(legs), ash, "legs")])


def tray() -> SceneObject:
    """A shallow lacquered tray on the origin."""
    width, depth, rim, wall = 0.80, 0.54, 0.06, 0.02
    bottom = box(width - 0.002, depth - 0.002, TRAY_BOTTOM, 0.006)
    long_sides = [box(width, wall, rim, 0.006).moved(y=side * (depth - wall) / 2) for side in (-1, 1)]
    short_sides = [box(wall, depth, rim, 0.006).moved(x=side * (width - wall) / 2) for side in (-1, 1)]
    lacquer = Material(paint.wood(512, 1, "#8f3b33", "#541d1b", seed=102), 0.35, 0.4)
    rim_mesh = join([*long_sides, *short_sides])
    return SceneObject("tray", [Part(bottom, lacquer, "bottom"), Part(rim_mesh, lacquer, "rim")])


def row(
    make: SceneObject, count: int, start: tuple[float, float, float], step: float, turn: float
) -> list[SceneObject]:
    """Copies of one thing, side by side in the direction `turn` (degrees from +x), named by their place in the row."""
    along = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    x, y, z = start
    return [
        SceneObject(f"{make.name}_{i}", make.placed(x + step * i * along[0], y + step * i * along[1], z, turn).parts)
        for i in range(count)
    ]


def cans(x: float, y: float) -> list[SceneObject]:
    """Four cans of one brand in a row."""
    radius, height = 0.085, 0.23
    outside = [(0.0, 0.0), (radius - 0.008, 0.0), (radius, 0.012), (radius, height - 0.012), (radius - 0.01, height)]
    profile = rounded_polyline([*outside, (radius - 0.014, height - 0.008), (0.0, height - 0.008)], 0.006, 5)
    label = paint.bands(
        (384, 768), ["#c9c9c6", "#b8322c", "#f1e3c2", "#b8322c", "#c9c9c6"], [0.24, 0.4, 0.52, 0.66], 0.0, 103
    )
    can = SceneObject("can", [Part(revolve(profile, 96), Material(label, 0.35, 0.5))])
    return row(can, 4, (x, y, GAP), 2 * radius + GAP, turn=-4)


def mugs(x: float, y: float) -> list[SceneObject]:
    """Three mugs in a triangle, their handles outwards."""
    side = 2 * 0.137 + GAP
    back = side * np.sqrt(3) / 2
    places = [("mug_left", 0.0, back, 130), ("mug_right", side, back, 40), ("mug_front", side / 2, 0.0, -80)]
    return [mug(name, x + dx, y + dy, handle) for name, dx, dy, handle in places]


def pile_of_blocks(x: float, y: float) -> list[SceneObject]:
    """Six equal blocks: three, two on them, one on top."""
    size, turn = 0.165, 12
    bare = paint.wood(256, 1, "#ecd2a0", "#c99a62", seed=14)
    block = SceneObject(
        "block", [Part(box(size, size, size, 0.012), Material(paint.toy_block(256, "#3f6fb0", bare, "ring"), 0.5))]
    )
    step, angle = size + GAP, np.radians(turn)
    blocks = []
    for level, count in enumerate((3, 2, 1)):
        back = -step * (count - 1) / 2
        start = (x + back * np.cos(angle), y + back * np.sin(angle), GAP + level * step)
        blocks += row(block, count, start, step, turn)
    return [SceneObject(f"block_{i}", item.parts) for i, item in enumerate(blocks)]


def notebook() -> SceneObject:
    """A thin book for the top of the stack."""
    cover = paint.striped_cover((512, 768), "#3f6f52", "#7fae7c", "#efe4c0")
    return book("notebook", cover, "#3f6f52", (0.46, 0.34, 0.055), (0.0, 0.0, 0.0), turn=0)


def crayons(x: float, y: float) -> list[SceneObject]:
    """Four crayons of one colour side by side in the tray, along y."""
    radius, length = 0.048, 0.44
    profile = rounded_polyline(
        [(0.0, 0.0), (radius, 0.0), (radius, length - 0.1), (0.012, length), (0.0, length)], 0.008
    )
    wrapper = paint.bands(
        (384, 192), ["#d9682b", "#2f2a28", "#ef9a4a", "#2f2a28", "#d9682b"], [0.18, 0.24, 0.68, 0.74], 0.0, 104
    )
    body = revolve(profile, 48).turned(-90, "x").moved(y=-length / 2)
    crayon = SceneObject("crayon", [Part(body, Material(wrapper, 0.6, 0.3))])
    return row(crayon, 4, (x - 0.18, y, TRAY_BOTTOM + radius + 2 * GAP), 2 * radius + GAP, turn=0)


def dice(x: float, y: float) -> list[SceneObject]:
    """Three dice in a row in the tray."""
    size = 0.16
    spots = paint.mix(paint.rgb("#f2ead6"), paint.rgb("#b3282d"), five_spots(192))
    die = SceneObject("die", [Part(box(size, size, size, 0.018), Material(spots, 0.4, 0.45))])
    return row(die, 3, (x, y - size, TRAY_BOTTOM + 2 * GAP), size + GAP, turn=90)


def five_spots(size: int) -> np.ndarray:
    """(size, size) 1 inside of the five spots of a die, else 0."""
    u, v = paint.grid(size)
    centers = [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75), (0.5, 0.5)]
    distance = np.min([np.hypot(u - a, v - b) for a, b in centers], axis=0)
    return paint.step(0.11 - distance, 0.02)


def bottles(x: float, y: float) -> list[SceneObject]:
    """Two bottles of one make, side by side."""
    radius = 0.095
    line = [
        (0.0, 0.0),
        (radius - 0.01, 0.0),
        (radius, 0.02),
        (radius, 0.24),
        (0.035, 0.34),
        (0.033, 0.40),
        (0.043, 0.405),
    ]
    profile = rounded_polyline([*line, (0.043, 0.45), (0.0, 0.452)], 0.012, 7)
    colors = ["#2f6f5a", "#f0e4c6", "#c9872f", "#f0e4c6", "#2f6f5a", "#e2d7bd"]
    glaze = paint.bands((512, 512), colors, [0.26, 0.33, 0.46, 0.53, 0.86], 0.004, 105)
    bottle = SceneObject("bottle", [Part(revolve(profile, 96), Material(glaze, 0.3, 0.45))])
    return row(bottle, 2, (x, y, GAP), 2 * radius + GAP, turn=-15)


def cartons(x: float, y: float) -> list[SceneObject]:
    """A tea box that stands on another of the same make."""
    sunrise = paint.sunrise_cover((320, 384), "#7f3f6a", "#f0d7a0", "#e08a5a")
    carton = SceneObject("carton", [Part(box(0.25, 0.19, 0.17, 0.008), Material(sunrise, 0.55, 0.3))])
    return [
        SceneObject("carton_lower", carton.placed(x, y, GAP, turn=20).parts),
        SceneObject("carton_upper", carton.placed(x + 0.01, y, 0.17 + 2 * GAP, turn=44).parts),
    ]
