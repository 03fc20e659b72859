"""A furnished room seen from inside: twenty-two objects along the walls and in the middle, four of them alike."""

from __future__ import annotations

import numpy as np

from examples.scenes import textures as paint
from examples.scenes.layouts.table import GAP, beach_ball, teapot
from examples.scenes.meshes import Mesh, box, curve, join, revolve, rounded_polyline, tube
from examples.scenes.scene import AreaLight, Material, Part, Scene, SceneObject, Walk

WIDTH, DEPTH, HEIGHT = 4.8, 4.0, 2.5
"""Of the room, along x, y and z. Lengths are in metres; the floor is the plane z = 0."""
EAST, NORTH = WIDTH / 2, DEPTH / 2
TABLE_HEIGHT, RUG_HEIGHT, SHELF_BOARDS = 0.74, 0.014, (0.10, 0.55, 1.00, 1.45, 1.78)


def room() -> Scene:
    """A living room; the light comes from two panels under the ceiling."""
    dining, lounge, shelf_y = (0.75, -0.25), (-1.05, 0.1), -0.35
    objects = [
        floor(),
        walls(),
        rug(*lounge),
        dining_table(*dining),
        *chairs(*dining),
        sofa().placed(-EAST + 0.47, lounge[1], GAP, turn=90),
        cushion("cushion_left", "#d8a13c", "#b0702a", seed=31).placed(-EAST + 0.50, lounge[1] - 0.46, 0.44, turn=96),
        cushion("cushion_right", "#4d8f8a", "#bfd8c8", seed=32).placed(-EAST + 0.50, lounge[1] + 0.44, 0.44, turn=80),
        shelf().placed(EAST - 0.18, shelf_y, GAP, turn=-90),
        vase().placed(EAST - 0.18, shelf_y + 0.20, SHELF_BOARDS[2] + 0.03 + GAP),
        row_of_books().placed(EAST - 0.18, shelf_y - 0.10, SHELF_BOARDS[1] + 0.03 + GAP, turn=-90),
        storage_box().placed(EAST - 0.18, shelf_y - 0.19, SHELF_BOARDS[2] + 0.03 + GAP, turn=-90),
        lamp().placed(-EAST + 0.34, NORTH - 0.34, GAP),
        plant().placed(EAST - 0.42, NORTH - 0.42, GAP),
        picture().placed(-0.55, -NORTH + GAP, 1.05, turn=180),
        cabinet().placed(0.1, NORTH - 0.21, GAP),
        television().placed(0.02, NORTH - 0.20, 0.56 + 2 * GAP),
        teapot(0, 0, spout=-150).placed(dining[0] + 0.12, dining[1] - 0.03, TABLE_HEIGHT + GAP, scale=0.58),
        beach_ball(0, 0).placed(lounge[0] + 0.20, lounge[1] + 0.30, RUG_HEIGHT + GAP, scale=1.2),
    ]
    lights = [
        AreaLight(position=(x, y, HEIGHT - 0.02), target=(x, y, 0.0), size=1.1, radiance=(6.0, 5.6, 5.0))
        for x, y in ((-1.1, -0.1), (1.1, 0.1))
    ]
    return Scene(
        objects,
        lights,
        ambient=(0.0, 0.0, 0.0),
        orbit=Walk(radius=(1.4, 1.05), headings=(0.0, 70.0, -50.0, 30.0, -80.0)),
        exposure=1.5,
        uncovered=("floor", "walls"),
    )


def floor() -> SceneObject:
    """Oak planks."""
    planks = paint.wood(1536, 16, "#cfa06a", "#85552e", seed=41)
    return SceneObject("floor", [Part(box(WIDTH, DEPTH, 0.1, 0.01).moved(z=-0.1), Material(planks, 0.55, 0.25))])


def walls() -> SceneObject:
    """Four papered walls with a skirting board, and the ceiling."""
    thick, height = 0.1, HEIGHT + 0.1
    along_x, along_y = box(WIDTH + 2 * thick, thick, height, 0.01), box(thick, DEPTH, height, 0.01)
    places = [
        along_x.moved(y=NORTH + thick / 2, z=-0.1),
        along_x.moved(y=-NORTH - thick / 2, z=-0.1),
        along_y.moved(x=EAST + thick / 2, z=-0.1),
        along_y.moved(x=-EAST - thick / 2, z=-0.1),
    ]
    shades = [
        ("#e5d3b3", "#c9b48e", "#a8844f"),
        ("#c4d3c6", "#9fb7a6", "#64876f"),
        ("#dcc3b4", "#bf9d8b", "#9c644c"),
        ("#c8cedb", "#a1acc2", "#66769c"),
    ]
    papers = [Material(wallpaper(*shade, seed=50 + i), 0.9, 0.1) for i, shade in enumerate(shades)]
    names = ["north wall", "south wall", "east wall", "west wall"]
    ceiling = box(WIDTH, DEPTH, thick, 0.01).moved(z=HEIGHT)
    plaster = Material(paint.wash(512, "#e9e4da", "#f3f0ea", seed=60), 0.9, 0.1)
    return SceneObject(
        "walls",
        [*map(Part, places, papers, names), Part(ceiling, plaster, "ceiling")],
    )


