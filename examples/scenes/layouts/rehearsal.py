"""A desk on which the baselines' settings are chosen, so that no scene whose figures are reported decides them."""

from __future__ import annotations

from examples.scenes.layouts.clutter import bottles, cans, cartons, desk, dice, row, tray
from examples.scenes.layouts.room import lamp, row_of_books, storage_box, vase
from examples.scenes.layouts.table import GAP, background, beach_ball, mug, teapot
from examples.scenes.scene import AreaLight, Orbit, Scene


def rehearsal() -> Scene:
    """Twenty things on a desk, nine of them in four groups of one make."""
    objects = [
        background(),
        desk(),
        tray().placed(-0.62, -0.52, GAP, turn=8),
        *dice(-0.62, -0.52),
        *cans(0.10, -0.52)[:2],
        *row(mug("mug", 0.0, 0.0, handle=75), 2, (0.62, -0.42, GAP), 0.36, turn=25),
        *bottles(-0.16, 0.02),
        *cartons(0.36, 0.16),
        teapot(-0.58, 0.10, spout=35),
        beach_ball(0.92, 0.16),
        lamp().placed(-0.98, 0.62, GAP, scale=0.55),
        row_of_books().placed(0.70, 0.66, GAP, turn=170, scale=1.1),
        storage_box().placed(-0.42, 0.62, GAP, turn=-12),
        vase().placed(0.10, 0.62, GAP),
    ]
    lights = [
        AreaLight(position=(2.4, -2.0, 4.2), target=(0, 0, 0), size=2.4, radiance=(15.0, 13.0, 10.0)),
        AreaLight(position=(-3.2, 1.6, 3.4), target=(0, 0, 0), size=2.6, radiance=(2.6, 3.0, 3.6)),
    ]
    orbit = Orbit(center=(0.0, 0.0, 0.10), radius=(2.3, 2.5), elevation=(22.0, 58.0), turns=4.0, horizontal_fov=56.0)
    return Scene(objects, lights, ambient=(0.30, 0.33, 0.37), orbit=orbit, exposure=0.8)
