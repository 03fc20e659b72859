"""A round table with crockery, fruit, books and toys: twelve objects that touch each other, two of them alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from examples.scenes import textures as paint
from examples.scenes.meshes import Mesh, ball, box, curve, join, revolve, rounded_polyline, tube
from examples.scenes.scene import AreaLight, Material, Orbit, Part, Scene, SceneObject

FLOOR = -0.5
GAP = 5e-4
"""Between things that touch, so that their surfaces do not coincide."""


def table() -> Scene:
    """The demo scene; the top of the table is the plane z = 0 and its radius is 1."""
    objects = [
        background(),
        round_table(),
        *bowl_of_fruit(-0.40, -0.26),
        *books(0.34, 0.42),
        mug("mug_left", 0.335, -0.20, handle=-115),
        mug("mug_right", 0.335 + 0.262, -0.20 + 0.085, handle=-40),
        teapot(-0.33, 0.42, spout=-162),
        beach_ball(0.1615, -0.655),
        *toy_blocks(-0.07, -0.66),
    ]
    lights = [
        AreaLight(position=(-2.6, -1.6, 4.2), target=(0, 0, 0), size=2.0, radiance=(20.0, 16.0, 11.6)),
        AreaLight(position=(3.2, 1.8, 3.4), target=(0, 0, 0), size=2.6, radiance=(1.7, 2.2, 3.0)),
    ]
    orbit = Orbit(center=(0.0, -0.03, 0.06), radius=(2.15, 2.4), elevation=(21.0, 56.0), turns=3.0)
    uncovered = ("background", "table")
    return Scene(objects, lights, ambient=(0.24, 0.29, 0.36), orbit=orbit, exposure=0.8, uncovered=uncovered)


def background() -> SceneObject:
    """A studio: a tiled floor that curves up into a painted wall."""
    floor = revolve(np.array([(3.6, 0.0), (0.0, 0.0)]), 96).moved(z=FLOOR).planar_uv(3.0)
    wall = revolve(curve([(4.6, 2.6), (4.6, 1.0), (4.5, 0.4), (4.1, 0.08), (3.55, 0.0)], 64), 128).moved(z=FLOOR)
    tiled = paint.tiles(1024, ["#a9c0bd", "#b7cbc5", "#c3d2c9", "#9db7b7", "#cfd8cc"], "#8aa5a5", 6, seed=2)
    painted = paint.wash(512, "#f2dcc6", "#cbd8d2", seed=9)
    return SceneObject(
        "background", [Part(floor, Material(tiled, 0.7, 0.2), "floor"), Part(wall, Material(painted, 0.9, 0.1), "wall")]
    )


def round_table() -> SceneObject:
    """A round oak top on four splayed legs."""
    edge = rounded_polyline([(0.0, -0.075), (0.97, -0.075), (1.0, -0.04), (1.0, 0.0), (0.0, 0.0)], 0.025, 9)
    edge = np.insert(edge, -1, [(0.5, 0.0), (0.2, 0.0)], axis=0)
    oak = paint.wood(1400, 7, "#d9a566", "#8a5328", seed=4)
    top = revolve(edge, 192).planar_uv(2.1)
    leg_wood = Material(paint.wood(256, 1, "#b97f48", "#7a4722", seed=8), 0.5)
    leg = tube(np.linspace([0.58, 0, -0.05], [0.80, 0, FLOOR], 12), np.linspace(0.062, 0.034, 12))
    legs = join([leg.turned(45 + 90 * i) for i in range(4)])
    return SceneObject("table", [Part(top, Material(oak, 0.42, 0.35), "top"), Part(legs, leg_wood, "legs")])


BOWL_OUTSIDE = [(0.0, 0.0), (0.13, 0.0), (0.135, 0.018), (0.20, 0.055), (0.275, 0.115), (0.325, 0.185)]
BOWL_INSIDE = [(0.313, 0.188), (0.262, 0.124), (0.19, 0.068), (0.10, 0.036), (0.0, 0.03)]


def bowl_of_fruit(x: float, y: float) -> list[SceneObject]:
    """A speckled bowl with an orange and an apple that lean on each other."""
    inside = curve(BOWL_INSIDE, 64)
    rim = curve([BOWL_OUTSIDE[-1], (0.324, 0.193), (0.318, 0.194), BOWL_INSIDE[0]], 10)
    wall = revolve(np.concatenate([curve(BOWL_OUTSIDE, 64), rim[1:-1], inside]), 128).moved(x, y, GAP)
    glaze = paint.bands(
        (768, 1536), ["#3f6f8f", "#efe6d6", "#2f5d86", "#efe6d6", "#e9dfcc"], [0.20, 0.455, 0.535, 0.62], 0.006, 3
    )
    glaze = paint.speckled(glaze, "#6b5440", 900, (0.8, 3.2), seed=3)
    bowl = SceneObject("bowl", [Part(wall, Material(glaze, 0.32, 0.45, clearcoat=0.3))])

    orange_radius, apple_radius = 0.135, 0.128
    apart = orange_radius + apple_radius + GAP
    left = -0.5 * apart
    right = brentq(
        lambda r: (
            np.hypot(r - left, _rest_height(inside, r, apple_radius) - _rest_height(inside, -left, orange_radius))
            - apart
        ),
        0.02,
        0.18,
    )
    turn = np.radians(-28)
    places = [
        (x + offset * np.cos(turn), y + offset * np.sin(turn), GAP + _rest_height(inside, abs(offset), radius))
        for offset, radius in ((left, orange_radius), (right, apple_radius))
    ]
    return [bowl, orange(orange_radius, *places[0]), apple(apple_radius, *places[1])]


def _rest_height(profile: np.ndarray, offset: float, radius: float) -> float:
    """Height of the centre of a sphere, `offset` from the axis, that touches a hollow surface of revolution."""
    reach = radius + GAP
    inside = np.abs(profile[:, 0] - offset) < reach
    return float(np.max(profile[inside, 1] + np.sqrt(reach**2 - (profile[inside, 0] - offset) ** 2)))


def orange(radius: float, x: float, y: float, z: float) -> SceneObject:
    skin, pits = paint.peel(768, "#f39a2b", "#e9731a", seed=1)
    body = ball(radius).turned(25, "x").turned(40, "z").moved(x, y, z)
    stem = revolve(curve([(0.016, -0.002), (0.012, 0.004), (0.0, 0.005)], 12), 24).moved(z=radius)
    stem = stem.turned(25, "x").turned(40, "z").moved(x, y, z)
    peel = Material(skin, 0.38, 0.45, bump=pits, bump_scale=0.0006)
    return SceneObject("orange", [Part(body, peel), Part(stem, Material(paint.rgb("#5f7a35"), 0.7))])


def apple(radius: float, x: float, y: float, z: float) -> SceneObject:
    outline = [(0.0, -0.80), (0.22, -0.93), (0.62, -0.78), (0.92, -0.28), (1.0, 0.22), (0.82, 0.70), (0.48, 0.90)]
    outline += [(0.20, 0.80), (0.0, 0.60)]
    skin = Material(paint.apple_skin(768, "#9fc04a", "#c9432f", seed=6), 0.28, 0.5, clearcoat=0.2)
    body = revolve(radius * curve(outline, 96), 96)
    stem = tube(
        radius * curve([(0, 0, 0.6), (0.02, 0, 0.85), (0.12, 0.03, 1.18)], 16), np.linspace(0.006, 0.009, 16), 12
    )
    parts = [Part(body, skin), Part(stem, Material(paint.rgb("#5b4027"), 0.8))]
    return SceneObject("apple", [replace(part, mesh=_tilted(part.mesh).moved(x, y, z)) for part in parts])


def _tilted(mesh: Mesh) -> Mesh:
    return mesh.turned(-14, "x").turned(160, "z")


def books(x: float, y: float) -> list[SceneObject]:
    """A stack of two books, not quite aligned."""
    navy = paint.sunrise_cover((768, 1024), "#22395f", "#d9b25f", "#e7c98a")
    terracotta = paint.striped_cover((768, 1024), "#b4502f", "#d98a5b", "#f1dfc0")
    lower = book("book_lower", terracotta, "#b4502f", (0.74, 0.54, 0.095), (x, y, GAP), turn=-16)
    upper = book("book_upper", navy, "#22395f", (0.62, 0.45, 0.075), (x - 0.02, y + 0.02, 0.095 + 2 * GAP), turn=7)
    return [lower, upper]


def book(
    name: str, cover: np.ndarray, cloth: str, size: tuple[float, float, float], at: tuple, turn: float
) -> SceneObject:
    """A closed book with its spine on the left: two boards, a rounded spine and a block of pages."""
    width, depth, height = size
    board, overhang = 0.012, 0.018
    block = box(width - 2 * overhang, depth - 2 * overhang, height - 2 * board + 0.002, 0.004).moved(z=board - 0.001)
    lids = [box(width, depth, board, 0.0045).moved(z=z) for z in (0.0, height - board)]
    angle = np.linspace(-np.pi / 2, np.pi / 2, 16)
    arc = np.stack([-0.022 * np.cos(angle), 0.0 * angle, height / 2 * (1 + np.sin(angle))], axis=1)
    spine = _extruded(arc, depth).moved(x=-width / 2 + 0.003)
    cloth_material = Material(paint.cloth(np.broadcast_to(paint.rgb(cloth), (256, 256, 3)), seed=7), 0.6, 0.3)
    parts = [
        Part(lids[0], cloth_material, "cover"),
        Part(lids[1], Material(cover, 0.5, 0.35), "cover"),
        Part(spine, cloth_material, "cover"),
        Part(block, Material(paint.pages(256, seed=2), 0.8, 0.2), "pages"),
    ]
    return SceneObject(name, parts).placed(*at, turn=turn)


def _extruded(arc: np.ndarray, depth: float) -> Mesh:
    """A curve in the xz plane drawn out along y, closed by two fans at its ends."""
    count = len(arc)
    normal = np.gradient(arc, axis=0)
    normal = np.stack([-normal[:, 2], np.zeros(count), normal[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    half = np.array([0.0, depth / 2, 0.0])
    index = np.arange(count - 1)
    strip = np.concatenate(
        [
            np.stack([index, index + 1, index + 1 + count], axis=1),
            np.stack([index, index + 1 + count, index + count], axis=1),
        ]
    )
    v = np.linspace(0, 1, count)
    side = Mesh(
        np.concatenate([arc - half, arc + half]),
        strip,
        np.concatenate([normal, normal]),
        np.stack([np.repeat([0.0, 1.0], count), np.tile(v, 2)], axis=1),
    )
    fan = np.stack([np.zeros(count - 2, int), np.arange(1, count - 1), np.arange(2, count)], axis=1)
    ends = [
        Mesh(arc + sign * half, fan[:, :: int(sign)], np.tile([0.0, sign, 0.0], (count, 1)), np.stack([v, v], axis=1))
        for sign in (-1.0, 1.0)
    ]
    return join([side, *ends])


def mug(name: str, x: float, y: float, handle: float) -> SceneObject:
    """A mug dipped in blue glaze; `handle` is the direction of its handle in degrees."""
    radius, height, wall = 0.137, 0.27, 0.011
    outside = [(0.0, 0.0), (radius - 0.018, 0.0), (radius, 0.02), (radius, height), (radius - wall, height)]
    profile = rounded_polyline([*outside, (radius - wall, 0.03), (radius - 0.035, 0.014), (0.0, 0.014)], 0.0052, 7)
    glaze = paint.bands((768, 768), ["#e9dcc3", "#23808a", "#f3ead8", "#2b8f97"], [0.28, 0.445, 0.60], 0.006, seed=11)
    glaze = paint.speckled(glaze, "#5d4633", 500, (0.8, 2.6), seed=12)
    body = revolve(profile, 128)
    reach = [(0.128, 0.215), (0.185, 0.222), (0.225, 0.185), (0.222, 0.125), (0.18, 0.08), (0.128, 0.068)]
    ear = tube(np.array([(r, 0.0, z) for r, z in curve(reach, 48)]), 0.0165, 24)
    shine = {"roughness": 0.3, "specular": 0.45, "clearcoat": 0.3}
    cream = Material(paint.plain("#f0e6d3", seed=2), **shine)
    parts = [Part(body, Material(glaze, **shine), "body"), Part(ear, cream, "handle")]
    return SceneObject(name, parts).placed(x, y, GAP, turn=handle)


def teapot(x: float, y: float, spout: float) -> SceneObject:
    """A mustard teapot with a lid; `spout` is the direction of its spout in degrees."""
    belly = [
        (0.0, 0.0),
        (0.14, 0.0),
        (0.155, 0.015),
        (0.23, 0.09),
        (0.262, 0.19),
        (0.235, 0.29),
        (0.165, 0.355),
        (0.12, 0.37),
    ]
    lid = [(0.128, 0.368), (0.130, 0.378), (0.10, 0.398), (0.05, 0.412), (0.022, 0.418), (0.018, 0.43), (0.036, 0.45)]
    lid += [(0.040, 0.468), (0.026, 0.486), (0.0, 0.491)]
    glaze = paint.bands((768, 1536), ["#8a4f1d", "#d9992a", "#e3b043"], [0.42, 0.47], 0.012, seed=21)
    glaze = paint.speckled(glaze, "#6f3f17", 1500, (0.8, 3.4), seed=22)
    shine = {"roughness": 0.27, "specular": 0.5, "clearcoat": 0.35}
    yellow = Material(paint.plain("#d79d2a", seed=5, variation=0.04), **shine)
    pour = curve([(0.18, 0, 0.11), (0.27, 0, 0.145), (0.335, 0, 0.235), (0.365, 0, 0.325), (0.40, 0, 0.358)], 48)
    nose = tube(pour, 0.029 + 0.046 * np.linspace(1, 0, 48) ** 1.6, 32)
    hold = curve(
        [
            (-0.17, 0, 0.335),
            (-0.26, 0, 0.365),
            (-0.345, 0, 0.325),
            (-0.36, 0, 0.23),
            (-0.31, 0, 0.14),
            (-0.22, 0, 0.085),
        ],
        64,
    )
    ear = tube(hold, 0.021, 24)
    parts = [
        Part(revolve(curve(belly, 96), 128), Material(glaze, **shine), "body"),
        Part(revolve(curve(lid, 64), 96), Material(paint.plain("#8a4f1d", seed=4, variation=0.05), **shine), "lid"),
        Part(nose, yellow, "spout"),
        Part(ear, yellow, "handle"),
    ]
    return SceneObject("teapot", parts).placed(x, y, GAP, turn=spout)


def beach_ball(x: float, y: float) -> SceneObject:
    radius = 0.13
    skin = paint.segments(768, ["#d9503f", "#f3e6cf", "#e8a13a", "#f3e6cf", "#3f7f8c", "#f3e6cf"], "#f7efe0")
    body = ball(radius).turned(38, "x").turned(-30, "z").moved(x, y, radius + GAP)
    return SceneObject("ball", [Part(body, Material(skin, 0.35, 0.45))])


def toy_blocks(x: float, y: float) -> list[SceneObject]:
    """Two blocks side by side and a third on top of the first."""
    bare = paint.wood(256, 1, "#ecd2a0", "#c99a62", seed=14)
    size, step = 0.19, 0.19 + GAP
    make = [
        ("block_red", "#c23b32", "star", (x, y, GAP), -12),
        ("block_green", "#3f8f5a", "heart", (x - 0.02, y + 0.02, step + GAP), 16),
    ]
    return [
        SceneObject(
            name,
            [
                Part(
                    box(size, size, size, 0.014).turned(turn).moved(*at),
                    Material(paint.toy_block(256, color, bare, sign), 0.5),
                )
            ],
        )
        for name, color, sign, at, turn in make
    ]