def wallpaper(light: str, dark: str, accent: str, seed: int) -> np.ndarray:
    """(640, 1024, 3) faint stripes with blotches and specks above a skirting board."""
    size = (640, 1024)
    u, v = paint.grid(size)
    stripes = 0.35 + 0.3 * np.sin(2 * np.pi * 14 * u) + 0.25 * paint.cloud(size, 60, seed)
    paper = paint.mix(paint.rgb(light), paint.rgb(dark), stripes)
    paper = paint.speckled(paper, accent, 420, (1.5, 7.0), seed)
    return paint.mix(paper, paint.rgb("#8a6f55"), paint.step(0.085 - v, 0.006))


def fabric(first: str, second: str, seed: int, grain: float = 24) -> np.ndarray:
    """(384, 384, 3) woven cloth with blotches of two colours."""
    blotches = 0.5 + 0.45 * paint.cloud((384, 384), grain, seed)
    return paint.cloth(paint.mix(paint.rgb(first), paint.rgb(second), blotches), seed + 1)


def rug(x: float, y: float) -> SceneObject:
    """A woven rug with stripes across."""
    colors = ["#8c3f38", "#e2cfa8", "#2f5666", "#d9a45a", "#2f5666", "#e2cfa8", "#8c3f38"]
    stripes = paint.bands((512, 512), colors, [0.10, 0.20, 0.40, 0.60, 0.80, 0.90], 0.006, seed=61)
    weave = Material(paint.cloth(paint.speckled(stripes, "#4b2f2a", 260, (2.0, 7.0), seed=62), seed=63), 0.95, 0.1)
    return SceneObject("rug", [Part(box(1.15, 1.9, RUG_HEIGHT - GAP, 0.006).moved(x, y, GAP), weave)])


