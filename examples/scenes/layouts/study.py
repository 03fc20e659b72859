"""The room of `room` with many small things on its furniture, most of them far smaller than what they stand on."""

from __future__ import annotations

from dataclasses import replace

from examples.scenes import textures as paint
from examples.scenes.layouts.clutter import bottles, cans, cartons, crayons, dice, notebook, pile_of_blocks
from examples.scenes.layouts.room import DEPTH, EAST, RUG_HEIGHT, SHELF_BOARDS, TABLE_HEIGHT, room
from examples.scenes.layouts.table import GAP, apple, beach_ball, book, mug, orange, teapot
from examples.scenes.scene import Scene, SceneObject

CABINET_HEIGHT = 0.56


def study() -> Scene:
    """Forty-seven objects, of which twenty-five are things of a hand's size."""
    scene = room()
    return replace(scene, objects=[*scene.objects, *on_table(), *on_shelf(), *on_cabinet(), *on_floor()])


def small(thing: SceneObject, x: float, y: float, z: float, scale: float, turn: float = 0.0) -> SceneObject:
    """A thing near its origin, made smaller and put somewhere."""
    return thing.placed(x, y, z + GAP, turn=turn, scale=scale)


def on_table() -> list[SceneObject]:
    """Breakfast for two."""
    x, y, z = 0.75, -0.25, TABLE_HEIGHT
    cover = paint.striped_cover((512, 768), "#7a3b52", "#c98a9c", "#f0e3c4")
    return [
        small(mug("mug_west", 0, 0, handle=70), x - 0.36, y - 0.16, z, 0.36),
        small(mug("mug_east", 0, 0, handle=-20), x + 0.42, y + 0.18, z, 0.36),
        small(apple(0.13, 0, 0, 0.93 * 0.13), x - 0.10, y + 0.20, z, 0.36),
        small(orange(0.13, 0, 0, 0.13), x - 0.21, y + 0.19, z, 0.36),
        small(book("diary", cover, "#7a3b52", (0.46, 0.34, 0.07), (0, 0, 0), turn=0), x + 0.42, y - 0.17, z, 0.48, 20),
        small(bottles(0, 0)[0], x - 0.40, y + 0.17, z, 0.55),
    ]


def on_shelf() -> list[SceneObject]:
    """Things in front of the books and on the free boards; its front faces west."""
    x, y = EAST - 0.20, -0.35
    upper, top, lowest = (SHELF_BOARDS[i] + 0.03 for i in (3, 4, 0))
    first, second, *_ = cans(0, 0)
    return [
        small(first, x, y - 0.30, upper, 0.6),
        small(replace(second, name="jar"), x - 0.17 * 0.6, y + 0.02, upper, 0.6),
        small(replace(beach_ball(0, 0), name="small_ball"), x, y + 0.28, upper, 0.5),
        small(cartons(0, 0)[0], x, y - 0.22, top, 0.6),
        small(replace(teapot(0, 0, spout=200), name="creamer"), x, y + 0.18, top, 0.3),
        small(notebook(), x, y - 0.10, lowest, 0.55, 70),
    ]


def on_cabinet() -> list[SceneObject]:
    """Things beside the television."""
    y, z = DEPTH / 2 - 0.24, CABINET_HEIGHT
    return [
        small(dice(0, 0)[0], -0.52, y - 0.02, z, 0.42, 15),
        small(replace(apple(0.13, 0, 0, 0.93 * 0.13), name="pear"), -0.56, y + 0.12, z, 0.32),
        small(replace(bottles(0, 0)[1], name="flask"), 0.62, y, z, 0.5),
        small(mug("mug_north", 0, 0, handle=-110), 0.74, y - 0.06, z, 0.36),
    ]


def on_floor() -> list[SceneObject]:
    """Toys on the rug."""
    x, y, z = -0.95, -0.1, RUG_HEIGHT
    blocks = [small(block, x, y - 0.2, z, 0.42) for block in pile_of_blocks(0, 0)]
    return [
        *blocks,
        *[small(crayon, x + 0.28, y + 0.0, z, 0.45, 40) for crayon in crayons(0, 0)[:2]],
        small(replace(dice(0, 0)[1], name="cube"), x - 0.3, y + 0.5, z, 0.5, 30),
    ]