def dining_table(x: float, y: float) -> SceneObject:
    """A walnut top on four square legs."""
    width, depth, top = 1.25, 0.76, 0.04
    walnut = Material(paint.wood(1024, 5, "#a8703f", "#5a3319", seed=64), 0.45, 0.35)
    legs = [
        box(0.06, 0.06, TABLE_HEIGHT - top, 0.008).moved(sx * (width / 2 - 0.07), sy * (depth / 2 - 0.07), GAP)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    board = box(width, depth, top, 0.01).moved(z=TABLE_HEIGHT - top)
    return SceneObject("table", [Part(board, walnut, "top"), Part(join(legs), walnut, "legs")]).placed(x, y, 0.0)


def chairs(x: float, y: float) -> list[SceneObject]:
    """Four chairs of one make, two on each long side of the table."""
    places = {
        "chair_front_left": (x - 0.32, y - 0.58, 182),
        "chair_front_right": (x + 0.32, y - 0.57, 176),
        "chair_back_left": (x - 0.31, y + 0.58, -3),
        "chair_back_right": (x + 0.33, y + 0.57, 5),
    }
    return [chair(name).placed(cx, cy, GAP, turn) for name, (cx, cy, turn) in places.items()]


def chair(name: str) -> SceneObject:
    """A chair whose back is towards +y."""
    half, seat, back = 0.19, 0.44, 0.90
    joint = seat - 0.0175
    legs = [box(0.035, 0.035, h, 0.006).moved(x, y) for y, h in ((-half, seat), (half, joint)) for x in (-half, half)]
    posts = [box(0.035, 0.035, back - joint, 0.006).moved(x, half, joint) for x in (-half, half)]
    rails = [box(2 * half, 0.022, 0.10, 0.006).moved(y=half, z=z) for z in (0.56, 0.76)]
    frame = box(2 * half + 0.037, 2 * half + 0.037, 0.035, 0.008).moved(z=seat - 0.035)
    pad = box(0.37, 0.36, 0.04, 0.018).moved(y=-0.02, z=seat)
    beech = Material(paint.wood(256, 2, "#d9b27c", "#a06f3c", seed=65), 0.5, 0.3)
    return SceneObject(
        name,
        [
            Part(frame, beech, "seat"),
            Part(pad, Material(fabric("#b5483a", "#d98a6a", seed=66), 0.9, 0.1), "seat"),
            Part(join(legs), beech, "legs"),
            Part(join([*posts, *rails]), beech, "back"),
        ],
    )


def sofa() -> SceneObject:
    """A sofa that faces -y, its middle at the origin."""
    width, depth, arm = 1.9, 0.86, 0.20
    seat = box(width - 2 * arm, depth, 0.42, 0.05).moved(z=0.02)
    back = box(width - 2 * arm, 0.22, 0.80, 0.06).moved(y=depth / 2 - 0.11, z=0.02)
    arms = [box(arm, depth, 0.60, 0.06).moved(x=side * (width - arm) / 2, z=0.02) for side in (-1, 1)]
    feet = [box(0.06, 0.06, 0.04, 0.008).moved(sx * 0.85, sy * 0.36) for sx in (-1, 1) for sy in (-1, 1)]
    cover = Material(fabric("#56688c", "#8497b5", seed=67), 0.9, 0.1)
    return SceneObject(
        "sofa",
        [
            Part(seat, cover, "seat"),
            Part(back, cover, "back"),
            Part(join(arms), cover, "arms"),
            Part(join(feet), dark_wood(), "feet"),
        ],
    )


def dark_wood() -> Material:
    return Material(paint.wood(512, 3, "#7a5234", "#3f2717", seed=68), 0.5, 0.3)


def cushion(name: str, first: str, second: str, seed: int) -> SceneObject:
    """A cushion that leans back towards +y, its lower edge near the origin."""
    body = box(0.44, 0.17, 0.42, 0.075).turned(-16, "x")
    return SceneObject(name, [Part(body.moved(z=0.03), Material(fabric(first, second, seed, grain=14), 0.9, 0.1))])


def shelf() -> SceneObject:
    """An open shelf that faces -y: two sides, a back, and five boards."""
    width, depth, top = 0.95, 0.34, SHELF_BOARDS[-1] + 0.03
    sides = [box(0.03, depth, top, 0.004).moved(x=side * (width / 2 - 0.015)) for side in (-1, 1)]
    boards = [box(width - 0.06, depth - 0.02, 0.03, 0.004).moved(z=z) for z in SHELF_BOARDS]
    back = box(width - 0.06, 0.015, top - 0.02, 0.004).moved(y=depth / 2 - 0.01, z=0.01)
    pine = Material(paint.wood(512, 3, "#e0bd86", "#ad7f47", seed=69), 0.5, 0.3)
    return SceneObject(
        "shelf", [Part(join(sides), pine, "sides"), Part(join(boards), pine, "boards"), Part(back, pine, "back")]
    )


def vase() -> SceneObject:
    """A tall glazed vase."""
    profile = [(0.0, 0.0), (0.06, 0.0), (0.075, 0.02), (0.125, 0.13), (0.10, 0.25), (0.05, 0.32), (0.07, 0.38)]
    glaze = paint.bands((384, 768), ["#7c2f3f", "#e7d3b0", "#b6504a", "#e7d3b0"], [0.35, 0.5, 0.7], 0.01, seed=70)
    return SceneObject("vase", [Part(revolve(curve(profile, 64), 96), Material(glaze, 0.3, 0.45, clearcoat=0.3))])


def row_of_books() -> SceneObject:
    """Eight books that stand side by side, as one object; their spines face -y."""
    colors = ["#8f2f2f", "#e0c184", "#2f4f7a", "#3f7a57", "#c9783a", "#d8d2c0", "#5b3f6f", "#a83f5a"]
    random = np.random.default_rng(71)
    thickness, height = random.uniform(0.045, 0.075, len(colors)), random.uniform(0.26, 0.36, len(colors))
    left = np.cumsum(thickness) - thickness - thickness.sum() / 2
    return SceneObject(
        "books",
        [
            Part(
                box(t - 0.002, 0.22, h, 0.004).moved(x=x + t / 2),
                Material(paint.bands((256, 256), [c, "#efe0b8", c, "#efe0b8", c], [0.16, 0.22, 0.7, 0.8], 0.0, i), 0.6),
                f"book {i}",
            )
            for i, (c, t, h, x) in enumerate(zip(colors, thickness, height, left, strict=True))
        ],
    )


def storage_box() -> SceneObject:
    """A cardboard box with a striped lid."""
    body, lid = box(0.36, 0.26, 0.20, 0.006), box(0.375, 0.275, 0.07, 0.006).moved(z=0.19)
    stripes = paint.striped_cover((384, 512), "#3b7a78", "#8fc0b0", "#f0e3c4")
    return SceneObject(
        "box",
        [
            Part(body, Material(fabric("#d9c39a", "#c2a673", seed=72), 0.8, 0.1), "body"),
            Part(lid, Material(stripes, 0.6), "lid"),
        ],
    )


def lamp() -> SceneObject:
    """A floor lamp with a banded shade; it is off."""
    foot = revolve(rounded_polyline([(0.0, 0.0), (0.16, 0.0), (0.16, 0.03), (0.0, 0.04)], 0.01), 64)
    pole = tube(np.linspace([0, 0, 0.03], [0, 0, 1.3], 8), 0.018)
    shade = revolve(curve([(0.24, 1.15), (0.19, 1.34), (0.15, 1.52)], 24), 96)
    cloth = paint.bands((256, 512), ["#b0562f", "#f0dcae", "#d98f4a", "#f0dcae"], [0.2, 0.45, 0.75], 0.012, seed=73)
    lid = revolve(np.array([(0.15, 1.52), (0.0, 1.52)]), 64)
    return SceneObject(
        "lamp",
        [
            Part(join([foot, pole]), dark_wood(), "stand"),
            Part(join([shade, lid]), Material(cloth, 0.8, 0.1), "shade"),
        ],
    )


def plant() -> SceneObject:
    """Long bent leaves in a clay pot."""
    pot = [(0.0, 0.0), (0.15, 0.0), (0.22, 0.34), (0.24, 0.36), (0.23, 0.39), (0.20, 0.39), (0.19, 0.34), (0.0, 0.34)]
    clay = paint.bands((256, 512), ["#b4633c", "#e5c49a", "#c9764a"], [0.30, 0.42], 0.01, seed=74)
    return SceneObject(
        "plant",
        [
            Part(revolve(rounded_polyline(pot, 0.008), 96), Material(clay, 0.7, 0.2), "pot"),
            Part(join([leaf(137.5 * i, 0.45 + 0.05 * (i % 5)) for i in range(16)]), leaf_material(), "leaves"),
        ],
    )


def leaf(azimuth: float, reach: float) -> Mesh:
    """A leaf that leaves the soil in the given direction and bends outwards; long ones stand steeper."""
    line = curve([(0.03, 0, 0.33), (0.06, 0, 0.6), (0.14, 0, 0.55 + 0.9 * reach), (0.28, 0, 0.5 + reach)], 24)
    width = 0.052 * np.sin(np.pi * np.linspace(0.12, 0.99, 24)) ** 0.7
    return tube(line, width, 16).turned(azimuth)


def leaf_material() -> Material:
    green = paint.mix(paint.rgb("#2f6b3a"), paint.rgb("#9cc46a"), 0.5 + 0.5 * paint.noise((256, 256), (4, 30), 75))
    return Material(green, 0.5, 0.3)


def picture() -> SceneObject:
    """A framed picture that faces -y, its lower edge on z = 0 and its back on y = 0."""
    frame = box(1.0, 0.04, 0.74, 0.008).moved(y=-0.02)
    canvas = box(0.88, 0.012, 0.62, 0.004).moved(y=-0.042, z=0.06)
    scene = paint.sunrise_cover((512, 768), "#27466b", "#e0b45c", "#d9704a")
    return SceneObject(
        "picture", [Part(frame, dark_wood(), "frame"), Part(canvas, Material(scene, 0.7, 0.2), "canvas")]
    )


def cabinet() -> SceneObject:
    """A low cabinet with three doors that faces -y."""
    body = box(1.5, 0.38, 0.56, 0.01)
    doors = [box(0.46, 0.02, 0.46, 0.006).moved(x, -0.195, 0.06) for x in (-0.49, 0.0, 0.49)]
    knobs = [
        tube(np.linspace([x, -0.20, 0.30], [x, -0.235, 0.30], 4), [0.02, 0.02, 0.02, 1e-4]) for x in (-0.32, 0.17, 0.32)
    ]
    ash = Material(paint.wood(512, 4, "#cdb08a", "#94714b", seed=76), 0.5, 0.3)
    green = Material(fabric("#5f7f6a", "#7f9f86", seed=77), 0.7, 0.2)
    names = ["left door", "middle door", "right door"]
    return SceneObject(
        "cabinet",
        [Part(body, ash, "body"), *map(Part, doors, [green] * 3, names), *map(Part, knobs, [dark_wood()] * 3, names)],
    )


def television() -> SceneObject:
    """A screen on a foot that faces -y; it shows a picture."""
    foot, neck = box(0.36, 0.18, 0.02, 0.006), box(0.06, 0.04, 0.10, 0.006).moved(z=0.015)
    case, screen = box(0.98, 0.05, 0.58, 0.01).moved(z=0.09), box(0.92, 0.006, 0.52, 0.002).moved(y=-0.025, z=0.12)
    show = paint.striped_cover((512, 896), "#1f3a4a", "#7f3f5a", "#c9b24a")
    black = Material(paint.plain("#26272b", seed=78, variation=0.1), 0.4, 0.4)
    return SceneObject(
        "television",
        [
            Part(join([foot, neck]), black, "foot"),
            Part(case, black, "frame"),
            Part(screen, Material(show, 0.5, 0.3), "screen"),
        ],
    )
